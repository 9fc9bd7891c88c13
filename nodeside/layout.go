// Package nodeside is the node's half of troops: `node init` makes a node, the
// proc-receive hook takes pushes, `node start` queues a run, `node run` does it in a
// session of its own, `node attach` follows it. docs/protocol.md says what passes between
// a workstation and a node, and what a node keeps on its disk.
package nodeside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"troops/gitcli"
	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// DefaultDir is where a node that deploys as root has everything.
const DefaultDir = "/var/lib/troops"

// Group may push to a node that deploys as root.
const Group = "troops"

// Layout is where a node has its files.
type Layout struct {
	Dir  string // absolute
	Root bool   // deploys as root, reached by members of [Group] through sudo
}

// LayoutAt is the layout of the node in dir; empty means [DefaultDir]. Only there a node
// deploys as root for others.
func LayoutAt(dir string) Layout {
	if dir == "" {
		dir = DefaultDir
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return Layout{Dir: dir, Root: dir == DefaultDir}
}

// Repo is the bare repository.
func (l Layout) Repo() string { return filepath.Join(l.Dir, "repo", "main.git") }

// Runs has a directory for every run.
func (l Layout) Runs() string { return filepath.Join(l.Dir, "runs") }

// Checkouts has a directory for the files of each of the last runs.
func (l Layout) Checkouts() string { return filepath.Join(l.Dir, "checkouts") }

// Venvs has the virtualenvs.
func (l Layout) Venvs() string { return filepath.Join(l.Dir, "venvs") }

// Key is the node's private key for pulling; the public one is beside it, with ".pub".
func (l Layout) Key() string { return filepath.Join(l.Dir, "ssh", "id_ed25519") }

// Hook is the path of one of the repository's hooks.
func (l Layout) Hook(name string) string { return filepath.Join(l.hooks(), name) }

func (l Layout) hooks() string { return filepath.Join(l.Repo(), "hooks") }

func (l Layout) run(id string) runlog.Dir { return runlog.Dir(filepath.Join(l.Runs(), id)) }

// runLock is held by the one run that is working.
func (l Layout) runLock() string { return filepath.Join(l.Dir, "lock") }

// queueLock is held for moments, to queue a run, to supersede one, and to begin it. Who
// holds the run lock may take it, never the other way round.
func (l Layout) queueLock() string { return filepath.Join(l.Dir, "queue.lock") }

// lockMode keeps locks from all but the one who runs: whoever can open a file can lock it.
const lockMode = 0o600

// lockQueue takes the queue lock; closing the file frees it.
func (l Layout) lockQueue() (*os.File, error) {
	f, err := os.OpenFile(l.queueLock(), os.O_RDWR|os.O_CREATE, lockMode)
	if err != nil {
		return nil, fmt.Errorf("nodeside: opening the queue's lock: %w", err)
	}
	if err := runlog.Lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// hostFile keeps the name that the last push gave the node.
func (l Layout) hostFile() string { return filepath.Join(l.Dir, "hostname") }

// hostMode lets all read the name who may look into the node's directory.
const hostMode = 0o644

// hostname is the kept name, empty where there is none that holds.
func (l Layout) hostname() string {
	b, err := os.ReadFile(l.hostFile())
	if err != nil {
		return ""
	}
	name, err := hostName(strings.TrimSpace(string(b)))
	if err != nil {
		return ""
	}
	return name
}

// git is the node's repository. Naming it with --git-dir spares git's check of its owner,
// which on a node is the group's affair; replacement refs are not obeyed: what is deployed
// is the commit that was named.
func (l Layout) git() gitcli.Repo {
	env := append(gitcli.CleanEnv(os.Environ()), "GIT_NO_REPLACE_OBJECTS=1")
	return gitcli.Repo{Dir: "/", GitDir: l.Repo(), Env: env}
}

// deployedBranch is the branch that the node deploys, empty before the first push.
func (l Layout) deployedBranch(ctx context.Context) (string, error) {
	ref, err := l.git().Line(ctx, "symbolic-ref", "-q", wire.DeployedRef)
	var ge *gitcli.Error
	if errors.As(err, &ge) && ge.ExitCode() == 1 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("nodeside: reading the deployed branch: %w", err)
	}
	return ref, nil
}

// tip is the object name that ref (refs/...) has, empty where there is no such ref.
func (l Layout) tip(ctx context.Context, ref string) (string, error) {
	oid, err := l.git().Line(ctx, "rev-parse", "--verify", "-q", ref)
	var ge *gitcli.Error
	if errors.As(err, &ge) && ge.ExitCode() == 1 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("nodeside: reading %s: %w", ref, err)
	}
	return oid, nil
}

// isAncestor reports whether commit a is b or an ancestor of b.
func (l Layout) isAncestor(ctx context.Context, a, b string) (bool, error) {
	ok, err := l.git().Test(ctx, "merge-base", "--is-ancestor", a, b)
	if err != nil {
		return false, fmt.Errorf("nodeside: comparing %s with %s: %w", a, b, err)
	}
	return ok, nil
}
