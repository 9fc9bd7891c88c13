package sshx

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// leases takes n shares in the connections to the jump host of a host, all at once.
func leases(t *testing.T, c *Client, host string, n int) []*lease {
	t.Helper()
	r, err := c.plan(t.Context(), host, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *lease, n)
	for range n {
		go func() {
			l, err := c.lease(t.Context(), r.jump)
			if err != nil {
				t.Error(err)
			}
			got <- l
		}()
	}
	var all []*lease
	for range n {
		if l := await(t, "a share", got); l != nil {
			all = append(all, l)
		}
	}
	return all
}

// spread is how many shares each connection has.
func spread(all []*lease) map[*Conn]int {
	m := make(map[*Conn]int)
	for _, l := range all {
		m[l.conn]++
	}
	return m
}

func TestAJumpHostGetsMoreConnections(t *testing.T) {
	h := newHome(t)
	jump := (&server{}).start(t)
	h.knows(jump)
	h.config("Host node\n ProxyJump " + jump.addr + "\n")
	c := h.client(Options{})
	all := leases(t, c, "node", MaxTunnels)
	if jump.dialled() != 1 {
		t.Errorf("%d connections for %d hosts", jump.dialled(), len(all))
	}
	all = append(all, leases(t, c, "node", 1)...)
	if jump.dialled() != 2 {
		t.Errorf("%d connections for %d hosts", jump.dialled(), len(all))
	}
	all = append(all, leases(t, c, "node", MaxTunnels*MaxJumpConns+40-len(all))...)
	if jump.dialled() != MaxJumpConns {
		t.Errorf("%d connections for %d hosts", jump.dialled(), len(all))
	}
	for _, n := range spread(all) {
		if n != MaxTunnels+10 {
			t.Errorf("shares are %v", spread(all))
		}
	}
	for _, l := range all {
		l.end()
	}
	if again := spread(leases(t, c, "node", MaxTunnels)); len(again) != MaxJumpConns || jump.dialled() != MaxJumpConns {
		t.Errorf("%d connections are used again, %d were made", len(again), jump.dialled())
	}
}

// TestAFurtherConnectionFails has those that stand do.
func TestAFurtherConnectionFails(t *testing.T) {
	h := newHome(t)
	var full atomic.Bool
	jump := (&server{accepts: func(string, ssh.PublicKey) bool { return !full.Load() }}).start(t)
	h.knows(jump)
	h.config("Host node\n ProxyJump " + jump.addr + "\n")
	c := h.client(Options{})
	all := leases(t, c, "node", 1)
	full.Store(true)
	all = append(all, leases(t, c, "node", MaxTunnels*2)...)
	if s := spread(all); len(s) != 1 || s[all[0].conn] != 2*MaxTunnels+1 || jump.dialled() != 2 {
		t.Errorf("shares %v, %d connections", s, jump.dialled())
	}
}

// TestSharesEndWithTheirConnections counts them after dials that succeed and that fail.
func TestSharesEndWithTheirConnections(t *testing.T) {
	h := newHome(t)
	jump, node, closed := (&server{}).start(t), (&server{onExec: echo}).start(t), freeAddr(t)
	h.knows(jump)
	h.knows(node)
	stranger := (&server{}).start(t)
	h.config("Host node\n HostName 127.0.0.1\n ProxyJump jump\n Port " + node.port() +
		"\nHost closed\n HostName 127.0.0.1\n ProxyJump jump\n Port " + closed[strings.LastIndexByte(closed, ':')+1:] +
		"\nHost stranger\n HostName 127.0.0.1\n ProxyJump jump\n Port " + stranger.port() +
		"\nHost jump\n HostName 127.0.0.1\n Port " + jump.port() + "\n")
	c := h.client(Options{})
	tunnels := func() int {
		c.jumps.mu.Lock()
		defer c.jumps.mu.Unlock()
		for _, conns := range c.jumps.conns {
			return conns[0].tunnels
		}
		return -1
	}
	conn := h.dial(c, "node")
	dialError(t, c, "closed", StageConnect)
	dialError(t, c, "stranger", StageHostKey)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Dial(ctx, "node"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := tunnels(); n != 1 {
		t.Errorf("%d shares with one connection", n)
	}
	conn.Close()
	conn.Close()
	if n := tunnels(); n != 0 || jump.dialled() != 1 {
		t.Errorf("%d shares are left of %d connections", n, jump.dialled())
	}
}
