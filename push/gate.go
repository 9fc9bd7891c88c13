package push

import (
	"context"
	"fmt"
	"sync"
	"time"

	"troops/push/packs"
)

const (
	// DefaultLargePush is how many bytes of packs a push may send to all nodes together before
	// [Rollout.Agree] is asked.
	DefaultLargePush = 1_000_000_000
	// SurveyTime is how long a node with a large pack waits at most for the others to show what
	// they need; those that have not by then are counted as if they needed the same.
	SurveyTime = 10 * time.Second
)

// Load is what a push is about to send.
type Load struct {
	Pack  int64 // bytes of a node's pack; of the largest one where they differ
	Nodes int   // that may get one
	Total int64 // bytes to all of them
}

// String says it as "pack 84 MB x 200 nodes = 16.8 GB".
func (l Load) String() string {
	nodes := "nodes"
	if l.Nodes == 1 {
		nodes = "node"
	}
	return fmt.Sprintf("pack %s x %d %s = %s", Bytes(l.Pack), l.Nodes, nodes, Bytes(l.Total))
}

// Bytes says a number of bytes with a decimal unit and at most three digits: "84 MB", "16.8 GB".
func Bytes(n int64) string {
	v, unit := float64(n), ""
	for _, u := range []string{"k", "M", "G", "T"} {
		if v < 1000 {
			break
		}
		v, unit = v/1000, u
	}
	if unit == "" || v >= 99.95 || v == float64(int64(v)) {
		return fmt.Sprintf("%.0f %sB", v, unit)
	}
	return fmt.Sprintf("%.1f %sB", v, unit)
}

// declined is a node that was sent nothing since so much was not to be sent.
type declined struct{ err error }

// Error says why.
func (d *declined) Error() string { return d.err.Error() }

// gate holds back the nodes of a wave that need a large pack until all of the wave's have shown
// what they need, so that the user can be told what that comes to before it is sent. Nodes that
// need little pass at once, and a push that is small whatever the nodes need is not held at all.
type gate struct {
	limit  int64
	ask    func(context.Context, Load) error // nil: yes
	survey time.Duration

	mu      sync.Mutex // guards all below
	nodes   int        // of the wave
	silent  int        // those that have not shown what they need
	idle    int        // those of them that have not begun
	waiting int        // nodes that need a large pack
	load    Load       // of those that wait
	passed  int64      // bytes of large packs that went without a question
	agreed  bool       // the user was asked
	no      error      // the user's no
	asking  bool
	change  chan struct{} // closed when one of the last three has changed
}

func (r *Rollout) gate() *gate {
	g := &gate{limit: r.LargePush, ask: r.Agree, survey: r.limits.survey, change: make(chan struct{})}
	g.agreed = g.ask == nil
	return g
}

// wave begins one of so many nodes.
func (g *gate) wave(nodes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.nodes, g.silent, g.idle = nodes, nodes, nodes
}

// begin counts a node that is contacted now. show must be called when it has shown what it needs,
// or has ended; calling it again does nothing.
func (g *gate) begin() (show func(context.Context)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.idle--
	shown := false
	return func(ctx context.Context) {
		g.mu.Lock()
		if !shown {
			shown = true
			g.silent--
		}
		g.mu.Unlock()
		g.decide(ctx, false)
	}
}

// refused says why no further node is to be started; empty where one may be.
func (g *gate) refused() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.no == nil {
		return ""
	}
	return g.no.Error()
}

// small reports whether packs of this one's size may go to all nodes of the wave without a
// question. It waits until that is known, which may be long before the pack is whole.
func (g *gate) small(ctx context.Context, p *packs.Pack) (bool, error) {
	g.mu.Lock()
	agreed, nodes := g.agreed, g.nodes
	g.mu.Unlock()
	if agreed {
		return true, nil
	}
	more, err := p.Exceeds(ctx, g.limit/int64(max(1, nodes)))
	return !more, err
}

// pass waits until the pack may be sent to one node of the wave. The error is
// *declined, of the pack, or of ctx.
func (g *gate) pass(ctx context.Context, p *packs.Pack, show func(context.Context)) error {
	ok, err := g.small(ctx, p)
	if ok || err != nil {
		show(ctx)
		return err
	}
	size, err := p.Size(ctx)
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.waiting++
	g.load.Pack = max(g.load.Pack, size)
	g.load.Total += size
	change := g.change
	g.mu.Unlock()
	show(ctx)
	timer := time.NewTimer(g.survey)
	defer timer.Stop()
	for {
		select {
		case <-change:
			g.mu.Lock()
			defer g.mu.Unlock()
			if g.no != nil {
				return &declined{g.no}
			}
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			g.decide(ctx, true)
		}
	}
}

// decide lets those that wait go on, where all that will have shown what they need, or at once.
// The node that comes last is the one in whose name the user is asked.
func (g *gate) decide(ctx context.Context, now bool) {
	g.mu.Lock()
	if g.waiting == 0 || g.asking || !now && g.silent > g.idle {
		g.mu.Unlock()
		return
	}
	load := g.load
	load.Nodes = g.waiting + g.silent
	load.Total += int64(g.silent) * load.Pack
	must := !g.agreed && g.no == nil && g.passed+load.Total > g.limit
	g.asking = must
	g.mu.Unlock()
	var no error
	if must {
		no = g.ask(ctx, load)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if must {
		g.asking, g.agreed, g.no = false, no == nil, no
	} else {
		g.passed += g.load.Total
	}
	g.waiting, g.load = 0, Load{}
	close(g.change)
	g.change = make(chan struct{})
}
