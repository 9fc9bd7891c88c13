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

// refusal is a push that the node's git did not take, for a reason that is known.
type refusal struct {
	err  error
	hint string // the way out
}

// Error says the way out, too.
func (r *refusal) Error() string { return r.err.Error() + ": " + r.hint }

// Unwrap gives git's own words.
func (r *refusal) Unwrap() error { return r.err }

// pushHints are words of git's, in its report or in what it printed before, and what to do about
// them. The first that fits counts; a text of hooks that has the same words costs no more than a
// hint that does not fit.
var pushHints = []struct{ says, hint string }{
	{"No space left on device", "the node's disk is full, or has no inode left (df -h and df -i there): make room and push again"},
	{"isk quota exceeded", "the login user's quota on the node is used up: make room there and push again"},
	{"Read-only file system", "the node's file system is mounted read-only: look there why (dmesg)"},
	{"insufficient permission", "the login user may not write in the repository: sudo gpasswd -a USER troops on the node; for a repository of your own, git config core.sharedRepository group there"},
	{"ermission denied", "the login user may not write in the repository: sudo gpasswd -a USER troops on the node"},
	{"pack exceeds maximum allowed size", "receive.maxInputSize of the node's repository is less than this push needs"},
	{"fsck error", "the node checks what it is sent (receive.fsckObjects) and does not take an object of this history: see fsck.skipList in git-config(1)"},
	{".lock': File exists", "another git was ended in that repository, or still runs: if none does, remove the lock that is named above"},
	{"exists; cannot create", "a branch there has a name that this one needs for a directory, or the other way round: rename one of them"},
	{"is currently checked out", "the repository has a work tree: make a bare one, or git config receive.denyCurrentBranch updateInstead there"},
	{"non-fast-forward", "receive.denyNonFastForwards of the node's repository lets nobody take commits away"},
	{"hidden ref", "receive.hideRefs or transfer.hideRefs of the node's repository must leave this ref out"},
	{"deletion prohibited", "receive.denyDeletes of the node's repository lets nobody delete"},
	{"shallow update not allowed", "this clone is shallow: git fetch --unshallow (in CI: check out with the whole history)"},
	{"missing necessary objects", "the node's repository is damaged: git fsck there says where"},
	{"unable to read", "the node's repository is damaged: git fsck there says where"},
}

// explainPush adds the way out to an error of a push that the node could not take. said is what
// its git and hooks printed.
func explainPush(err error, said string) error {
	var unpack *gitwire.UnpackError
	var no *gitwire.RejectedError
	text := said
	switch {
	case errors.As(err, &no):
		text += no.Reason
	case errors.As(err, &unpack):
		text += unpack.Reason
	default:
		return err
	}
	for _, h := range pushHints {
		if strings.Contains(text, h.says) {
			return &refusal{err, h.hint}
		}
	}
	switch {
	case no != nil && said == "" && strings.HasSuffix(no.Reason, "hook declined"):
		return &refusal{err, "it said nothing: can it be run at all? look at its first line"}
	case unpack != nil:
		return &refusal{err, "is the node's disk full (df -h and df -i there), or its repository not writable for the login user?"}
	}
	return err
}
