package sshx

import (
	"context"
	"slices"

	"golang.org/x/crypto/ssh"
)

// maxTouchDials is how many hosts are dialled at once where each wants the user to touch a
// key: more would only wait for that, and be cut off by their servers meanwhile.
const maxTouchDials = 4

// Touch is a security key in the agent that some hosts may ask for. Each of them wants it to
// be touched.
type Touch struct {
	Key   string // as messages name it, safe to show
	Hosts int    // that it may be offered to, jump hosts included
}

// Touches says before any dial which keys the user has to touch more than once for hosts. It
// contacts nobody but the agents. Hosts that cannot be resolved, or that the ssh program
// reaches, do not count.
func (c *Client) Touches(ctx context.Context, hosts []string) []Touch {
	if c.other.git != nil {
		return nil
	}
	var order []string
	counts := make(map[string]int)
	seen := make(map[string]bool)
	for _, host := range hosts {
		r, err := c.plan(ctx, host, nil, nil)
		if err != nil {
			continue // its dial says so
		}
		for ; r != nil; r = r.jump {
			if seen[r.path()] || c.wantsSSH(r) != "" {
				continue
			}
			seen[r.path()] = true
			for _, key := range c.touchKeys(ctx, r.s) {
				if counts[key]++; counts[key] == 1 {
					order = append(order, key)
				}
			}
		}
	}
	var out []Touch
	for _, key := range order {
		if counts[key] > 1 {
			out = append(out, Touch{Key: key, Hosts: counts[key]})
		}
	}
	return out
}

// touchKeys names the keys of the agent that a host may want to be touched.
func (c *Client) touchKeys(ctx context.Context, s *settings) []string {
	conn, err := c.agents.get(ctx, s.IdentityAgent)
	if err != nil || !slices.ContainsFunc(conn.keys, isSecurityKey) {
		return nil
	}
	a := &authAttempt{client: c, s: s}
	a.begin(ctx, func(f func()) { f() })
	a.gather()
	var out []string
	for _, k := range a.keys {
		if k.touch() {
			out = append(out, k.name)
		}
	}
	return out
}

// touch reports whether a key of the agent has to be touched to sign.
func (k candidate) touch() bool {
	w, ok := k.signer.(*watchedSigner)
	if !ok {
		return false
	}
	s, ok := w.AlgorithmSigner.(*agentSigner)
	return ok && s.touch()
}

// touch reports whether the key is a security key, unless its certificate says that presence
// does not matter.
func (s *agentSigner) touch() bool {
	if cert, ok := s.key.(*ssh.Certificate); ok {
		if _, free := cert.Extensions["no-touch-required"]; free {
			return false
		}
	}
	return isSecurityKey(s.private)
}

// touchTurn waits for a turn at dialling a host of a group whose key has to be touched. A jump
// host has none: those that have a turn may be waiting for it.
func (c *Client) touchTurn(ctx context.Context, r *route) (leave func(), err error) {
	if r.hop || r.keyOnly || !c.winners.touched(groupOf(r.s)) {
		return func() {}, nil
	}
	if err := c.touching.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { c.touching.Release(1) }, nil
}
