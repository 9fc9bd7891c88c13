package sshx

import (
	"context"
	"fmt"
	"net/netip"
)

// transport opens what ssh is spoken over, when it is its turn: a tunnel through a jump host,
// a command, TCP. done gives the turn back and must be called once with what became of the
// handshake. An error is a *DialError.
func (a *attempt) transport(ctx context.Context) (w *wire, done func(error), err error) {
	switch {
	case a.r.jump != nil:
		return a.viaJump(ctx)
	case a.r.s.ProxyCommand != "":
		return a.viaProxy(ctx)
	}
	limit := firstPositive(a.c.opts.ConnectTimeout, a.r.s.ConnectTimeout, DefaultConnectTimeout)
	addrs, err := a.lookup(ctx, limit)
	if err != nil {
		return nil, nil, a.fail(ctx, a.clock.at(), err)
	}
	a.clock.stop()
	// Names that lead to one address lead to one sshd.
	release, err := a.turn(ctx, netip.AddrPortFrom(addrs[0], uint16(a.r.s.Port)).String())
	if err != nil {
		return nil, nil, a.fail(ctx, StageConnect, err)
	}
	conn, err := a.connect(ctx, addrs, limit)
	if err != nil {
		release()
		return nil, nil, a.fail(ctx, StageConnect, err)
	}
	return newWire(conn), func(error) { release() }, nil
}

// turn waits until the sshd that a key names may be dialled once more.
func (a *attempt) turn(ctx context.Context, key string) (release func(), err error) {
	if a.auth.scouts() {
		return func() {}, nil // one more, for all those that wait
	}
	return a.c.pace.acquire(ctx, key)
}

// viaJump opens a tunnel through the connection to a jump host, which is shared.
func (a *attempt) viaJump(ctx context.Context) (*wire, func(error), error) {
	s := a.r.s
	lease, err := a.c.lease(ctx, a.r.jump)
	if err != nil {
		return nil, nil, a.fail(ctx, StageJump, err)
	}
	release, err := a.turn(ctx, a.r.paceKey())
	if err != nil {
		lease.end()
		return nil, nil, a.fail(ctx, StageConnect, err)
	}
	limit := firstPositive(a.c.opts.ConnectTimeout, s.ConnectTimeout, DefaultConnectTimeout)
	a.clock.enter(StageConnect, fmt.Sprintf("the jump host %s did not reach it", lease.conn.Host()), limit)
	t, err := lease.conn.tunnel(ctx, a.r)
	if err != nil {
		release()
		lease.end()
		return nil, nil, a.fail(ctx, StageConnect, err)
	}
	t.closed, a.jump = lease.end, lease.conn
	return newWire(t), func(error) { release() }, nil
}

// viaProxy starts a ProxyCommand.
func (a *attempt) viaProxy(ctx context.Context) (*wire, func(error), error) {
	s := a.r.s
	release, err := a.turn(ctx, a.r.paceKey())
	if err != nil {
		return nil, nil, a.fail(ctx, StageConnect, err)
	}
	report, err := a.c.scouts.enter(ctx, commonProxy(s.ProxyTemplate, s.User))
	if err != nil {
		release()
		return nil, nil, a.fail(ctx, StageConnect, err)
	}
	done := func(err error) {
		report(err)
		release()
	}
	p, err := startProxy(s.ProxyCommand)
	if err != nil {
		done(err)
		return nil, nil, a.fail(ctx, StageConnect, err)
	}
	w := newWire(p)
	w.proxy = p
	return w, done, nil
}
