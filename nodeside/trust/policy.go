package trust

import (
	"context"
	"fmt"
	"regexp"

	"troops/gitcli"
)

// Mode is which commits need a signature.
type Mode int

// The modes, weakest first.
const (
	Off    Mode = iota // none does
	Head               // the commit that is deployed
	Strict             // that, and all that are new with it
)

var modes = map[string]Mode{"off": Off, "head": Head, "strict": Strict}

// String is the value of troops.verify.
func (m Mode) String() string {
	for name, mode := range modes {
		if mode == m {
			return name
		}
	}
	return fmt.Sprintf("mode %d", int(m))
}

// Policy is what a node demands of commits.
type Policy struct {
	Mode  Mode
	Since string // object name: what strict verification begins after; may be empty
	Local bool   // the repository's own configuration alone asks for it
}

const (
	verifyKey = "troops.verify"
	sinceKey  = "troops.verifySince"
)

var oidPattern = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// readPolicy reads the node's settings. On a node that deploys as root, who may push may write the
// repository's configuration, too: so that can only ask for more than the system's.
func readPolicy(ctx context.Context, git gitcli.Repo) (Policy, error) {
	verify, err := git.Settings(ctx, verifyKey)
	if err != nil {
		return Policy{}, fmt.Errorf("trust: %w", err)
	}
	if len(verify) == 0 {
		return Policy{}, nil
	}
	since, err := git.Settings(ctx, sinceKey)
	if err != nil {
		return Policy{}, fmt.Errorf("trust: %w", err)
	}
	return policy(verify, since)
}

// policy makes one of all values: the strictest counts. A value that is not understood is an error.
func policy(verify, since []gitcli.Setting) (Policy, error) {
	var p Policy
	protected := Off
	for _, s := range verify {
		mode, ok := modes[s.Value]
		if !ok {
			return p, fmt.Errorf("trust: %s is %q in the %s configuration of git, and has to be head, strict or off: nothing is deployed until that is settled",
				verifyKey, s.Value, s.Scope)
		}
		p.Mode = max(p.Mode, mode)
		if !s.Local() {
			protected = max(protected, mode)
		}
	}
	p.Local = p.Mode > protected
	for _, s := range since {
		if !oidPattern.MatchString(s.Value) {
			return p, fmt.Errorf("trust: %s is %q in the %s configuration of git, and has to be a whole object name", sinceKey, s.Value, s.Scope)
		}
	}
	// Git lists the repository's own after the others, and the last one counts; here only where there
	// are no others.
	for _, s := range since {
		if !s.Local() || p.Since == "" {
			p.Since = s.Value
		}
	}
	return p, nil
}
