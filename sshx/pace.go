package sshx

import (
	"context"
	"sync"
)

// MaxHandshakes is how many connections to one sshd are in the making at once. sshd's
// default MaxStartups begins to drop connections at ten that are not authenticated.
const MaxHandshakes = 8

// maxLookups is how many names are resolved at once: more only time out together.
const maxLookups = 32

// pacer limits the unauthenticated connections to each sshd address. Sessions on
// connections that stand are not its concern.
type pacer struct {
	mu    sync.Mutex
	slots map[string]*slot

	lookups chan struct{}
}

// slot is one address; it is forgotten when nobody uses it.
type slot struct {
	users  int
	tokens chan struct{}
}

func newPacer() *pacer {
	return &pacer{slots: make(map[string]*slot), lookups: make(chan struct{}, maxLookups)}
}

// acquire waits for a turn at addr. release gives it back and must be called once.
func (p *pacer) acquire(ctx context.Context, addr string) (release func(), err error) {
	p.mu.Lock()
	s, ok := p.slots[addr]
	if !ok {
		s = &slot{tokens: make(chan struct{}, MaxHandshakes)}
		p.slots[addr] = s
	}
	s.users++
	p.mu.Unlock()
	leave := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(p.slots, addr)
		}
	}
	select {
	case s.tokens <- struct{}{}:
		return func() { <-s.tokens; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// resolving waits for a turn at the resolver.
func (p *pacer) resolving(ctx context.Context) (release func(), err error) {
	select {
	case p.lookups <- struct{}{}:
		return func() { <-p.lookups }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
