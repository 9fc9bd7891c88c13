package nodeside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// answer is what start says to the hook.
type answer struct {
	Run   string `json:"run,omitempty"`   // to follow: perhaps one that was there already
	Error string `json:"error,omitempty"` // why there is no run

	Notes  []string     `json:"notes,omitempty"`  // of a pull: what people should know of its remotes
	Result *wire.Result `json:"result,omitempty"` // of a pull that led to no run
}

// Start reads a request from stdin, queues its run and starts the run's process, or finds
// the run of the same commit that is there already, and answers on stdout with a line of
// JSON. On a node that deploys as root, sudo runs it for the hook. An error has been
// answered as well as returned.
func Start(ctx context.Context, l Layout, stdin io.Reader, stdout io.Writer) error {
	a, err := start(ctx, l, stdin)
	if err != nil {
		a.Error = wayOut(err).Error()
	}
	if e := json.NewEncoder(stdout).Encode(a); e != nil {
		err = errors.Join(err, fmt.Errorf("nodeside: answering the hook: %w", e))
	}
	return err
}

func start(ctx context.Context, l Layout, stdin io.Reader) (answer, error) {
	q, err := ParseRequest(stdin)
	if err != nil {
		return answer{}, err
	}
	if by := sudoUser(); l.Root && by != "" {
		q.By = trustedBy(by, q.By)
	}
	switch {
	case q.Pull:
		return l.pull(ctx, q)
	case q.Cancel:
		return answer{Run: q.Run}, l.underQueue(func() error { return l.cancel(q) })
	}
	id, err := l.accept(ctx, q)
	return answer{Run: id}, err
}

// accept queues the run of a commit that is there, or finds the one to follow instead.
func (l Layout) accept(ctx context.Context, q Request) (string, error) {
	kind, err := l.git().Line(ctx, "cat-file", "-t", q.Commit)
	if err != nil {
		return "", fmt.Errorf("nodeside: looking for commit %s: %w", q.Commit, err)
	}
	if kind != "commit" {
		return "", fmt.Errorf("nodeside: %s is a %s, only commits are deployed", q.Commit, kind)
	}
	if err := l.verify(ctx, &q); err != nil {
		return "", err
	}
	id := ""
	err = l.underQueue(func() (err error) {
		id, err = enqueue(ctx, l, q)
		return err
	})
	return id, err
}

// underQueue does f while it holds the queue's lock.
func (l Layout) underQueue(f func() error) error {
	queue, err := l.lockQueue()
	if err != nil {
		return err
	}
	defer queue.Close()
	return f()
}

// sudoUser is who called sudo, which sets it; empty where root itself pushes.
func sudoUser() string {
	if os.Geteuid() != 0 || !validBy(os.Getenv("SUDO_USER")) {
		return ""
	}
	return os.Getenv("SUDO_USER")
}

// trustedBy names the user whom sudo vouches for first, then who it says it is.
func trustedBy(user, claim string) string {
	if claim == "" || claim == user {
		return user
	}
	by := fmt.Sprintf("%s (%s)", user, claim)
	if !validBy(by) {
		return user
	}
	return by
}

