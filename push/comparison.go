package push

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// comparison gathers what the nodes of a wave have, and tells what they get: see [Compared].
type comparison struct {
	rollout *Rollout
	ctx     context.Context
	timer   *time.Timer
	ended   chan struct{} // closed once it was told

	mu      sync.Mutex // guards what follows
	plans   []NodePlan
	noted   map[string]bool // hosts that are in plans
	pending int
	due     bool // the time is over: the next plan is told at once
	over    bool // it is told, or being told, or not to be
}

// comparison begins that of n nodes; end must be called on it.
func (r *Rollout) comparison(ctx context.Context, n int) *comparison {
	c := &comparison{rollout: r, ctx: ctx, ended: make(chan struct{}), noted: make(map[string]bool, n), pending: n}
	c.timer = time.AfterFunc(r.limits.compare, c.tell)
	return c
}

// note takes a node's plan, of which the first counts, and tells when it was awaited: the last
// one, or the first after the time was over.
func (c *comparison) note(p NodePlan) {
	if !c.take(p) {
		return
	}
	c.timer.Stop()
	c.tell()
}

// take reports whether the plan was awaited.
func (c *comparison) take(p NodePlan) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || c.noted[p.Target.Host] {
		return false
	}
	c.noted[p.Target.Host] = true
	c.plans = append(c.plans, p)
	c.pending--
	return c.pending == 0 || c.due
}

// finish reports whether anything is to be told, which it is once.
func (c *comparison) finish() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due = true
	begin := !c.over && len(c.plans) > 0
	c.over = c.over || begin
	return begin
}

func (c *comparison) tell() {
	if !c.finish() {
		return
	}
	defer close(c.ended)
	r := c.rollout
	e := Compared{Commit: string(r.Commit), Subject: r.Subject, Plans: c.plans, Pending: c.pending}
	slices.SortStableFunc(e.Plans, func(a, b NodePlan) int {
		return cmp.Or(b.gets()-a.gets(), cmp.Compare(a.Target.Host, b.Target.Host))
	})
	if first := e.Plans[0]; first.gets() > 1 { // one is what the push began with
		// Text for people, without which the push goes on.
		e.Commits, _ = r.log(c.ctx, string(r.Commit), "^"+string(first.At))
	}
	r.Sink.Emit(e)
}

// gets is how many commits more the node will have.
func (p NodePlan) gets() int {
	if p.Outcome != nil || p.At == "" {
		return 0
	}
	return p.Relation.Missing
}

// end has nothing told any more, and waits for what is being told.
func (c *comparison) end() {
	c.timer.Stop()
	c.mu.Lock()
	telling := c.over
	c.over = true
	c.mu.Unlock()
	if telling {
		<-c.ended
	}
}
