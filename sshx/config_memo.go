package sshx

import (
	"context"
	"errors"
	"sync"
)

// memo keeps the results of work that is done once for each key, however many ask for it
// at once. Work that its caller's context ended is not kept.
type memo[K comparable, V any] struct {
	mu   sync.Mutex
	runs map[K]*memoRun[V]
}

// memoRun is one piece of work, under way or done.
type memoRun[V any] struct {
	done  chan struct{} // closed once the fields below are set
	value V
	err   error
}

// errGivenUp is the result of work whose caller went away before its end.
var errGivenUp = errors.New("given up")

// get gives the result for a key, doing the work if nobody has.
func (m *memo[K, V]) get(ctx context.Context, key K, work func(context.Context) (V, error)) (V, error) {
	for {
		m.mu.Lock()
		r, known := m.runs[key]
		if !known {
			r = &memoRun[V]{done: make(chan struct{})}
			if m.runs == nil {
				m.runs = make(map[K]*memoRun[V])
			}
			m.runs[key] = r
		}
		m.mu.Unlock()
		if !known {
			return m.do(ctx, key, r, work)
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
		if r.err != errGivenUp {
			return r.value, r.err
		}
	}
}

// do does the work of a run and tells those who wait for it.
func (m *memo[K, V]) do(ctx context.Context, key K, r *memoRun[V], work func(context.Context) (V, error)) (V, error) {
	defer close(r.done)
	r.value, r.err = work(ctx)
	if ctx.Err() == nil {
		return r.value, r.err
	}
	m.mu.Lock()
	delete(m.runs, key)
	m.mu.Unlock()
	r.err = errGivenUp
	var none V
	return none, ctx.Err()
}

// len is how many keys have a result, or will have one.
func (m *memo[K, V]) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.runs)
}
