package sshx

import (
	"context"
	"sync"
)

// Connections to one jump host: how many hosts are reached by each before there is another
// one, and how many there are at most. All hosts behind one connection share its bandwidth,
// one process on the jump host and that process's limit of open files.
const (
	MaxTunnels   = 200
	MaxJumpConns = 4
)

// jumpPool holds the connections to jump hosts, by route, for all hosts behind them.
type jumpPool struct {
	mu     sync.Mutex
	conns  map[string][]*sharedConn
	closed bool
}

// sharedConn is a connection to a jump host in the making, made, or failed.
type sharedConn struct {
	ready chan struct{} // closed once the fields below are set
	conn  *Conn
	err   error

	tunnels int // leases; under the pool's mu
}

// made reports whether the dial has ended.
func (s *sharedConn) made() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// spent reports whether another try is due: the connection is gone, or it failed for a
// reason that may pass. A refused key or host key does not pass: asking again would have
// the jump host block the workstation.
func (s *sharedConn) spent() bool {
	if !s.made() {
		return false
	}
	if s.err != nil {
		return !isFinal(s.err)
	}
	select {
	case <-s.conn.Done():
		return true
	default:
		return false
	}
}

// lease is a share in the connection to a jump host.
type lease struct {
	conn *Conn
	end  func() // must be called once
}

// lease gives a share in a connection to a jump host. The first one there is dialled once
// for all; the others only while one stands, so that a refusal is met once. A dial is the
// Client's: a caller that gives up does not end it for the others.
func (c *Client) lease(ctx context.Context, r *route) (*lease, error) {
	for crowded := false; ; {
		s, l, err := c.share(r, crowded)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		switch {
		case s.err == nil:
		case crowded || !c.standing(r):
			return nil, s.err
		default:
			crowded = true // no further connection: those that stand must do
		}
	}
}

// share takes a share in the connection with the fewest, where one stands that is not full
// or, where crowded, at all. Else it gives the connection to wait for.
func (c *Client) share(r *route, crowded bool) (*sharedConn, *lease, error) {
	p, key := c.jumps, r.path()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrClosed
	}
	var kept []*sharedConn
	var best, waiting, failed *sharedConn
	for _, s := range p.conns[key] {
		switch {
		case s.spent():
			if gone := s.conn; gone != nil {
				c.wg.Go(func() { gone.Close() })
			}
			continue
		case !s.made():
			waiting = s
		case s.err != nil:
			failed = s
		case best == nil || s.tunnels < best.tunnels:
			best = s
		}
		kept = append(kept, s)
	}
	p.conns[key] = kept
	switch {
	case best != nil && (best.tunnels < MaxTunnels || crowded || failed != nil || waiting == nil && len(kept) >= MaxJumpConns):
		best.tunnels++
		return nil, &lease{conn: best.conn, end: func() { p.leave(best) }}, nil
	case waiting != nil:
		return waiting, nil, nil
	case failed != nil:
		return nil, nil, failed.err
	}
	made := &sharedConn{ready: make(chan struct{})}
	p.conns[key] = append(kept, made)
	c.wg.Go(func() {
		made.conn, made.err = c.dial(c.ctx, r)
		close(made.ready)
	})
	return made, nil, nil
}

// leave gives a share back.
func (p *jumpPool) leave(s *sharedConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.tunnels--
}

// standing reports whether there is a connection to a jump host.
func (c *Client) standing(r *route) bool {
	c.jumps.mu.Lock()
	defer c.jumps.mu.Unlock()
	for _, s := range c.jumps.conns[r.path()] {
		if s.made() && s.err == nil && !s.spent() {
			return true
		}
	}
	return false
}

// close ends every shared connection. The Client's context has ended before, and with it
// the dials.
func (p *jumpPool) close() {
	p.mu.Lock()
	p.closed = true
	var all []*sharedConn
	for _, conns := range p.conns {
		all = append(all, conns...)
	}
	p.mu.Unlock()
	for _, s := range all {
		<-s.ready
		if s.conn != nil {
			s.conn.Close()
		}
	}
}
