package sshx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// MaxPrograms is how many connections by ssh programs stand at once. Each is a process of
// some 8 MB that takes 20 ms of CPU to connect; further dials wait for one to be closed.
const MaxPrograms = 64

// askLimit is how long ssh may take where it can ask a person: as long as sshd waits for one
// (LoginGraceTime).
const askLimit = 2 * time.Minute

// dialProgram connects by an ssh program, again where the server limits new connections.
func (c *Client) dialProgram(ctx context.Context, r *route, p *program, why string) (*Conn, error) {
	for try, penalised := 1, 0; ; try++ {
		conn, err := c.dialProgramOnce(ctx, r, p, why)
		var throttle *ThrottleError
		if !errors.As(err, &throttle) {
			return conn, err
		}
		throttle.Tries = try
		if penalised++; !throttle.penalty() {
			penalised = 0
		}
		if try == maxThrottleTries || c.backoff(ctx, throttleWait(try, penalised)) != nil {
			return nil, err
		}
		c.opts.Logf("sshx: %s limits new connections, trying again", r.shown)
	}
}

func (c *Client) dialProgramOnce(ctx context.Context, r *route, p *program, why string) (*Conn, error) {
	if err := c.other.programs.Acquire(ctx, 1); err != nil {
		return nil, r.fail(StageConnect, context.Cause(ctx))
	}
	release := sync.OnceFunc(func() { c.other.programs.Release(1) })
	variant, err := p.kind(ctx, r.target)
	if err != nil {
		release()
		return nil, r.fail(StageConfig, p.failed(err))
	}
	if variant != variantSSH {
		conn, err := c.dialProcesses(r, p, variant, why, release)
		if err != nil {
			return nil, r.fail(StageConfig, err)
		}
		return conn, nil
	}
	options := c.masterOptions(ctx, r, p)
	g, err := c.guarded(ctx, r, p, options)
	if err != nil {
		release()
		if cause := context.Cause(ctx); cause != nil {
			return nil, r.fail(StageConnect, cause)
		}
		return nil, r.fail(StageConfig, p.failed(err))
	}
	leave, report, err := c.programTurn(ctx, r, g)
	if err != nil {
		release()
		var refused *ProgramError
		if errors.As(err, &refused) {
			return nil, r.fail(StageJump, err)
		}
		return nil, r.fail(StageConnect, err)
	}
	defer leave()
	conn, err := c.dialMaster(ctx, r, g, options, why, release)
	report(err)
	if err != nil {
		release()
	}
	return conn, err
}

// dialMaster has a program connect. The connection gives the turn back by release.
func (c *Client) dialMaster(ctx context.Context, r *route, g guardedProgram, o masterOptions, why string, release func()) (*Conn, error) {
	limit := c.programLimit(r, o)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &TimeoutError{What: "it did not connect", After: limit.String()})
	defer cancel()
	m, err := c.startMaster(ctx, r, g.program, o)
	if err != nil {
		return nil, r.fail(StageConfig, g.failed(err))
	}
	m.proxy = g.proxy
	conn, err := m.connect(ctx, c, r, why, release)
	if err != nil {
		m.end()
		return nil, m.failure(ctx, r, why, err)
	}
	return conn, nil
}

// fail makes the error of a stage for a program.
func (r *route) fail(stage string, err error) error {
	return &DialError{Host: printable(r.shown), Addr: r.serverAddr(), Stage: stage, Err: err}
}

// failed explains that a program could not be run.
func (p *program) failed(err error) error {
	return fmt.Errorf("running %s: %w", p.name(), err)
}

// name is how a program is called in messages: by what names it, since a command line of the
// user's may hold a password.
func (p *program) name() string {
	if p.Source == "" {
		return "ssh"
	}
	return "the program of " + printable(p.Source)
}

// masterOptions settles what a master for a route is told.
func (c *Client) masterOptions(ctx context.Context, r *route, p *program) masterOptions {
	return masterOptions{
		batch:    !c.opts.Interactive || r.s.BatchMode || !canAsk(os.Getenv),
		fork:     p.knowsFork(ctx),
		readOnly: c.opts.ReadOnly,
		connect:  firstPositive(c.opts.ConnectTimeout, r.s.ConnectTimeout, DefaultConnectTimeout),
		interval: firstPositive(c.opts.KeepaliveInterval, r.s.AliveInterval, DefaultKeepaliveInterval),
		count:    firstPositive(c.opts.KeepaliveCount, r.s.AliveCount, DefaultKeepaliveCount),
	}
}

