package output

import (
	"fmt"
	"io"
	"time"

	"troops/push"
)

// Record is the sink that keeps what a report needs: how it ended for each node, and the last
// lines of those that are not well. Its methods may be called by many goroutines.
type Record struct {
	lines *Lines // that nobody sees
	plan  push.Planned
}

var _ push.Sink = (*Record)(nil)

// NewRecord returns a sink that has heard of nothing yet.
func NewRecord() *Record {
	return &Record{lines: NewLines(io.Discard, Options{Quiet: true})}
}

// Emit implements [push.Sink].
func (r *Record) Emit(e push.Event) {
	if plan, ok := e.(push.Planned); ok {
		r.lines.mu.Lock()
		r.plan = plan
		r.lines.mu.Unlock()
	}
	r.lines.Emit(e)
}

// title says what was pushed.
func (r *Record) title() string {
	return fmt.Sprintf("%s %q", short(r.plan.Commit), Sanitize(r.plan.Subject))
}

// took is how long the rollout took so far.
func (r *Record) took() time.Duration { return r.lines.now().Sub(r.lines.start) }
