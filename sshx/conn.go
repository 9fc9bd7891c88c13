package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// Conn is an authenticated connection to one host. It is safe for concurrent use. Close
// must be called even after the connection was lost.
type Conn struct {
	host        string
	user        string
	wire        *wire
	ssh         ssh.Conn
	execTimeout time.Duration
	transport   string // see Transport
	proxied     bool   // over a control socket: a master answers no global requests of ours

	mu      sync.Mutex     // held to begin closing, and to add to wg from outside of it
	wg      sync.WaitGroup // everything that runs for this connection
	done    chan struct{}  // closed when the connection is gone, after err is set
	err     error
	closing atomic.Bool
	silent  atomic.Pointer[TimeoutError] // set by the keepalive before it hangs up
}

// newConn takes over an authenticated connection. It refuses whatever the server asks
// for: there is no forwarding here of any kind.
func newConn(r *route, w *wire, sc ssh.Conn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) *Conn {
	c := &Conn{host: printable(r.shown), user: r.s.User, wire: w, ssh: sc, done: make(chan struct{}), execTimeout: DefaultExecTimeout, transport: nativeTransport}
	c.wg.Go(func() { ssh.DiscardRequests(reqs) })
	c.wg.Go(func() {
		for ch := range chans {
			// An error means that the connection is gone.
			_ = ch.Reject(ssh.Prohibited, "not asked for")
		}
	})
	c.wg.Go(func() {
		err := sc.Wait()
		c.err = c.cause(err)
		if w.died != nil && !c.closing.Load() {
			c.err = w.died()
		}
		close(c.done)
	})
	return c
}

// Host is the name that was dialled.
func (c *Conn) Host() string { return c.host }

// User is the remote user.
func (c *Conn) User() string { return c.user }

// RemoteAddr is the address of the server; behind a jump host, the one that it was asked for.
func (c *Conn) RemoteAddr() net.Addr { return c.wire.RemoteAddr() }

// ServerVersion is the server's version line, such as SSH-2.0-OpenSSH_9.2p1; text of the peer.
func (c *Conn) ServerVersion() string { return printable(string(c.ssh.ServerVersion())) }

// Transport says how the host is reached, and why not by a connection of our own where it
// is another: words for a person, safe to show.
func (c *Conn) Transport() string { return c.transport }

// Done is closed when the connection is gone, by Close or by itself.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err says why the connection is gone, as *LostError; nil while it stands.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return &LostError{Host: c.host, Err: c.err}
	default:
		return nil
	}
}

// Close ends the connection with every command on it, and waits for what runs for it.
// Closing twice is closing once.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.closing.Store(true)
	c.mu.Unlock()
	err := c.wire.Close()
	c.wg.Wait()
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		err = nil // the server was first
	}
	return err
}

// keepalive asks the server for a sign after each interval of silence and hangs up after
// count signs stayed out, as ServerAliveInterval and ServerAliveCountMax have it. Anything
// that comes in is a sign.
func (c *Conn) keepalive(interval time.Duration, count int) {
	c.wg.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		var asking atomic.Bool
		last, missed := c.wire.received.Load(), 0
		for {
			select {
			case <-c.done:
				return
			case <-ticker.C:
			}
			if now := c.wire.received.Load(); now != last {
				last, missed = now, 0
				continue
			}
			if missed++; missed > count {
				c.silent.Store(&TimeoutError{What: "the server gave no sign of life", After: (interval * time.Duration(missed)).String()})
				c.wire.Close()
				return
			}
			if asking.CompareAndSwap(false, true) {
				c.wg.Go(func() { // blocks while the connection hangs
					defer asking.Store(false)
					// Any answer has been counted; an error shows on the connection itself.
					_, _, _ = c.ssh.SendRequest("keepalive@openssh.com", true, nil)
				})
			}
		}
	})
}

// start runs f for this connection, unless it is closing already.
func (c *Conn) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing.Load() {
		return false
	}
	c.wg.Go(f)
	return true
}

// openChannel opens a channel, within ctx, and has serve read its requests up to their
// end. One that is opened too late is closed.
func (c *Conn) openChannel(ctx context.Context, kind string, payload []byte, serve func(<-chan *ssh.Request)) (ssh.Channel, error) {
	if err := c.alive(ctx); err != nil {
		return nil, err
	}
	type answer struct {
		ch  ssh.Channel
		err error
	}
	answers := make(chan answer)
	if !c.start(func() {
		ch, reqs, err := c.ssh.OpenChannel(kind, payload)
		select {
		case answers <- answer{ch, err}:
			if err == nil {
				serve(reqs)
			}
		case <-ctx.Done():
			if err == nil {
				_ = ch.Close() // an error means that the connection is gone
				ssh.DiscardRequests(reqs)
			}
		}
	}) {
		return nil, &LostError{Host: c.host, Err: ErrClosed}
	}
	select {
	case a := <-answers:
		var refused *ssh.OpenChannelError
		if a.err != nil && !errors.As(a.err, &refused) {
			return nil, c.lost(ctx, a.err)
		}
		return a.ch, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// alive refuses to begin anything on a connection that is gone, or closing.
func (c *Conn) alive(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if c.closing.Load() {
		return &LostError{Host: c.host, Err: ErrClosed}
	}
	return c.Err()
}

// cause says why the connection ended, where a call on it has returned err.
func (c *Conn) cause(err error) error {
	switch silent := c.silent.Load(); {
	case silent != nil:
		return silent
	case c.closing.Load():
		return ErrClosed
	case err == nil || errors.Is(err, io.EOF):
		return errors.New("the server closed it")
	}
	return err
}

// lost ends a connection on which a call has returned err, and waits until it is seen to be
// gone, or for ctx.
func (c *Conn) lost(ctx context.Context, err error) error {
	c.wire.Close()
	select {
	case <-c.done:
		return &LostError{Host: c.host, Err: c.cause(c.err)}
	case <-ctx.Done():
		return &LostError{Host: c.host, Err: c.cause(err)}
	}
}

// probe reports whether the connection still stands, by a round trip: nil, or *LostError.
func (c *Conn) probe(ctx context.Context) error {
	answer := make(chan error, 1)
	if !c.start(func() {
		answer <- c.roundTrip()
	}) {
		return &LostError{Host: c.host, Err: ErrClosed}
	}
	select {
	case err := <-answer:
		if err != nil {
			return c.lost(ctx, err)
		}
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// roundTrip waits for any answer of the server.
func (c *Conn) roundTrip() error {
	if !c.proxied {
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		return err
	}
	ch, reqs, err := c.ssh.OpenChannel("session", nil)
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused):
		return nil
	case err != nil:
		return err
	}
	_ = ch.Close() // an error shows on the connection itself
	ssh.DiscardRequests(reqs)
	return nil
}

// refused makes the *ChannelError of a refusal.
func (c *Conn) refused(op string, err error) error {
	var oe *ssh.OpenChannelError
	if errors.As(err, &oe) {
		return &ChannelError{Host: c.host, Op: op, Reason: fmt.Sprintf("%s (%s)", quote(oe.Message), printable(oe.Reason.String()))}
	}
	return err
}
