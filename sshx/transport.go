package sshx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// connect tries the addresses of the host in turn, as ssh does, each within limit.
func (a *attempt) connect(ctx context.Context, addrs []netip.Addr, limit time.Duration) (net.Conn, error) {
	s := a.r.s
	d := net.Dialer{KeepAlive: DefaultKeepaliveInterval, Timeout: limit}
	if s.BindAddress != "" {
		ip, err := netip.ParseAddr(s.BindAddress)
		if err != nil {
			return nil, fmt.Errorf("BindAddress %s is not an IP address", quote(s.BindAddress))
		}
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
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
	err := errors.Join(errs...)
	if len(errs) == 1 {
		err = errors.Unwrap(errs[0])
	}
	if errors.Is(err, syscall.ECONNRESET) { // so soon that connecting was not over
		err = &ThrottleError{Err: err, Tries: 1}
	}
	return nil, err
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
