package sshx

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"
)

// socketConn is a connection to a control socket, and what ends together with it.
type socketConn struct {
	net.Conn
	remote net.Addr // of the host
	close  func()   // once, after the socket; may be nil
	once   sync.Once
}

// RemoteAddr implements [net.Conn] with the address that the program was to connect to.
func (s *socketConn) RemoteAddr() net.Addr { return s.remote }

// Close implements [net.Conn].
func (s *socketConn) Close() error {
	err := s.Conn.Close()
	if s.close != nil {
		s.once.Do(s.close)
	}
	return err
}

// serverAddr is where a program connects to for a route.
func (r *route) serverAddr() string { return net.JoinHostPort(r.s.HostName, strconv.Itoa(r.s.Port)) }

// control speaks ssh through a master, by the proxy mode of its control socket: all that goes
// over it are channels and their requests. It owns w.
func (c *Client) control(ctx context.Context, r *route, w *wire, transport string) (*Conn, error) {
	stop := context.AfterFunc(ctx, func() { w.Close() })
	sc, chans, reqs, err := ssh.NewControlClientConn(w)
	if err != nil {
		stop()
		w.Close()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, err
	}
	conn := newConn(r, w, sc, chans, reqs)
	if !stop() {
		conn.Close()
		return nil, context.Cause(ctx)
	}
	conn.proxied, conn.transport = true, transport
	conn.execTimeout = firstPositive(c.opts.ExecTimeout, DefaultExecTimeout)
	return conn, nil
}

// errNoMaster is a control socket that nobody needs to be told about: there is none.
var errNoMaster = errors.New("no master")

// dialSocket uses the user's own master for a host, where one lives at ControlPath. Any error
// means that there is none to be used, and why.
func (c *Client) dialSocket(ctx context.Context, r *route) (*Conn, error) {
	path := r.s.ControlPath
	if path == "" {
		return nil, errNoMaster
	}
	st, err := os.Lstat(path)
	switch {
	case err != nil:
		return nil, errNoMaster
	case st.Mode()&fs.ModeSocket == 0:
		return nil, errors.New("it is no socket")
	case ownerOf(st) != os.Geteuid():
		return nil, errors.New("it belongs to another user")
	}
	limit := firstPositive(c.opts.ConnectTimeout, r.s.ConnectTimeout, DefaultConnectTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &TimeoutError{What: "its master, or the server, did not answer", After: limit.String()})
	defer cancel()
	var d net.Dialer
	raw, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, plainNetError(err)
	}
	w := newWire(&socketConn{Conn: raw, remote: tunnelAddr(r.serverAddr())})
	w.died = func() error { return fmt.Errorf("the ControlMaster at %s closed it", printable(path)) }
	conn, err := c.control(ctx, r, w, "the ControlMaster at "+printable(path))
	if err != nil {
		return nil, err
	}
	if err := conn.usable(ctx, r.hop); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// usable asks the server for a session and closes it again: a master can outlive its
// connection, and the user's own sessions count for MaxSessions. A jump host needs none.
func (c *Conn) usable(ctx context.Context, hop bool) error {
	ended := make(chan struct{})
	ch, err := c.openChannel(ctx, "session", nil, func(reqs <-chan *ssh.Request) {
		ssh.DiscardRequests(reqs)
		close(ended)
	})
	var refused *ssh.OpenChannelError
	switch {
	case errors.As(err, &refused) && hop:
		return nil
	case err != nil:
		return c.refused("open", err)
	}
	_ = ch.Close() // an error shows on the connection itself
	select {
	case <-ended: // only now is there room for another one
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
