package push

import (
	"context"
	"errors"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"
)

// Pull makes all targets pull from their own remotes now, and follows what they deploy, as
// Run does with what it pushes. What that is, the remotes decide: the rollout's commit does
// not matter, nor do its waves.
func (r *Rollout) Pull(ctx context.Context) ([]NodeResult, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	p := *r
	p.Commit, p.Waves = "", nil
	p.Targets = make([]Target, len(r.Targets))
	planned := Planned{}
	for i, t := range r.Targets {
		t.Complete = false // its roles are those of another commit
		p.Targets[i] = t
		planned.Nodes = append(planned.Nodes, t.Host)
	}
	p.Sink.Emit(planned)
	w := &waves{rollout: &p, results: make([]NodeResult, len(p.Targets)), budget: p.budget(), gate: p.gate()}
	var g errgroup.Group
	g.SetLimit(p.Parallel)
	for i := range p.Targets {
		g.Go(func() error {
			w.pullOne(ctx, i)
			return nil
		})
	}
	_ = g.Wait() // no function of it fails
	return w.results, nil
}

// pullOne makes one node pull and tells its end.
func (w *waves) pullOne(ctx context.Context, i int) {
	begin := time.Now()
	if why := w.over(ctx); why != "" {
		w.finish(i, begin, NotStarted{Why: why}, nil)
		return
	}
	n := &node{rollout: w.rollout, target: w.rollout.Targets[i]}
	w.finish(i, begin, n.pull(ctx), n)
}

// notPulled is the outcome of a node that did not take the request, which is what err says.
func (n *node) notPulled(ctx context.Context, err error) Outcome {
	if out := n.otherVersion(err); out != nil {
		return out
	}
	if errors.Is(err, errNoAttach) {
		err = n.lacks(ctx, "pull", err)
	}
	var lack *lackError
	if errors.As(err, &lack) {
		return Refused{Reason: "the node cannot be asked to pull: " + oneLine(lack.why), Hint: lack.hint}
	}
	return Failed{Phase: PhasePull, Err: err}
}

// pull takes the node from a dial to the outcome of its pull.
func (n *node) pull(ctx context.Context) Outcome {
	n.phase(PhaseConnect)
	if err := n.dial(ctx, ctx); err != nil {
		if ctx.Err() != nil {
			return NotStarted{Why: "interrupted"}
		}
		return Unreachable{Err: err}
	}
	defer func() { n.hangUp() }()
	n.phase(PhasePull)
	f := &follower{emit: n.emit, phase: n.phase, run: ulid.Make().String(), seen: func() {}, limits: n.rollout.limits}
	host, err := QuotePath(n.target.Name)
	if err != nil {
		return Failed{Phase: PhasePull, Err: err}
	}
	command := "pull " + f.run + " " + host
	if by, err := QuotePath(n.rollout.By); err == nil {
		command += " " + by
	}
	var a *attachment
	if _, _, err = n.advertised(ctx); err == nil { // one of another version is not even asked
		a, err = f.followBy(ctx, n.conn, n.rollout.RepoPath, command)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return Unknown{Run: f.run, Err: errLeft} // it may have begun
	case err != nil:
		return n.notPulled(ctx, err)
	}
	defer func() { a.close() }()
	if n.result, err = f.read(a); err == nil {
		return n.outcome(f.run)
	}
	if ctx.Err() != nil {
		return Unknown{Run: f.run, Err: errLeft}
	}
	return n.refind(ctx, f, &a, f.offset == 0, err)
}
