package packs

import (
	"context"
	"sync"
)

// memo remembers answers. Each is worked out once, whoever asks, in a goroutine of the store, so
// that one caller's cancellation is not another's. Errors are not remembered.
type memo[K comparable, V any] struct {
	store *Store
	mu    sync.Mutex
	m     map[K]*answer[V]
}

type answer[V any] struct {
	done  chan struct{} // closed when value and err are set
	value V
	err   error
}

func newMemo[K comparable, V any](s *Store) *memo[K, V] {
	return &memo[K, V]{store: s, m: make(map[K]*answer[V])}
}

func (m *memo[K, V]) get(ctx context.Context, key K, find func() (V, error)) (V, error) {
	m.mu.Lock()
	a, ok := m.m[key]
	if !ok {
		a = &answer[V]{done: make(chan struct{})}
		m.m[key] = a
		if err := m.store.start(func() { m.find(key, a, find) }); err != nil {
			delete(m.m, key)
			a.err = err
			close(a.done)
		}
	}
	m.mu.Unlock()
	select {
	case <-a.done:
		return a.value, a.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}

func (m *memo[K, V]) find(key K, a *answer[V], find func() (V, error)) {
	defer close(a.done)
	if a.value, a.err = find(); a.err != nil {
		m.mu.Lock()
		delete(m.m, key)
		m.mu.Unlock()
	}
}
