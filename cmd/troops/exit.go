package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"troops/push"
)

// The exit codes, a contract with scripts and CI jobs (README.md, "Exit codes"). Codes that a
// reader does not know mean failure.
const (
	exitOK          = 0   // every selected node is deployed or current; with --no-wait, or has taken the run
	exitNodes       = 1   // some node failed, was refused or unreachable
	exitUsage       = 2   // usage, repository, inventory or new host keys: nothing was deployed
	exitPolicy      = 3   // the rollout was stopped, later nodes were not started
	exitUnknown     = 4   // some node's outcome is unknown
	exitInterrupted = 130 // 128 + SIGINT, as shells report it
)

// errInterrupted is the cause of the contexts that a signal ended.
var errInterrupted = errors.New("interrupted")

// nodesError says that the command did its work and that nodes did not do theirs; all of it
// has been shown already.
type nodesError struct{ code int }

func (e *nodesError) Error() string {
	return fmt.Sprintf("not all nodes are as they should be (exit code %d)", e.code)
}

// exitCode maps what a command returned to the exit code, and prints what was not shown yet.
func exitCode(err error, stderr io.Writer) int {
	var nodes *nodesError
	var status interface{ exitStatus() int }
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &nodes):
		return nodes.code
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "troops: interrupted")
		return exitInterrupted
	}
	printError(stderr, err)
	if errors.As(err, &status) {
		return status.exitStatus()
	}
	return exitUsage
}

// printError prints an error's lines, made safe.
func printError(w io.Writer, err error) {
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintf(w, "troops: %s\n", clean(line))
	}
}

// rolloutCode is the exit code of a rollout that ended with these outcomes: of 1, 4 and 3
// the highest that applies.
func rolloutCode(results []push.NodeResult, interrupted bool) int {
	code := exitOK
	for _, r := range results {
		switch r.Outcome.Kind() {
		case push.KindDeployed, push.KindStarted, push.KindCurrent:
		case push.KindNotStarted:
			if o, ok := r.Outcome.(push.NotStarted); !ok || !o.Held {
				code = max(code, exitPolicy)
			}
		case push.KindUnknown:
			code = max(code, exitUnknown)
		default: // superseded, too: whether the later commit does well is not known here
			code = max(code, exitNodes)
		}
	}
	if interrupted && code != exitOK {
		return exitInterrupted
	}
	return code
}
