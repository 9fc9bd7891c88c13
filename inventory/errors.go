package inventory

import (
	"errors"
	"fmt"
	"strings"
)

// Problem is something about a place in the repository's files. Its text may quote them.
type Problem struct {
	File string // path in the commit
	Line int    // from 1; 0 where it is about the whole file
	Text string
	Role string // the role it is about; empty where it is about none, or about all
}

// String returns "deploy.py:12: role web: text".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.place())
	b.WriteString(": ")
	if p.Role != "" {
		fmt.Fprintf(&b, "role %s: ", p.Role)
	}
	b.WriteString(p.Text)
	return b.String()
}

func (p Problem) place() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Errors of [Read] for which the hosts of the repository are not known at all. A selection
// for which [Selection.Literal] holds can still be made, from a nil [Inventory].
var (
	// ErrNoPython is wrapped where deploy.py cannot be read for want of Python.
	ErrNoPython = errors.New("inventory: reading deploy.py needs python3 (3.8 or later), which was not found; " +
		"install python3, or list the hosts in roles.toml, or name them with --host")
	// ErrNoDeployment is wrapped where the commit has nothing to deploy and no hosts.
	ErrNoDeployment = errors.New("no deploy.py, no executable deploy and no roles.toml; " +
		"add a deploy.py to the top of the repository and commit it")
)

// Unavailable reports whether err of [Read] says that the hosts of the repository cannot be
// known here, as opposed to being wrong.
func Unavailable(err error) bool {
	return errors.Is(err, ErrNoPython) || errors.Is(err, ErrNoDeployment)
}

// Error is what is wrong in the repository's files: syntax errors, bad host and role names,
// wrong use of the module troops.
type Error struct {
	Problems []Problem // at least one
}

// Error gives one problem a line.
func (e *Error) Error() string { return list("inventory", e.Problems) }

// UnknownError says that the hosts that were asked for cannot all be told without running
// deploy.py. Selection.KnownOnly goes on without those.
type UnknownError struct {
	Roles    []string // the roles that were asked for; none: all hosts
	Problems []Problem
}

// Error gives one problem a line, and the way out.
func (e *UnknownError) Error() string {
	what := "not all hosts can be told"
	if len(e.Roles) > 0 {
		what = "not all hosts of role " + strings.Join(e.Roles, ", ") + " can be told"
	}
	return list("inventory: "+what+" without running deploy.py (--known-only goes on without them)", e.Problems)
}

// NoMatchError is a role, host pattern or exclusion that matches nothing.
type NoMatchError struct {
	What    string   // "role", "host" or "exclude"; empty where the whole selection is empty
	Pattern string   // as it was given
	Have    []string // what there is, the most alike first
	Hint    string   // more about it, may be empty
}

// Error names the pattern and what there is.
func (e *NoMatchError) Error() string {
	const shown = 10
	var b strings.Builder
	if e.What == "" {
		b.WriteString("inventory: nothing is selected")
	} else {
		fmt.Fprintf(&b, "inventory: %s %s matches nothing", e.What, quoteShort(e.Pattern))
	}
	if e.Hint != "" {
		b.WriteString(": " + e.Hint)
	}
	if len(e.Have) > 0 {
		b.WriteString("; there is " + strings.Join(e.Have[:min(shown, len(e.Have))], ", "))
		if more := len(e.Have) - shown; more > 0 {
			fmt.Fprintf(&b, " and %d more", more)
		}
	}
	return b.String()
}

// LimitError says that reading the repository's files would take more than is allowed.
type LimitError struct {
	Problem Problem // its text is the limit
}

// Error names the place and the limit.
func (e *LimitError) Error() string { return "inventory: " + e.Problem.String() }

// list joins problems: one on the same line, several below it.
func list(head string, problems []Problem) string {
	if len(problems) == 1 {
		return head + ": " + problems[0].String()
	}
	const shown = 20
	var b strings.Builder
	b.WriteString(head + ":")
	for _, p := range problems[:min(shown, len(problems))] {
		b.WriteString("\n  " + p.String())
	}
	if more := len(problems) - shown; more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return b.String()
}