// enqueue makes q's run, or finds the one to follow instead. The queue is locked.
func enqueue(ctx context.Context, l Layout, q Request) (string, error) {
	if r, err := l.run(q.Run).Record(); err == nil {
		if r.Commit != q.Commit {
			return "", fmt.Errorf("nodeside: run %s exists already, for commit %s", q.Run, r.Commit)
		}
		return q.Run, nil // asked for twice
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := l.chooseBranch(ctx, q.Branch); err != nil {
		return "", err
	}
	active, err := l.active()
	if err != nil {
		return "", err
	}
	if err := l.keepCommit(ctx, q); err != nil {
		return "", err
	}
	for _, r := range active {
		if covers(r, q) {
			return r.Run, l.join(q, r)
		}
	}
	if err := l.begin(ctx, q); err != nil {
		return "", err
	}
	if !q.Check && q.Force == "" {
		// An older run that fails to be told finds out when its turn comes.
		_ = l.supersede(ctx, q, active)
	}
	return q.Run, nil
}

// covers reports whether following run r is as good as the run that q asks for.
func covers(r wire.Result, q Request) bool {
	return r.Commit == q.Commit && r.Check == q.Check && (r.Rerun || !q.Rerun) && (r.Force == q.Force || q.Force == "")
}

// chooseBranch makes branch the deployed one where there is none yet; another one is an error.
func (l Layout) chooseBranch(ctx context.Context, branch string) error {
	deployed, err := l.deployedBranch(ctx)
	if err != nil || deployed == branch {
		return err
	}
	if deployed != "" {
		return fmt.Errorf("nodeside: this node deploys %s, not %s", deployed, branch)
	}
	for _, ref := range []string{wire.DeployedRef, "HEAD"} {
		if _, err := l.git().Run(ctx, nil, "symbolic-ref", ref, branch); err != nil {
			return fmt.Errorf("nodeside: choosing the deployed branch: %w", err)
		}
	}
	return nil
}

// keepCommit creates the run's ref: its commit cannot be collected, and the run's push is done.
func (l Layout) keepCommit(ctx context.Context, q Request) error {
	if _, err := l.git().Run(ctx, nil, "update-ref", wire.RunRefPrefix+q.Run, q.Commit); err != nil {
		return fmt.Errorf("nodeside: keeping the commit of run %s: %w", q.Run, err)
	}
	return nil
}

// active lists the runs that wait or work, and settles the records of those that were
// interrupted. The queue is locked, so none begins meanwhile.
func (l Layout) active() ([]wire.Result, error) {
	all, err := runlog.List(l.Runs())
	if err != nil {
		return nil, err
	}
	var active []wire.Result
	for dir, r := range all {
		if r.State.Final() {
			continue
		}
		now, err := runlog.Settle(dir, r)
		switch {
		case err != nil:
			return nil, err
		case now.State != wire.Interrupted:
			if !now.State.Final() {
				active = append(active, now)
			}
		default:
			now.Ended = time.Now()
			if err := dir.SetRecord(now); err != nil {
				return nil, err
			}
		}
	}
	return active, nil
}

// described names a run for people: what, who, since when.
func described(r wire.Result) string {
	text := fmt.Sprintf("run %s of %s", r.Run, short(r.Commit))
	if r.By != "" {
		text += " by " + r.By
	}
	since := r.Started
	if since.IsZero() {
		since = r.Queued
	}
	return text + since.Format(", since 15:04:05 -0700")
}

// join records that q's run is r.
func (l Layout) join(q Request, r wire.Result) error {
	now := time.Now()
	joined := wire.Result{
		Run: q.Run, Commit: q.Commit, Branch: q.Branch, By: q.By, Host: q.Host, Check: q.Check, Rerun: q.Rerun, Force: q.Force,
		State: wire.Joined, Other: r.Run, Queued: now, Ended: now,
	}
	_, alive, err := runlog.Create(l.Runs(), joined, "following "+described(r)+", which is there already")
	if err == nil {
		err = alive.Close()
	}
	return err
}

// begin queues q's run and starts its process.
func (l Layout) begin(ctx context.Context, q Request) error {
	if q.Host != "" && q.Host != l.hostname() {
		err := renameio.WriteFile(l.hostFile(), []byte(q.Host+"\n"), hostMode, renameio.WithTempDir(l.Dir))
		if err != nil {
			return fmt.Errorf("nodeside: keeping the node's name: %w", err)
		}
	}
	r := wire.Result{
		Run: q.Run, Commit: q.Commit, Branch: q.Branch, By: q.By, Host: l.hostname(), Check: q.Check, Rerun: q.Rerun, Force: q.Force,
		State: wire.Queued, Queued: time.Now(),
	}
	dir, alive, err := runlog.Create(l.Runs(), r, q.notes()...)
	if err != nil {
		return err
	}
	defer alive.Close()
	r.Pid, err = launch(ctx, l, q.Run, alive)
	if err != nil {
		r.State, r.Ended, r.Error = wire.Failed, time.Now(), err.Error()
	}
	return errors.Join(err, dir.SetRecord(r))
}

// supersede ends the runs that wait and that q, a descendant, makes needless. One that is to
// take commits away is not: what comes after it may be no descendant of those.
func (l Layout) supersede(ctx context.Context, q Request, active []wire.Result) error {
	for _, r := range active {
		if r.State != wire.Queued || r.Branch != q.Branch || r.Force != "" {
			continue
		}
		older, err := l.isAncestor(ctx, r.Commit, q.Commit)
		if err != nil {
			return err
		}
		if !older {
			continue
		}
		r.State, r.Other, r.Ended = wire.Superseded, q.Run, time.Now()
		r.LogBytes, err = logBytes(l.run(r.Run))
		if err != nil {
			return err
		}
		if err := l.run(r.Run).SetRecord(r); err != nil {
			return err
		}
	}
	return nil
}

func logBytes(d runlog.Dir) (int64, error) {
	info, err := os.Stat(d.Log())
	if err != nil {
		return 0, fmt.Errorf("nodeside: measuring a log: %w", err)
	}
	return info.Size(), nil
}

// self is the troops program that the run's process executes.
func self() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("nodeside: finding the troops program: %w", err)
	}
	// Linux says so of a program that has been replaced since it started.
	return filepath.Clean(strings.TrimSuffix(exe, " (deleted)")), nil
}
