package sshx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxSurvey is how many hosts are asked for their keys at once; each address is paced as
// for any dial besides.
const maxSurvey = 64

// HostKeyQuestion is an unknown host key that a person may accept. It comes from
// [Client.UnknownKeys] and is good for [Client.TrustKeys] of the same Client. Its texts come
// from the configuration and, all but Reason, hold nothing that a server said.
type HostKeyQuestion struct {
	Name        string // as the host was asked for, or a ProxyJump names it, without user and port
	Host        string // as known_hosts will have it: name or [name]:port
	KeyType     string // such as ssh-ed25519
	Fingerprint string // SHA256:...
	File        string // where it will be added; empty: nowhere, it is known to the Client alone
	Reason      string // more about it, such as a certificate that is not accepted; may be empty
	Jump        bool   // it is a jump host: what is behind it can be asked about once it is trusted

	check *hostKeyCheck
	key   ssh.PublicKey
}

// errSeen ends a dial that was for the host key alone, where that is known.
var errSeen = errors.New("the host key is known")

// UnknownKeys gives the keys of those of the hosts, and of the jump hosts before them, that
// StrictHostKeyChecking=ask (the default) would ask about, sorted by host. Hosts that have a
// line in known_hosts, or a living ControlMaster, are not contacted, the others are once,
// without authenticating: sshd may count that against us (PerSourcePenalties). What is behind
// a jump host with an unknown key is not reached. Passphrases may be asked for, of jump hosts.
// A host that fails otherwise is no error: Dial will tell.
func (c *Client) UnknownKeys(ctx context.Context, hosts []string) ([]HostKeyQuestion, error) {
	s := &survey{client: c, slots: make(chan struct{}, firstPositive(c.opts.MaxSurvey, maxSurvey)), hops: make(map[string]*surveyedHop)}
	var wg sync.WaitGroup
	for _, host := range hosts {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-s.slots }()
			if r, err := c.plan(ctx, host, nil, nil); err == nil {
				s.reachable(ctx, r)
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	slices.SortFunc(s.found, func(a, b HostKeyQuestion) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Host, b.Host))
	})
	return s.found, nil
}

// TrustKeys adds keys that a person has accepted, as accept-new would: a host that then shows
// another one has changed it. Errors are about known_hosts files that could not be written,
// where the Client still knows the keys, and hosts that got another key meanwhile.
func (c *Client) TrustKeys(keys []HostKeyQuestion) error {
	var errs []error
	for _, q := range keys {
		if q.check == nil || q.check.keys != c.known {
			errs = append(errs, errors.New("sshx: trusting a host key that this Client has not seen"))
			continue
		}
		changed, unsaved := q.check.accept(q.key)
		errs = append(errs, changed, unsaved)
	}
	return errors.Join(errs...)
}

// survey collects the unknown keys of many routes. No hop is asked twice.
type survey struct {
	client *Client
	slots  chan struct{}

	mu    sync.Mutex
	hops  map[string]*surveyedHop
	found []HostKeyQuestion
}

// surveyedHop is a host whose key is being found out about, or was.
type surveyedHop struct {
	ready chan struct{} // closed once reachable is set
	ok    bool
}

// reachable reports whether the host of a route can be dialled as far as host keys are
// concerned, and notes its key or that of a jump host where that must be asked about first.
func (s *survey) reachable(ctx context.Context, r *route) bool {
	check := s.client.known.newCheck(r.s, r.target.sshArgs(), true)
	// The same sshd under two names is asked for each: they can have different keys on file.
	id := fmt.Sprintf("%s at %s: %s %v %q %q", check.name, r.address(), r.s.StrictHostKey, r.s.BatchMode, r.s.UserKnownHosts, r.s.ControlPath)
	s.mu.Lock()
	hop, seen := s.hops[id]
	if !seen {
		hop = &surveyedHop{ready: make(chan struct{})}
		s.hops[id] = hop
	}
	s.mu.Unlock()
	if !seen {
		hop.ok = s.visit(ctx, r, check)
		close(hop.ready)
	}
	<-hop.ready
	return hop.ok
}

// visit is reachable for the first who wants to know.
func (s *survey) visit(ctx context.Context, r *route, check *hostKeyCheck) bool {
	settled := r.s.StrictHostKey != "ask" || r.s.BatchMode || covered(check.files, check.name)
	switch {
	case settled && r.jump == nil, s.client.othersCheck(ctx, r):
		return true
	case r.jump != nil && !s.reachable(ctx, r.jump):
		return false
	case settled:
		return true
	}
	return s.ask(ctx, r)
}

// othersCheck reports whether Dial will leave the host key to somebody else: an ssh program
// with its own way with host keys, or a master, which has checked it. A route that only ends
// up with this machine's ssh is none of these: it reads what is trusted here.
func (c *Client) othersCheck(ctx context.Context, r *route) bool {
	if onlySSH(r.s) != "" {
		return true
	}
	if c.opts.Transport == TransportNative {
		return false
	}
	if c.other.git != nil {
		return true
	}
	conn, err := c.dialSocket(ctx, r)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// ask has one host show its key.
func (s *survey) ask(ctx context.Context, r *route) bool {
	only := *r
	only.keyOnly = true
	_, err := s.client.dialNative(ctx, &only)
	var key *HostKeyError
	switch {
	case errors.Is(err, errSeen):
		return true
	case !errors.As(err, &key) || key.Kind != KeyUnknown || viaJump(err) || !key.check.recordable():
		return false
	}
	q := HostKeyQuestion{Name: r.target.Name, Host: key.Host, KeyType: key.KeyType, Fingerprint: key.Fingerprint, Reason: key.Reason,
		Jump: r.hop, check: key.check, key: key.key}
	if len(r.s.UserKnownHosts) > 0 {
		q.File = r.s.UserKnownHosts[0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.found, func(o HostKeyQuestion) bool {
		return o.Host == q.Host && o.File == q.File && o.Fingerprint == q.Fingerprint
	}) {
		s.found = append(s.found, q)
	}
	return false
}