// programLimit is how long a program may take to connect: what the stages of a dial may take
// together, for each hop, since it does not tell where it is.
func (c *Client) programLimit(r *route, o masterOptions) time.Duration {
	auth := firstPositive(c.opts.AuthTimeout, DefaultAuthTimeout)
	if !o.batch {
		auth = max(auth, askLimit)
	}
	limit := o.connect + firstPositive(c.opts.HandshakeTimeout, DefaultHandshakeTimeout) + auth
	hops := time.Duration(1)
	for j := r.jump; j != nil; j = j.jump {
		hops++
	}
	return hops * limit
}

// master is an ssh program of ours that holds a connection for us.
type master struct {
	program *program
	target  string // the host, for -O exit
	child   *child
	sockets *socketDir
	socket  string
	made    <-chan struct{}
	ending  sync.Once
	proxy   bool // it connects through a ProxyCommand of the user's
}

// startMaster starts a program. End it, also where connect fails.
func (c *Client) startMaster(ctx context.Context, r *route, p *program, o masterOptions) (*master, error) {
	socket, made, err := c.other.sockets.reserve()
	if err != nil {
		return nil, err
	}
	m := &master{program: p, target: r.target.Name, sockets: &c.other.sockets, socket: socket, made: made}
	if m.child, err = startChild(p.command(p.masterArgs(r, socket, o)...), nil); err != nil {
		m.sockets.forget(socket)
		return nil, programMissing(err)
	}
	return m, nil
}

// connect waits for the control socket, which is there once the server has let us in, and
// speaks ssh over it. The connection ends the master.
func (m *master) connect(ctx context.Context, c *Client, r *route, why string, release func()) (*Conn, error) {
	select {
	case <-m.made:
	case <-m.child.exited:
		if _, err := os.Lstat(m.socket); m.child.status() != 0 || err != nil {
			return nil, errors.New(m.child.said())
		}
		// It is in the background, against our advice: a command line of the user's own can say so.
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "unix", m.socket)
	if err != nil {
		return nil, fmt.Errorf("its control socket: %w", plainNetError(err))
	}
	w := newWire(&socketConn{Conn: raw, remote: tunnelAddr(r.serverAddr()), close: func() { m.end(); release() }})
	w.died = func() error { return m.died(why) }
	return c.control(ctx, r, w, m.program.describe(why))
}

// describe is the transport in words.
func (p *program) describe(why string) string {
	if p.Source != "" {
		return p.name()
	}
	return "ssh, for " + printable(why)
}

// end ends the program and removes its socket. It may be called again.
func (m *master) end() {
	m.ending.Do(func() {
		select {
		case <-m.child.exited:
			if m.child.status() == 0 {
				m.recall()
			}
		default:
		}
		m.child.stop()
		m.sockets.forget(m.socket)
	})
}

// recall ends a master that has gone into the background, where no signal of ours finds it.
func (m *master) recall() {
	if _, err := os.Lstat(m.socket); err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), childWaitDelay)
	defer cancel()
	// It ends by itself, too, if its user's configuration says when.
	_, _, _ = m.program.ask(ctx, nil, "-S", m.socket, "-O", "exit", "--", m.target)
}

// died explains the end of a connection: what ssh said, which it does before it exits.
func (m *master) died(why string) error {
	timer := time.NewTimer(childKillDelay)
	defer timer.Stop()
	select {
	case <-m.child.exited:
	case <-timer.C:
	}
	return &ProgramError{Program: m.program.name(), Why: why, Said: m.child.said(), Err: errProgramEnded}
}

// errProgramEnded is the cause of a *ProgramError where a connection that stood is gone.
var errProgramEnded = errors.New("the ssh program ended the connection")

// failure makes the error of a dial.
func (m *master) failure(ctx context.Context, r *route, why string, err error) error {
	var timeout *TimeoutError
	cause := context.Cause(ctx)
	if cause != nil && !errors.As(cause, &timeout) {
		return r.fail(StageConnect, cause)
	}
	pe := &ProgramError{Program: m.program.name(), Why: why, Said: m.child.said()}
	if timeout != nil {
		pe.Err, pe.hint = timeout, m.program.hint(diagnosis{}, r, "")
		return r.fail(StageHandshake, pe)
	}
	v := classify(pe.Said, r.s, m.proxy)
	pe.Err, pe.hint, pe.jump = v.err, m.program.hint(v, r, pe.Said), v.jump
	if pe.Err == nil {
		pe.Err = err
	}
	if v.jump {
		v.stage = StageJump
	}
	return r.fail(v.stage, pe)
}
