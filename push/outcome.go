package push

import (
	"fmt"
	"strings"
)

// Outcome is how the push to one node ended: one of the types of this file.
type Outcome interface {
	// Kind is the outcome's word in summaries and JSON.
	Kind() Kind
	// String says it in one line for people. It may hold text of the node: not safe for a terminal.
	String() string
}

// Kind names an outcome.
type Kind string

// The kinds of outcomes, one for each type.
const (
	KindDeployed    Kind = "deployed"
	KindStarted     Kind = "started"
	KindCurrent     Kind = "current"
	KindFailed      Kind = "failed"
	KindRefused     Kind = "refused"
	KindUnreachable Kind = "unreachable"
	KindUnknown     Kind = "unknown"
	KindSuperseded  Kind = "superseded"
	KindNotStarted  Kind = "not started"
)

// Deployed is a run that ended well, or a plain repository that took the branch.
type Deployed struct {
	Run   string // empty for a plain repository
	Plain bool   // a repository without troops: only the ref update is known to be right
}

// Started is a run that the node took, and whose end nobody waited for.
type Started struct {
	Run string
}

// Current is a node that had the commit before the push; nothing ran.
type Current struct{}

// Failed is a run that ended badly. The node's branch is where it was.
type Failed struct {
	Run      string
	Phase    string // checkout, venv, deploy, log, roles, or push where git itself failed
	ExitCode int    // of the phase's process; 0 where there is none
	Signal   string // the signal that ended the process
	Err      error  // the cause in words; nil where code or signal says all
}

// Refused is a push that policy, here or on the node, did not allow. Nothing changed.
type Refused struct {
	Reason string
	Hint   string // the way out, may be empty
}

// Unreachable is a node to which no session could be opened. Nothing changed.
type Unreachable struct {
	Err error // a typed error of sshx where the transport is its
}

// Unknown is a run that was started and then lost sight of. It may have ended either way.
type Unknown struct {
	Run string // empty for a plain repository
	Err error
}

// Superseded is a run that gave way to a later commit.
type Superseded struct {
	By string // the commit or run that took its place
}

// NotStarted is a node to which nothing was sent since the rollout ended before its turn.
type NotStarted struct {
	Why  string
	Held bool // as planned: it is no turn of this rollout, and none of its waves failed
}

// Kind implements [Outcome].
func (Deployed) Kind() Kind    { return KindDeployed }
func (Started) Kind() Kind     { return KindStarted }     // Kind implements [Outcome].
func (Current) Kind() Kind     { return KindCurrent }     // Kind implements [Outcome].
func (Failed) Kind() Kind      { return KindFailed }      // Kind implements [Outcome].
func (Refused) Kind() Kind     { return KindRefused }     // Kind implements [Outcome].
func (Unreachable) Kind() Kind { return KindUnreachable } // Kind implements [Outcome].
func (Unknown) Kind() Kind     { return KindUnknown }     // Kind implements [Outcome].
func (Superseded) Kind() Kind  { return KindSuperseded }  // Kind implements [Outcome].
func (NotStarted) Kind() Kind  { return KindNotStarted }  // Kind implements [Outcome].

// String implements [Outcome].
func (o Deployed) String() string {
	if o.Plain {
		return "deployed (pushed; its own hooks do the rest)"
	}
	return "deployed"
}

// String implements [Outcome].
func (o Started) String() string { return "started run " + o.Run }

// String implements [Outcome].
func (Current) String() string { return "current" }

// String implements [Outcome].
func (o Failed) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "failed in %s", o.Phase)
	switch {
	case o.Signal != "":
		fmt.Fprintf(&b, ": ended by signal %s", o.Signal)
	case o.ExitCode != 0:
		fmt.Fprintf(&b, ": exit code %d", o.ExitCode)
	}
	if o.Err != nil {
		b.WriteString(": " + plain(o.Err))
	}
	return b.String()
}

// String implements [Outcome].
func (o Refused) String() string {
	if o.Hint != "" {
		return "refused: " + o.Reason + "; " + o.Hint
	}
	return "refused: " + o.Reason
}

// String implements [Outcome].
func (o Unreachable) String() string { return "unreachable: " + plain(o.Err) }

// String implements [Outcome].
func (o Unknown) String() string {
	if o.Run == "" {
		return fmt.Sprintf("unknown: %s; push again to see", plain(o.Err))
	}
	return fmt.Sprintf("unknown: %s (run %s); push again to follow it", plain(o.Err), o.Run)
}

// plain is an error without the name of the package that it comes from, which tells a user nothing.
func plain(err error) string { return strings.TrimPrefix(fmt.Sprint(err), "sshx: ") }

// String implements [Outcome].
func (o Superseded) String() string { return "superseded by " + o.By }

// String implements [Outcome].
func (o NotStarted) String() string {
	if o.Held {
		return "held: " + o.Why
	}
	return "not started: " + o.Why
}

var _ = []Outcome{Deployed{}, Started{}, Current{}, Failed{}, Refused{}, Unreachable{}, Unknown{}, Superseded{}, NotStarted{}}
