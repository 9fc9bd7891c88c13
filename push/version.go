package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"troops/nodeside/wire"
	"troops/push/gitwire"
	"troops/sshx"
)

// speaks reports whether a repository is a troops node's, by its refs. A node that does not speak
// this program's version of the protocol is a *wire.VersionError.
func speaks(adv *gitwire.Advertisement) (troops bool, err error) {
	return wire.Speaks(func(yield func(string) bool) {
		for _, r := range adv.Refs {
			if !yield(r.Name) {
				return
			}
		}
	})
}

// fits refuses a node that this program cannot push to, as far as its refs tell: it speaks another
// version of the protocol, or its objects have other names. It is nil for all others.
func (n *node) fits(adv *gitwire.Advertisement) Outcome {
	_, err := speaks(adv)
	if out := n.otherVersion(err); out != nil {
		return out
	}
	return n.sameFormat(adv)
}

// otherVersion is the outcome of a node whose troops speaks another version of the protocol; nil
// for all other errors, and none.
func (n *node) otherVersion(err error) Outcome {
	var v *wire.VersionError
	if !errors.As(err, &v) {
		return nil
	}
	return Refused{Reason: v.Error(), Hint: Upgrade(v, n.target.Host, n.rollout.RepoPath)}
}

// versioned adds to an error the way out, where it is another version of the protocol.
func (n *node) versioned(err error) error {
	if hint := Upgrade(err, n.target.Host, n.rollout.RepoPath); hint != "" {
		return fmt.Errorf("%w; %s", err, hint)
	}
	return err
}

// Upgrade says what brings a host and this program to one version of the protocol, where err says
// that they are not of one; it is empty for all other errors.
func Upgrade(err error, host, repoPath string) string {
	var v *wire.VersionError
	switch {
	case !errors.As(err, &v):
		return ""
	case v.Newer():
		return "upgrade troops here"
	}
	return upgrade(host, repoPath)
}

func (n *node) upgrade() string { return upgrade(n.target.Host, n.rollout.RepoPath) }

// upgrade says how to bring a node this program's version.
func upgrade(host, repoPath string) string {
	if repoPath == DefaultRepoPath {
		return "upgrade it with troops bootstrap " + host
	}
	dir, ok := strings.CutSuffix(strings.TrimSuffix(repoPath, "/"), "repo/main.git")
	if !ok {
		dir = "DIR"
	}
	return "upgrade it: install this troops there and run troops node init --dir " + cmp.Or(strings.TrimSuffix(dir, "/"), ".")
}

// lackError is a node that does not have a command of this program's, and will not have it by
// waiting.
type lackError struct {
	why  error
	hint string // the way out; empty where the error has it
}

// Error says the way out, too.
func (e *lackError) Error() string {
	if e.hint == "" {
		return e.why.Error()
	}
	return e.why.Error() + ": " + e.hint
}

// Unwrap gives the error without the way out.
func (e *lackError) Unwrap() error { return e.why }

// lacks finds out why a node does not know a command by which its launcher was called; cause is
// errNoAttach, and the connection lives. The answer is a *lackError, or it was not found out.
func (n *node) lacks(ctx context.Context, command string, cause error) error {
	status, err := Account(ctx, n.conn, n.rollout.RepoPath)
	if err == nil {
		return &lackError{fmt.Errorf("its troops %s has no %s yet", clip(status.Troops), command), n.upgrade()}
	}
	_, troops, open := n.advertised(ctx)
	var repo *RepoError
	var refused *sshx.ChannelError
	switch {
	case errors.As(open, &repo) && repo.Said != "": // else the connection may have broken
		return &lackError{why: open}
	case open != nil:
		return open
	case !troops:
		return &lackError{errPlain, "make it a node with troops bootstrap " + n.target.Host}
	case errors.As(cause, &refused):
		return &lackError{why: fmt.Errorf("it lets nobody start a command but git's: %w", cause)}
	}
	return &lackError{fmt.Errorf("its troops has no %s yet (%s)", command, oneLine(cause)), n.upgrade()}
}

var errPlain = errors.New("it has a repository without troops, which keeps no runs")
