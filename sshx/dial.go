package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"
)

// clientVersion is what a Client calls itself (RFC 4253 section 4.2).
const clientVersion = "SSH-2.0-troops"

// Dial connects to a host given as `[user@]name[:port]`, through its jump hosts if it has
// any, checks its host key and authenticates. Cancelling ctx ends the attempt; a Conn that
// was returned is not bound to it. Errors are *DialError.
func (c *Client) Dial(ctx context.Context, host string) (*Conn, error) {
	r, err := c.plan(ctx, host, nil, nil)
	if err != nil {
		return nil, &DialError{Host: printable(host), Stage: StageConfig, Err: err}
	}
	return c.dial(ctx, r)
}

// isFinal reports whether a dial failed for a reason that another try cannot change, and
// that repeated tries make worse.
func isFinal(err error) bool {
	var auth *AuthError
	var key *HostKeyError
	return errors.As(err, &auth) || errors.As(err, &key) || jumpRefusal(err) != nil
}

// dialNative makes a connection of our own, again where the server turned it away for its load,
// and once more where another type of host key must be asked for or the jump host was lost.
func (c *Client) dialNative(ctx context.Context, r *route) (*Conn, error) {
	exact, again, penalised := r.keyOnly, false, 0
	auth := &authAttempt{client: c, s: r.s, hop: r.hop}
	defer auth.end()
	for try := 1; ; {
		conn, err := c.dialOnce(ctx, r, auth, exact)
		if err == nil {
			return conn, nil
		}
		var redial *errRedial
		var throttle *ThrottleError
		var lost *LostError
		switch {
		case errors.As(err, &lost) && r.jump != nil && !again && c.ctx.Err() == nil:
			again = true // the shared connection to the jump host was gone, and nobody knew
			continue
		case errors.As(err, &redial) && !exact:
			exact = true
			continue
		case errors.As(err, &redial):
			err = redial.err
		case auth.again(err):
			continue
		case errors.As(err, &throttle) && !viaJump(err):
			throttle.Tries = try
			if penalised++; !throttle.penalty() {
				penalised = 0
			}
			if try < maxThrottleTries && c.backoff(ctx, throttleWait(try, penalised)) == nil {
				c.opts.Logf("sshx: %s limits new connections, trying again", r.shown)
				try++
				continue
			}
		}
		var de *DialError
		if !errors.As(err, &de) {
			de = &DialError{Host: printable(r.shown), Stage: StageHandshake, Err: err}
		}
		return nil, de
	}
}

// viaJump reports whether a dial failed at a jump host, which has its own tries.
func viaJump(err error) bool {
	var de *DialError
	return errors.As(err, &de) && de.Stage == StageJump
}

// attempt is one dial in progress.
type attempt struct {
	c     *Client
	r     *route
	clock *clock
	check *hostKeyCheck
	auth  *authAttempt
	addr  string
	jump  *Conn // to the last jump host; may be nil
	began time.Time
}

// dialOnce makes one attempt: pacing, transport, handshake.
func (c *Client) dialOnce(ctx context.Context, r *route, auth *authAttempt, exact bool) (*Conn, error) {
	s := r.s
	a := &attempt{c: c, r: r, auth: auth, addr: net.JoinHostPort(s.HostName, strconv.Itoa(s.Port)), began: time.Now()}
	parent := ctx
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	a.clock = &clock{cancel: cancel, stage: StageConnect}
	defer a.clock.stop()
	a.check = c.known.newCheck(s, r.target.sshArgs(), exact)
	a.check.seeOnly = r.keyOnly
	auth.begin(ctx, a.clock.pause)

	config, err := a.sshConfig()
	if err != nil {
		return nil, a.fail(ctx, StageConfig, err)
	}
	leave, err := c.touchTurn(ctx, r)
	if err != nil {
		return nil, a.fail(ctx, StageConnect, err)
	}
	defer leave()
	w, done, err := a.transport(ctx)
	if err != nil {
		return nil, err
	}
	a.stepConnected(w, a.jump)
	conn, err := a.handshake(ctx, w, config)
	done(err)
	return conn, err
}

