package push

import (
	"errors"
	"fmt"
	"strings"

	"troops/push/gitwire"
)

// RepoError is a node whose repository could not be opened or written. Nothing was deployed.
type RepoError struct {
	Path string // of the repository on the node
	Said string // what the node's git or shell said of it, clipped; hostile text
	Hint string // the way out, may be empty
	Err  error
}

// Error says it in one line.
func (e *RepoError) Error() string {
	msg := fmt.Sprintf("opening the repository %s: %v", e.Path, e.Err)
	if e.Said != "" {
		msg = fmt.Sprintf("opening the repository %s: %s", e.Path, e.Said)
	}
	if e.Hint != "" {
		msg += "; " + e.Hint
	}
	return msg
}

// Unwrap gives the error of reading the advertisement.
func (e *RepoError) Unwrap() error { return e.Err }

// openHints are words of git and of shells, and what to do about them. The first that fits counts.
var openHints = []struct{ says, hint string }{
	{"dubious ownership", "on the node, as root: git config --system --add safe.directory %s"},
	{"does not appear to be a git repository", "make it with `troops node init` on the node, or name another with --repo-path; if it is there, the login user is not in the group troops: sudo gpasswd -a USER troops"},
	{"unable to access", "the login user may not read it: sudo gpasswd -a USER troops"},
	{"ermission denied", "the login user may not read it: sudo gpasswd -a USER troops"},
	{"not found", "install git on the node"},
}

func explainOpen(err error, stderr, path string) error {
	e := &RepoError{Path: path, Said: clip(strings.Join(strings.Fields(stderr), " ")), Err: err}
	for _, h := range openHints {
		if strings.Contains(stderr, h.says) {
			e.Hint = h.hint
			if strings.Contains(h.hint, "%s") {
				e.Hint = fmt.Sprintf(h.hint, path)
			}
			break
		}
	}
	return e
}

// explainPush adds the way out to an error of a push that the node could not take.
func explainPush(err error) error {
	var unpack *gitwire.UnpackError
	if errors.As(err, &unpack) {
		return fmt.Errorf("%w: is the node's disk full, or its repository not writable for the login user?", err)
	}
	return err
}
