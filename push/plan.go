package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"troops/push/gitwire"
	"troops/push/packs"
)

// MaxPlanCommits is how many commits a plan lists for nodes that are at the same one.
const MaxPlanCommits = 10

// NodePlan is what a push would do to one node, by what the node shows now.
type NodePlan struct {
	Target  Target
	At      gitwire.OID // what it has deployed; empty for nothing
	Missing int         // commits that it would get, where At is not empty
	Outcome Outcome     // what it would come to without a push: current, refused, unreachable, failed; nil: it would get the commit
}

// Change is what nodes that are at one commit would get.
type Change struct {
	Commits []string // the newest [MaxPlanCommits] commits, each as its short name and its subject, newest first
	Files   []string // of deploy.py, requirements.txt, roles.toml and deploy: those that change
}

// Plan looks at the targets of all waves, in parallel, and says what a push would do, in their order. It
// changes nothing on either side. An error means that nothing was contacted, or that ctx ended.
func (r *Rollout) Plan(ctx context.Context) ([]NodePlan, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	return lookAtAll(ctx, r, slices.Concat(r.TargetsByWave()...), (*node).plan)
}

// lookAtAll asks targets something, in parallel, and gives the answers in their order.
func lookAtAll[A any](ctx context.Context, r *Rollout, targets []Target, ask func(*node, context.Context) A) ([]A, error) {
	store, err := packs.Open(ctx, r.Repo)
	if err != nil {
		return nil, err
	}
	answers := make([]A, len(targets))
	var g errgroup.Group
	g.SetLimit(r.Parallel)
	for i, t := range targets {
		g.Go(func() error {
			answers[i] = ask(&node{rollout: r, store: store, target: t}, ctx)
			return nil
		})
	}
	_ = g.Wait() // no function of it fails
	return answers, errors.Join(context.Cause(ctx), store.Close())
}

// plan looks at one node, as deploy does up to the point where something would be sent.
func (n *node) plan(ctx context.Context) NodePlan {
	p := NodePlan{Target: n.target}
	if err := n.dial(ctx, ctx); err != nil {
		p.Outcome = Unreachable{Err: err}
		return p
	}
	defer n.hangUp()
	var err error
	if p.At, _, err = n.advertised(ctx); err != nil {
		p.Outcome = Failed{Phase: PhasePush, Err: err}
		return p
	}
	if p.Outcome = n.compare(ctx, p.At); p.Outcome != nil || p.At == "" {
		return p
	}
	rel, err := n.store.Relation(ctx, p.At, n.rollout.Commit)
	if err != nil {
		p.Outcome = Failed{Phase: PhasePush, Err: err}
	}
	p.Missing = rel.Missing
	return p
}

// Change says what comes with the rollout's commit to nodes that are at another one, which
// exists here; empty means nodes that have nothing.
func (r *Rollout) Change(ctx context.Context, at gitwire.OID) (Change, error) {
	var c Change
	revs := []string{string(r.Commit)}
	if at != "" {
		revs = append(revs, "^"+string(at))
	}
	args := append([]string{"log", "--no-show-signature", "--no-color", "--format=%h %s", fmt.Sprintf("--max-count=%d", MaxPlanCommits)}, revs...)
	out, err := r.lines(ctx, append(args, "--")...)
	if err != nil {
		return c, err
	}
	c.Commits = out
	if at == "" {
		return c, nil
	}
	c.Files, err = r.lines(ctx, "diff", "--no-ext-diff", "--no-color", "--name-only", string(at), string(r.Commit), "--",
		"deploy.py", "deploy", "requirements.txt", "roles.toml")
	return c, err
}

// lines runs a git command and splits what it prints.
func (r *Rollout) lines(ctx context.Context, args ...string) ([]string, error) {
	out, err := r.Repo.Run(ctx, nil, args...)
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	return slices.DeleteFunc(lines, func(s string) bool { return s == "" }), nil
}
