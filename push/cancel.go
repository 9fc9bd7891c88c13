package push

import (
	"context"
	"errors"
	"fmt"

	"troops/nodeside/wire"
)

// CancelResult is what a node did about a run that it was asked to cancel.
type CancelResult struct {
	Target Target
	Result *wire.Result // how the run ended, [wire.Cancelled] where it did so for this; nil where it is not there
	Err    error        // why nothing is known
}

// Cancel asks all targets, in parallel, to end a run, and waits until it has ended. The results
// are in the targets' order. An error means that nothing was contacted, or that ctx ended.
func (r *Rollout) Cancel(ctx context.Context, run string) ([]CancelResult, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	return lookAtAll(ctx, r, r.Targets, func(n *node, ctx context.Context) CancelResult {
		res := CancelResult{Target: n.target}
		res.Result, res.Err = n.cancel(ctx, run)
		return res
	})
}

// cancel asks one node. The result is nil where it does not have the run.
func (n *node) cancel(ctx context.Context, run string) (*wire.Result, error) {
	if err := n.dial(ctx, ctx); err != nil {
		return nil, err
	}
	defer n.hangUp()
	if _, _, err := n.advertised(ctx); err != nil {
		return nil, err // one of another version is not asked for what it may take for something else
	}
	f := n.follower(run)
	word, err := QuotePath(run)
	if err != nil {
		return nil, err
	}
	command := "cancel " + word
	if by, err := QuotePath(n.rollout.By); err == nil {
		command += " " + by
	}
	a, err := f.followBy(ctx, n.conn, n.rollout.RepoPath, command)
	if errors.Is(err, errNoAttach) {
		return nil, fmt.Errorf("cancelling run %s: %s (if this says nothing of the run, its troops may be older than this one: %s)", run, oneLine(err), n.upgrade())
	}
	if err != nil {
		return nil, n.versioned(err)
	}
	defer a.close()
	r, err := f.read(a)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cancelling run %s: %w", run, err)
	case r.State == wire.Absent:
		return nil, nil
	}
	return r, nil
}
