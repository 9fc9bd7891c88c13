package sshx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// tunnelConn is a channel of a jump host's connection that leads to another host. It has
// no deadlines; the dial that uses it closes it instead. One reader and one writer at a time
// may use it, as the ssh library does.
//
// A channel is closed when the jump host agrees, and that waits until the host behind it has
// taken what is on the way: never, where that hangs. So Read and Write are done by goroutines
// of the jump host's connection, and Close leaves them behind.
type tunnelConn struct {
	ch            ssh.Channel
	jump          *Conn
	local, remote net.Addr
	closed        func() // once; may be nil
	once          sync.Once
	gone          chan struct{}
	reads, writes *pump
}

var _ net.Conn = (*tunnelConn)(nil)

// pump does one kind of calls, one at a time.
type pump struct {
	calls   chan []byte
	results chan pumped
}

// pumped is what became of a call.
type pumped struct {
	n   int
	err error
}

func newPump() *pump { return &pump{calls: make(chan []byte), results: make(chan pumped)} }

// run serves calls by f until gone.
func (p *pump) run(gone <-chan struct{}, f func([]byte) (int, error)) {
	for {
		select {
		case b := <-p.calls:
			n, err := f(b)
			select {
			case p.results <- pumped{n, err}:
			case <-gone:
				return
			}
		case <-gone:
			return
		}
	}
}

// call has b served, or gives up when gone. Whoever gave up must not use b again.
func (p *pump) call(gone <-chan struct{}, b []byte) (int, error) {
	select {
	case p.calls <- b:
	case <-gone:
		return 0, net.ErrClosed
	}
	select {
	case r := <-p.results:
		return r.n, r.err
	case <-gone:
		return 0, net.ErrClosed
	}
}

// Read implements [net.Conn].
func (t *tunnelConn) Read(b []byte) (int, error) { return t.reads.call(t.gone, b) }

// Write implements [net.Conn].
func (t *tunnelConn) Write(b []byte) (int, error) { return t.writes.call(t.gone, b) }

// Close implements [net.Conn]. It does not wait for the jump host.
func (t *tunnelConn) Close() error {
	t.once.Do(func() {
		close(t.gone)
		// Where the connection is closing already, so is the channel; so it is on an error.
		t.jump.start(func() { _ = t.ch.Close() })
		if t.closed != nil {
			t.closed()
		}
	})
	return nil
}

// LocalAddr implements [net.Conn] with the address of the connection to the jump host.
func (t *tunnelConn) LocalAddr() net.Addr { return t.local }

// RemoteAddr implements [net.Conn] with the address behind the jump host.
func (t *tunnelConn) RemoteAddr() net.Addr { return t.remote }

// SetDeadline implements [net.Conn]; it is an error.
func (t *tunnelConn) SetDeadline(time.Time) error { return errors.ErrUnsupported }

// SetReadDeadline implements [net.Conn]; it is an error.
func (t *tunnelConn) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

// SetWriteDeadline implements [net.Conn]; it is an error.
func (t *tunnelConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// tunnelAddr is an address that only the jump host can resolve.
type tunnelAddr string

// Network implements [net.Addr].
func (tunnelAddr) Network() string { return "tcp" }

// String implements [net.Addr].
func (a tunnelAddr) String() string { return string(a) }

// tunnel has the host of c connect to the one of r (RFC 4254 section 7.2).
func (c *Conn) tunnel(ctx context.Context, r *route) (*tunnelConn, error) {
	payload := ssh.Marshal(&struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{r.s.HostName, uint32(r.s.Port), "127.0.0.1", 0})
	ch, err := c.openChannel(ctx, "direct-tcpip", payload, ssh.DiscardRequests)
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused):
		return nil, c.noTunnel(refused)
	case err != nil:
		return nil, err
	}
	t := &tunnelConn{ch: ch, jump: c, local: c.wire.LocalAddr(), remote: tunnelAddr(r.serverAddr()),
		gone: make(chan struct{}), reads: newPump(), writes: newPump()}
	if !c.start(func() { t.reads.run(t.gone, ch.Read) }) || !c.start(func() { t.writes.run(t.gone, ch.Write) }) {
		t.Close()
		return nil, &LostError{Host: c.host, Err: ErrClosed}
	}
	return t, nil
}

// noTunnel explains a jump host that does not connect to a host.
func (c *Conn) noTunnel(e *ssh.OpenChannelError) error {
	if e.Reason == ssh.Prohibited {
		return fmt.Errorf("the jump host %s does not forward to it: set AllowTcpForwarding yes, and check PermitOpen, in its sshd_config, "+
			"and the options of our key in its authorized_keys (it said %s)", c.host, quote(e.Message))
	}
	return fmt.Errorf("the jump host %s cannot connect to it, it said %s: check HostName and Port as the jump host sees them, and that sshd runs there", c.host, quote(e.Message))
}
