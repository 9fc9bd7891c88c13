package trust

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

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

// setting is one value that git found for a name.
type setting struct {
	scope, value string
}

// local reports whether the setting may be of somebody who writes in the repository.
func (s setting) local() bool { return s.scope != "system" && s.scope != "global" }

const (
	verifyKey = "troops.verify"
	sinceKey  = "troops.verifySince"
)

var oidPattern = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

// readPolicy reads the node's settings. On a node that deploys as root, who may push may write the
// repository's configuration, too: so that can only ask for more than the system's.
func readPolicy(ctx context.Context, git gitcli.Repo) (Policy, error) {
	verify, err := settings(ctx, git, verifyKey)
	if err != nil || len(verify) == 0 {
		return Policy{}, err
	}
	since, err := settings(ctx, git, sinceKey)
	if err != nil {
		return Policy{}, err
	}
	return policy(verify, since)
}

// policy makes one of all values: the strictest counts. A value that is not understood is an error.
func policy(verify, since []setting) (Policy, error) {
	var p Policy
	protected := Off
	for _, s := range verify {
		mode, ok := modes[s.value]
		if !ok {
			return p, fmt.Errorf("trust: %s is %q in the %s configuration of git, and has to be head, strict or off: nothing is deployed until that is settled",
				verifyKey, s.value, s.scope)
		}
		p.Mode = max(p.Mode, mode)
		if !s.local() {
			protected = max(protected, mode)
		}
	}
	p.Local = p.Mode > protected
	for _, s := range since {
		if !oidPattern.MatchString(s.value) {
			return p, fmt.Errorf("trust: %s is %q in the %s configuration of git, and has to be a whole object name", sinceKey, s.value, s.scope)
		}
	}
	// Git lists the repository's own after the others, and the last one counts; here only where there
	// are no others.
	for _, s := range since {
		if !s.local() || p.Since == "" {
			p.Since = s.value
		}
	}
	return p, nil
}

// settings lists what all of git's configurations say of a name, in git's order.
func settings(ctx context.Context, git gitcli.Repo, name string) ([]setting, error) {
	out, err := git.Run(ctx, nil, "config", "--show-scope", "--null", "--get-all", name)
	var ge *gitcli.Error
	if errors.As(err, &ge) && ge.ExitCode() == 1 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("trust: reading %s: %w", name, err)
	}
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(fields)%2 != 0 {
		return nil, fmt.Errorf("trust: reading %s: git says %q", name, out)
	}
	var all []setting
	for i := 0; i < len(fields); i += 2 {
		all = append(all, setting{scope: fields[i], value: fields[i+1]})
	}
	return all, nil
}
