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
	Target   Target
	At       gitwire.OID    // what it has deployed; empty for nothing
	Relation packs.Relation // of At to the rollout's commit; no meaning where At is empty
	Outcome  Outcome        // what it would come to without a push: current, refused, unreachable, failed; nil: it would get the commit
}

// Loses reports whether the node has deployed what the rollout's commit does not have.
func (p NodePlan) Loses() bool {
	return p.At != "" && p.Relation.Kind != packs.Equal && p.Relation.Kind != packs.Behind
}

// Change is what nodes that are at one commit would get, and lose.
type Change struct {
	Commits []string // the newest [MaxPlanCommits] commits, each as its short name and its subject, newest first
	Lost    []string // commits that are taken away, likewise
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

// AllowForce lets the rollout take away what plans, of nodes that were just looked at, say that
// nodes would lose: exactly these commits on these nodes. A node that is at another one when its
// turn comes refuses. It changes the plans accordingly, and reports whether there are such nodes.
func (r *Rollout) AllowForce(plans []NodePlan) bool {
	r.Force = make(map[string]gitwire.OID)
	for i, p := range plans {
		if _, refused := p.Outcome.(Refused); refused && p.Loses() {
			r.Force[p.Target.Host] = p.At
			plans[i].Outcome = nil
		}
	}
	return len(r.Force) > 0
}

// lookAtAll asks targets something, in parallel, and gives the answers in their order.
func lookAtAll[A any](ctx context.Context, r *Rollout, targets []Target, ask func(*node, context.Context) A) ([]A, error) {
	store, err := packs.Open(ctx, r.Repo, r.known())
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
	adv, err := n.look(ctx)
	if err != nil {
		p.Outcome = Failed{Phase: PhasePush, Err: err}
		return p
	}
	if p.Outcome = n.fits(adv); p.Outcome != nil {
		return p
	}
	_, troops, at := deployedBranch(adv, n.rollout.Branch)
	return n.compare(ctx, at, troops)
}

// Change says what comes with the rollout's commit to nodes that are where p's is. Of a commit
// that does not exist here nothing is known.
func (r *Rollout) Change(ctx context.Context, p NodePlan) (c Change, err error) {
	to, from := string(r.Commit), string(p.At)
	switch {
	case from == "":
		c.Commits, err = r.log(ctx, to)
		return c, err
	case p.Relation.Kind == packs.Unknown, p.Relation.Kind == packs.Equal:
		return c, nil
	}
	if c.Commits, err = r.log(ctx, to, "^"+from); err != nil {
		return c, err
	}
	if c.Lost, err = r.log(ctx, from, "^"+to); err != nil {
		return c, err
	}
	c.Files, err = r.lines(ctx, "diff", "--no-ext-diff", "--no-color", "--name-only", from, to, "--",
		"deploy.py", "deploy", "requirements.txt", "roles.toml")
	return c, err
}

// log lists the newest commits of a range.
func (r *Rollout) log(ctx context.Context, revs ...string) ([]string, error) {
	args := append([]string{"log", "--no-show-signature", "--no-color", "--format=%h %s", fmt.Sprintf("--max-count=%d", MaxPlanCommits)}, revs...)
	return r.lines(ctx, append(args, "--")...)
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
