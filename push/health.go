package push

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"

	"troops/nodeside/wire"
)

// checkUp looks at a node that has the rollout's commit: it must be reachable, have that
// commit or a later one still, and pass its checks. The outcome is nil where it is well.
func (n *node) checkUp(ctx context.Context) Outcome {
	if err := n.dial(ctx, ctx); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted: nothing is known against it
		}
		return Unreachable{Err: err}
	}
	defer func() { n.hangUp() }()
	f := n.follower(ulid.Make().String())
	command := "check " + f.run
	if by, err := QuotePath(n.rollout.By); err == nil {
		command += " " + by
	}
	a, err := f.followBy(ctx, n.conn, n.rollout.RepoPath, command)
	if errors.Is(err, errNoAttach) {
		return n.stillThere(ctx, err)
	}
	if err == nil {
		defer a.close()
		n.result, err = f.read(a)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return Failed{Run: f.run, Phase: PhaseCheck, Err: err}
	case n.result.State == wire.OK && n.result.Check:
		return n.outcomeOfCheck()
	}
	return n.outcome(f.run)
}

// outcomeOfCheck is that of checks that all passed, perhaps those of another commit.
func (n *node) outcomeOfCheck() Outcome {
	if n.result.Commit != string(n.rollout.Commit) {
		return Superseded{By: n.result.Commit}
	}
	return nil
}

// stillThere is the check-up of a node that has no checks, since its troops is too old or lets
// nobody start a second command: what is deployed has to do.
func (n *node) stillThere(ctx context.Context, cause error) Outcome {
	at, _, err := n.advertised(ctx)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return Failed{Phase: PhaseCheck, Err: err}
	case at != n.rollout.Commit:
		return Superseded{By: string(at)}
	}
	n.note("its checks cannot be run: %s", oneLine(fmt.Errorf("%w: is its troops older than this one? %s", cause, n.upgrade())))
	return nil
}
