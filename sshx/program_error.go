package sshx

import (
	"errors"
	"fmt"
	"strings"
)

// ProgramError is a connection that an ssh program did not make, or did not keep.
type ProgramError struct {
	Program string // "ssh", or where another is set, such as "the program of GIT_SSH_COMMAND"
	Why     string // why it was used
	Said    string // the last that it said, as it said it; empty for nothing
	Err     error  // by ssh's words: *HostKeyError, *AuthError, *ThrottleError; else what ended it; may be nil

	hint string // how to go on; may be empty
	jump bool   // a jump host, not the host, has refused
}

// Error says what ssh said and how to go on.
func (e *ProgramError) Error() string {
	var b strings.Builder
	b.WriteString(e.Program)
	if !strings.HasSuffix(e.Program, e.Why) {
		fmt.Fprintf(&b, ", used for %s,", printable(e.Why))
	}
	var timeout *TimeoutError
	if errors.As(e.Err, &timeout) {
		fmt.Fprintf(&b, " failed: %s", timeout)
	}
	if said := lastOf(e.Said); said != "" {
		fmt.Fprintf(&b, " said %s", quote(said))
	}
	var throttle *ThrottleError
	switch {
	case errors.As(e.Err, &throttle):
		fmt.Fprintf(&b, " (tried %d times): %s", throttle.Tries, throttleHint)
	case e.hint != "":
		b.WriteString(": " + e.hint)
	}
	return b.String()
}

// Unwrap gives the kind of failure.
func (e *ProgramError) Unwrap() error { return e.Err }

func (e *ProgramError) wholeSentence() {}

// final reports whether another try cannot help.
func (e *ProgramError) final() bool {
	var auth *AuthError
	var key *HostKeyError
	return errors.As(e.Err, &auth) || errors.As(e.Err, &key)
}

// lastOf is the end of a text, from a line's start if it is cut: what a program said last is
// why it ended.
func lastOf(s string) string {
	if len(s) <= maxPeerText {
		return s
	}
	s = s[len(s)-maxPeerText:]
	if _, rest, ok := strings.Cut(s, "\n"); ok && rest != "" {
		return rest
	}
	return s
}
