package sshx

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// maxHops is how many jump hosts may stand in a row.
const maxHops = 8

// route is a host with its settings and the jump hosts before it. It has no loops.
type route struct {
	target Target
	shown  string // as the user wrote it
	s      *settings
	jump   *route // nil for a direct connection or a ProxyCommand

	hop     bool   // it is a jump host of another
	trust   string // of a hop: tells apart what else its connection depends on
	keyOnly bool   // a dial ends with the host key: errSeen, or what is wrong with it
}

// id names the host of a route apart from how it is reached.
func (r *route) id() string { return fmt.Sprintf("%s@%s:%d", r.s.User, r.s.HostName, r.s.Port) }

// path names the whole route: connections with equal paths can be shared. Two names of one
// jump host are two paths where they differ in a setting, such as whose key it must show, who
// logs in by which key, and with what that key may do there.
func (r *route) path() string {
	path := r.id() + r.trust
	if r.jump != nil {
		path += " via " + r.jump.path()
	}
	return path
}

// becomeHop makes r a jump host of another.
func (r *route) becomeHop() {
	same := *r.s
	same.Alias = same.keyName() // all else that a name can change is in the other settings
	r.hop, r.trust = true, fmt.Sprintf(" (%x)", sha256.Sum256(fmt.Appendf(nil, "%#v", same)))
}

// address names the sshd of a route, whoever the user.
func (r *route) address() string {
	addr := net.JoinHostPort(r.s.HostName, strconv.Itoa(r.s.Port))
	if r.jump != nil {
		addr += " via " + r.jump.path()
	}
	return addr
}

// paceKey names the sshd whose handshakes are limited together. All that come from one
// ProxyCommand line of the configuration are taken to lead through one sshd.
func (r *route) paceKey() string {
	if r.jump == nil && r.s.ProxyCommand != "" {
		return "ProxyCommand " + r.s.ProxyTemplate
	}
	return r.address()
}

// plan resolves a host and its jump hosts. via, unless nil, are the jump hosts to use
// instead of the configured ones, as `ssh -J` has it; seen are the hosts that led here.
func (c *Client) plan(ctx context.Context, shown string, via []string, seen []Target) (*route, error) {
	t, err := ParseTarget(shown)
	if err != nil {
		return nil, err
	}
	s, err := c.config.resolve(ctx, t)
	if err != nil {
		return nil, err
	}
	r := &route{target: t, shown: shown, s: s}
	// By the names that were asked for, not by address: a port of localhost may be another host
	// behind the jump host.
	for _, target := range seen {
		if target == t {
			return nil, fmt.Errorf("jump host loop via %s", printable(shown))
		}
	}
	if len(seen) > maxHops {
		return nil, fmt.Errorf("more than %d jump hosts in a row", maxHops)
	}
	if via == nil && s.ProxyJump != "" {
		via = strings.Split(s.ProxyJump, ",")
	}
	if len(via) == 0 {
		return r, nil
	}
	last := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(via[len(via)-1]), "ssh://"), "/")
	var before []string // nil where the last hop's own configuration decides
	if len(via) > 1 {
		before = via[:len(via)-1]
	}
	if r.jump, err = c.plan(ctx, last, before, append(seen[:len(seen):len(seen)], t)); err != nil {
		return nil, fmt.Errorf("proxy jump %s: %w", quote(last), err)
	}
	r.jump.becomeHop()
	return r, nil
}
