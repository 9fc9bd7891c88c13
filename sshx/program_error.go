package sshx

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ProgramError is a connection that an ssh program did not make, or did not keep.
type ProgramError struct {
	Program string // "ssh", or where another is set, such as "the program of GIT_SSH_COMMAND"
	Why     string // why it was used
	Said    string // the last that it said, as it said it; empty for nothing
	Err     error  // by ssh's words: *HostKeyError, *AuthError, *ThrottleError; else what ended it; may be nil

	hint string // how to go on; may be empty
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
	if e.hint != "" {
		b.WriteString(": " + e.hint)
	}
	return b.String()
}

// Unwrap gives the kind of failure.
func (e *ProgramError) Unwrap() error { return e.Err }

func (e *ProgramError) wholeSentence() {}

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

var (
	permissionDenied = regexp.MustCompile(`(?m)^\S*: ?Permission denied \(([^()\n]*)\)\.?$`)
	throttledWords   = regexp.MustCompile(`(?m)(^(kex|ssh)_exchange_identification: .*([Cc]onnection (closed|reset)|Not allowed at this time|Exceeded MaxStartups)|^Not allowed at this time|^Exceeded MaxStartups)`)
	offendingLine    = regexp.MustCompile(`(?m)^Offending (\S+ )?key (for IP )?in (.+):(\d{1,9})\r?$`)
	configWords      = regexp.MustCompile(`(?m)(Bad configuration option|bad configuration options|Bad owner or permissions|^\S*: line \d+: |unknown option|^Unsupported option|^usage: ssh)`)
)

// classify finds out from the words of OpenSSH's ssh where it failed, and for what it gives a
// type the cause. Its words are meant for people and hold text of the server: they decide only
// how a failure is named and whether it may be tried again.
func classify(said string, s *settings) (stage string, cause error) {
	switch {
	case strings.Contains(said, "Host key verification failed."), strings.Contains(said, "host key for") && strings.Contains(said, "has changed and you have requested strict checking"):
		kind := KeyUnknown
		if strings.Contains(said, "IDENTIFICATION HAS CHANGED") || strings.Contains(said, "has changed and you have requested") {
			kind = KeyChanged
		}
		if strings.Contains(said, "REVOKED HOST KEY") || strings.Contains(said, "revoked") {
			kind = KeyRevoked
		}
		e := &HostKeyError{Host: s.keyName(), Kind: kind, Target: s.Alias}
		if m := offendingLine.FindStringSubmatch(said); m != nil {
			e.File = m[3]
			e.Line, _ = strconv.Atoi(m[4]) // digits, by the pattern
		}
		return StageHostKey, e
	case permissionDenied.MatchString(said):
		methods := permissionDenied.FindStringSubmatch(said)[1]
		return StageAuth, &AuthError{User: s.User, Host: s.Alias, Methods: strings.Split(methods, ",")}
	case strings.Contains(said, "Too many authentication failures"):
		return StageAuth, &AuthError{User: s.User, Host: s.Alias}
	case throttledWords.MatchString(said):
		return StageHandshake, &ThrottleError{Said: lastOf(said), Tries: 1}
	case strings.Contains(said, "Could not resolve hostname"):
		return StageResolve, nil
	case strings.Contains(said, "ssh: connect to host "):
		return StageConnect, nil
	case configWords.MatchString(said):
		return StageConfig, nil
	}
	return StageHandshake, nil
}

// changedKeyHint is the way out where a program has found that a host key has changed, and
// hint for everything else.
func changedKeyHint(err error, hint string) string {
	var key *HostKeyError
	if !errors.As(err, &key) || key.Kind != KeyChanged || key.Line == 0 {
		return hint
	}
	return fmt.Sprintf("its key is not the one in %s:%d; somebody may be in between, or the host was reinstalled: "+
		"check the fingerprint on the host, then remove the old line", printable(key.File), key.Line)
}
