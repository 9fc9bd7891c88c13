package push

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"troops/push/packs"
)

// waves is a rollout on its way.
type waves struct {
	rollout *Rollout
	store   *packs.Store
	results []NodeResult // of the targets, in their order
	budget  *budget
	gate    *gate
}

// TargetsByWave are the targets that the rollout reaches, wave after wave; those that are held
// are in none.
func (r *Rollout) TargetsByWave() [][]Target {
	var out [][]Target
	from := 0
	for _, end := range waveEnds(r.Waves, len(r.Targets)) {
		out = append(out, r.Targets[from:end])
		from = end
	}
	return out
}

// run reaches one wave of nodes after the other, and leaves out what is not to be started any
// more. Nodes that have begun are followed to their ends.
func (w *waves) run(ctx context.Context) {
	r := w.rollout
	ends := waveEnds(r.Waves, len(r.Targets))
	from := 0
	for i, end := range ends {
		if len(r.Waves) > 0 {
			wave := Wave{Number: i + 1, Of: len(ends)}
			for _, t := range r.Targets[from:end] {
				wave.Nodes = append(wave.Nodes, t.Host)
			}
			r.Sink.Emit(wave)
		}
		w.wave(ctx, from, end)
		begin := from
		from = end
		if end < len(r.Targets) {
			w.soak(ctx, begin, end)
		}
		if w.over(ctx) != "" {
			break
		}
	}
	rest := NotStarted{Why: w.over(ctx)}
	if rest.Why == "" {
		rest = NotStarted{Why: "promote with " + cmp.Or(r.Promote, "another push"), Held: true}
	}
	for i := from; i < len(r.Targets); i++ {
		w.finish(i, time.Now(), rest, nil)
	}
}

// wave deploys to the nodes from..end at once, as many as may be.
func (w *waves) wave(ctx context.Context, from, end int) {
	w.gate.wave(end - from)
	c := w.rollout.comparison(ctx, end-from)
	defer c.end()
	var g errgroup.Group
	g.SetLimit(w.rollout.Parallel)
	for i := from; i < end; i++ {
		g.Go(func() error {
			w.one(ctx, i, c)
			return nil
		})
	}
	_ = g.Wait() // no function of it fails
}

// one deploys to one node and tells its end.
func (w *waves) one(ctx context.Context, i int, c *comparison) {
	begin := time.Now()
	show := w.gate.begin()
	defer show(ctx)
	if why := w.over(ctx); why != "" {
		w.finish(i, begin, NotStarted{Why: why}, nil)
		return
	}
	n := &node{rollout: w.rollout, store: w.store, target: w.rollout.Targets[i], shown: c.note}
	n.admit = func(ctx context.Context, p *packs.Pack) error { return w.gate.pass(ctx, p, show) }
	out := n.deploy(ctx)
	c.note(NodePlan{Target: n.target, Outcome: out}) // where the node never came to show anything
	w.budget.count(out)
	w.finish(i, begin, out, n)
}

// finish notes how it ended for a node. n is nil where nothing was begun.
func (w *waves) finish(i int, begin time.Time, out Outcome, n *node) {
	res := NodeResult{Target: w.rollout.Targets[i], Outcome: out}
	if n != nil {
		res.Result, res.Took = n.result, time.Since(begin)
	}
	w.results[i] = res
	w.rollout.Sink.Emit(Finished{Node: res.Target.Host, Outcome: out, Result: res.Result, Took: res.Took})
}

// over says why no further node is to be started; empty where one may be.
func (w *waves) over(ctx context.Context) string {
	if w.rollout.Starting.Err() != nil || ctx.Err() != nil {
		return "interrupted"
	}
	return cmp.Or(w.gate.refused(), w.budget.spent())
}

// soak waits after the wave from..end, and looks whether its nodes are still well then. It
// ends early where the rollout does.
func (w *waves) soak(ctx context.Context, from, end int) {
	if w.over(ctx) != "" {
		return
	}
	if soak := w.rollout.Soak; soak > 0 {
		w.rollout.Sink.Emit(Soaking{For: soak})
		timer := time.NewTimer(soak)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		case <-w.rollout.Starting.Done():
			return
		}
	}
	var g errgroup.Group
	g.SetLimit(w.rollout.Parallel)
	for i := from; i < end; i++ {
		g.Go(func() error {
			w.checkUp(ctx, i)
			return nil
		})
	}
	_ = g.Wait() // no function of it fails
}

// checkUp finds out whether a node that the rollout left well still is.
func (w *waves) checkUp(ctx context.Context, i int) {
	switch out := w.results[i].Outcome.(type) {
	case Deployed:
		if out.Plain {
			return
		}
	case Current:
	default:
		return
	}
	n := &node{rollout: w.rollout, store: w.store, target: w.rollout.Targets[i]}
	begin := time.Now()
	if bad := n.checkUp(ctx); bad != nil {
		w.budget.count(bad)
		w.finish(i, begin, bad, n)
	}
}

// budget counts the nodes that are not well, up to what is allowed.
type budget struct {
	max   int // below 0: any number
	share string

	mu  sync.Mutex
	bad int
}

// budget is that of the whole fleet.
func (r *Rollout) budget() *budget {
	switch {
	case r.MaxFail != nil:
		return &budget{max: r.MaxFail.AtMost(len(r.Targets)), share: r.MaxFail.String()}
	case len(r.Waves) > 0:
		return &budget{max: 0, share: "0"}
	}
	return &budget{max: -1}
}

func (b *budget) count(o Outcome) {
	switch o.Kind() {
	case KindDeployed, KindStarted, KindCurrent, KindNotStarted:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bad++
}

// spent says that more nodes are not well than may be; empty where that is not so.
func (b *budget) spent() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.max < 0 || b.bad <= b.max {
		return ""
	}
	return fmt.Sprintf("the rollout was stopped, %d failed (--max-fail %s)", b.bad, b.share)
}