// sshConfig prepares the ssh library.
func (a *attempt) sshConfig() (*ssh.ClientConfig, error) {
	s := a.r.s
	crypto, err := s.cryptoConfig()
	if err != nil {
		return nil, err
	}
	algorithms, err := a.check.algorithms()
	if err != nil {
		return nil, err
	}
	return &ssh.ClientConfig{
		Config: crypto, User: s.User, ClientVersion: clientVersion, HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			a.clock.enter(StageHostKey, "the host key was not checked", firstPositive(a.c.opts.HandshakeTimeout, DefaultHandshakeTimeout))
			if err := a.check.verify(name, remote, key); err != nil {
				return err
			}
			a.stepHostKey(remote, key)
			a.clock.enter(StageAuth, "the server did not finish authentication", firstPositive(a.c.opts.AuthTimeout, DefaultAuthTimeout))
			return nil
		},
		AuthCallback: a.auth.next,
		BannerCallback: func(message string) error {
			a.c.opts.Logf("sshx: banner of %s: %s", a.r.shown, quote(message))
			return nil
		},
	}, nil
}

// handshake speaks ssh over w. It owns w.
func (a *attempt) handshake(ctx context.Context, w *wire, config *ssh.ClientConfig) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { w.Close() })
	a.clock.enter(StageHandshake, "the server did not finish the handshake", firstPositive(a.c.opts.HandshakeTimeout, DefaultHandshakeTimeout))
	a.auth.wire = w
	sc, chans, reqs, err := ssh.NewClientConn(w, a.addr, config)
	a.clock.stop()
	if err != nil {
		stop()
		w.Close()
		return nil, a.fail(ctx, a.clock.at(), a.explain(ctx, w, err))
	}
	conn := newConn(a.r, w, sc, chans, reqs)
	if !stop() {
		conn.Close()
		return nil, a.fail(ctx, StageAuth, context.Cause(ctx))
	}
	a.stepAuthenticated(sc.ServerVersion())
	if a.auth.current != nil {
		a.c.winners.set(groupOf(a.r.s), *a.auth.current)
	}
	conn.keepalive(firstPositive(a.c.opts.KeepaliveInterval, a.r.s.AliveInterval, DefaultKeepaliveInterval),
		firstPositive(a.c.opts.KeepaliveCount, a.r.s.AliveCount, DefaultKeepaliveCount))
	conn.execTimeout = firstPositive(a.c.opts.ExecTimeout, DefaultExecTimeout)
	return conn, nil
}

// explain finds the cause that the ssh library has wrapped or hidden.
func (a *attempt) explain(ctx context.Context, w *wire, err error) error {
	var redial *errRedial
	var key *HostKeyError
	var auth *AuthError
	switch {
	case errors.As(err, &redial):
		return redial
	case errors.As(err, &key):
		return key
	case errors.As(err, &auth):
		return auth
	case a.clock.at() == StageAuth && a.auth.gathered && (isDisconnect(err) || a.auth.current != nil):
		return a.auth.failure(err, false)
	}
	if inner := errors.Unwrap(err); inner != nil {
		err = inner // without "ssh: handshake failed"
	}
	return a.hungUp(ctx, w, err)
}

// hungUp explains a connection that ended with err before the host key was seen.
func (a *attempt) hungUp(ctx context.Context, w *wire, err error) error {
	said, throttled := w.throttled(err)
	_, early := w.beforeBanner()
	if w.proxy != nil && early && said == "" && context.Cause(ctx) == nil {
		pe := w.proxy.failure(err)
		if throttled && pe.throttled() {
			return &ThrottleError{Proxy: pe.lastLine(), Err: pe, Tries: 1}
		}
		return pe
	}
	if throttled && said == "" && a.jump != nil {
		if lost := a.jump.probe(ctx); lost != nil {
			return lost
		}
	}
	switch {
	case throttled:
		return &ThrottleError{Said: said, Err: err, Tries: 1}
	case early && said != "":
		return fmt.Errorf("the server is no ssh server, or refuses us: it said %s: check Port in your ssh configuration", quote(said))
	case err == io.EOF:
		return fmt.Errorf("the server closed the connection: %w", err)
	}
	return err
}

// fail makes the *DialError of a stage. A dial that was cancelled, or took too long, says
// that and not what became of the connection then.
func (a *attempt) fail(ctx context.Context, stage string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		stage = StageResolve
	}
	return &DialError{Host: printable(a.r.shown), Addr: a.addr, Stage: stage, Err: advise(stage, err)}
}
