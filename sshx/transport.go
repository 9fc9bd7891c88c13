package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// connect tries the addresses of the host in turn, as ssh does.
func (a *attempt) connect(ctx context.Context) (net.Conn, error) {
	s := a.r.s
	limit := firstPositive(a.c.opts.ConnectTimeout, s.ConnectTimeout, DefaultConnectTimeout)
	d := net.Dialer{KeepAlive: DefaultKeepaliveInterval, Timeout: limit}
	if s.BindAddress != "" {
		ip, err := netip.ParseAddr(s.BindAddress)
		if err != nil {
			return nil, fmt.Errorf("BindAddress %s is not an IP address", quote(s.BindAddress))
		}
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
	}
	addrs, err := a.lookup(ctx, limit)
	if err != nil {
		return nil, err
	}
	attempts := max(1, s.ConnectionAttempts)
	a.clock.enter(StageConnect, "no answer", (limit+limit/10)*time.Duration(len(addrs)*attempts))
	var errs []error
	for range attempts {
		for _, addr := range addrs {
			conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(addr.String(), strconv.Itoa(s.Port)))
			if err == nil {
				return conn, nil
			}
			if ctx.Err() != nil {
				return nil, err
			}
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				err = &TimeoutError{What: "no answer", After: limit.String()}
			}
			errs = append(errs, fmt.Errorf("%s: %w", addr, plainNetError(err)))
		}
	}
	if len(errs) == 1 {
		return nil, errors.Unwrap(errs[0])
	}
	return nil, errors.Join(errs...)
}

// lookup gives the addresses of the host that its AddressFamily allows, at least one.
func (a *attempt) lookup(ctx context.Context, limit time.Duration) ([]netip.Addr, error) {
	s := a.r.s
	if ip, err := netip.ParseAddr(s.HostName); err == nil {
		return []netip.Addr{ip}, nil
	}
	release, err := a.c.pace.resolving(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	a.clock.enter(StageResolve, "the name was not resolved", limit)
	network := map[string]string{"inet": "ip4", "inet6": "ip6"}[s.AddressFamily]
	if network == "" {
		network = "ip"
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, s.HostName)
	if err != nil {
		return nil, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

// tunnelConn is a channel of a jump host's connection that leads to another host. It has
// no deadlines; the dial that uses it closes it instead.
type tunnelConn struct {
	ssh.Channel
	local, remote net.Addr
}

var _ net.Conn = (*tunnelConn)(nil)

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

// tunnel has the host of c connect to another one (RFC 4254 section 7.2).
func (c *Conn) tunnel(ctx context.Context, host string, port int) (net.Conn, error) {
	payload := ssh.Marshal(&struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{host, uint32(port), "127.0.0.1", 0})
	ch, err := c.openChannel(ctx, "direct-tcpip", payload, ssh.DiscardRequests)
	if err != nil {
		var refused *ssh.OpenChannelError
		if errors.As(err, &refused) {
			hint := ""
			if refused.Reason == ssh.Prohibited {
				hint = " (see AllowTcpForwarding and PermitOpen in its sshd_config)"
			}
			return nil, fmt.Errorf("jump host %s does not connect to it: %s%s", c.host, quote(refused.Message), hint)
		}
		return nil, err
	}
	return &tunnelConn{Channel: ch, local: c.wire.LocalAddr(), remote: tunnelAddr(net.JoinHostPort(host, strconv.Itoa(port)))}, nil
}

// proxy is a ProxyCommand and our end of its socket.
type proxy struct {
	net.Conn
	cmd *exec.Cmd

	mu     sync.Mutex
	stderr []byte
	closed sync.Once
}

// maxProxyStderr is how much of what a ProxyCommand says is kept, in bytes.
const maxProxyStderr = 4096

// proxyWaitDelay is how long a killed ProxyCommand's children may hold its stderr.
const proxyWaitDelay = 2 * time.Second

// startProxy runs a ProxyCommand as ssh does, by the user's shell, with both ends of its
// standard input and output on one socket: that gives the connection working deadlines.
func startProxy(command string) (*proxy, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("starting its ProxyCommand: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "proxy"), os.NewFile(uintptr(fds[1]), "proxy")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("starting its ProxyCommand: %w", err)
	}
	p := &proxy{Conn: conn, cmd: exec.Command(envOr("SHELL", "/bin/sh"), "-c", "exec "+command)}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs, theirs, (*proxyStderr)(p)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal: an ssh would ask there, amid our output
	p.cmd.WaitDelay = proxyWaitDelay
	if err := p.cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("starting its ProxyCommand: %w", err)
	}
	return p, nil
}

// Close implements [net.Conn]: it ends the command with all its children, and waits.
func (p *proxy) Close() error {
	err := p.Conn.Close()
	p.closed.Do(func() {
		// An error means that the group is gone already.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		_ = p.cmd.Wait()
	})
	return err
}

// said gives what the command wrote to its standard error, ended and reaped first so that
// all of it is there.
func (p *proxy) said() string {
	p.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.TrimSpace(string(p.stderr))
}

// proxyStderr keeps the beginning of a ProxyCommand's standard error.
type proxyStderr proxy

var _ io.Writer = (*proxyStderr)(nil)

// Write implements [io.Writer]. It takes all and keeps what there is room for.
func (w *proxyStderr) Write(b []byte) (int, error) {
	p := (*proxy)(w)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stderr = append(p.stderr, b[:min(len(b), maxProxyStderr-len(p.stderr))]...)
	return len(b), nil
}
