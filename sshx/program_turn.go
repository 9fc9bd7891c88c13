package sshx

import "context"

// guardedProgram is a program as it may be run for one host, and how it goes there.
type guardedProgram struct {
	*program
	way   string // what it goes through, the same for all hosts behind it; empty for no such thing
	proxy bool   // that is a ProxyCommand of the user's
}

// guarded makes sure that a program keeps to our rules about host keys. ssh itself does, by
// the arguments that it is given.
func (c *Client) guarded(ctx context.Context, r *route, p *program, o masterOptions) (guardedProgram, error) {
	if !p.system {
		return p.guards.get(ctx, r.target, func(ctx context.Context) (guardedProgram, error) {
			return p.guard(ctx, p.masterArgs(r, "none", o), c.opts.ReadOnly)
		})
	}
	g := guardedProgram{program: p, proxy: r.jump == nil && r.s.ProxyCommand != ""}
	switch {
	case r.jump != nil:
		g.way = "ProxyJump " + r.jump.path()
	case g.proxy:
		g.way = commonProxy(r.s.ProxyTemplate, r.s.User)
	}
	return g, nil
}

// way is what the program goes through by its own configuration.
func (k *keyRules) way(p *program) guardedProgram {
	g := guardedProgram{program: p}
	command := k.values["proxycommand"]
	switch {
	case k.jump != nil:
		g.way = "ProxyJump " + k.values["proxyjump"]
	case command != "" && command != "none":
		g.proxy, g.way = true, commonProxy(command, k.values["user"])
	}
	return g
}

// programTurn waits for a turn at every sshd that a program will connect to on its own, behind
// a jump host until the first dial through that is back. An error is the refusal that this one
// has met, or the context's end. leave and report must be called once each.
func (c *Client) programTurn(ctx context.Context, r *route, g guardedProgram) (leave func(), report func(error), err error) {
	if !g.system && g.way != "" {
		leave, err = c.pace.acquire(ctx, g.way) // what the configuration says here is not what it does
	} else {
		leave, err = c.paceRoute(ctx, r)
	}
	if err != nil {
		return nil, nil, err
	}
	if report, err = c.scouts.enter(ctx, g.way); err != nil {
		leave()
		return nil, nil, err
	}
	return leave, report, nil
}

// paceRoute waits for a turn at every sshd of a route.
func (c *Client) paceRoute(ctx context.Context, r *route) (leave func(), err error) {
	before := func() {}
	if r.jump != nil {
		if before, err = c.paceRoute(ctx, r.jump); err != nil {
			return nil, err
		}
	}
	release, err := c.pace.acquire(ctx, r.paceKey())
	if err != nil {
		before()
		return nil, err
	}
	return func() { release(); before() }, nil
}
