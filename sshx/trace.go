package sshx

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Step is something that a dial found out on its way, for a person to read. Its texts are
// safe to show.
type Step struct {
	Hop    string        // whose it is: the ID of a [Hop]
	Stage  string        // one of the Stage constants
	Detail string        //
	Took   time.Duration // since this dial of the hop began, waiting for its turn included
}

// Hop is a host on the way to another one, or that host itself.
type Hop struct {
	ID     string // the same for equal ways to the same host: connections to it are shared
	Name   string // as asked for, or as a ProxyJump names it
	Detail string // what the configuration makes of the name; safe to show
	Last   bool   // it is the host that was asked for
	SSH    string // words of a shell that give this host to ssh
}

// Route resolves a host and its jump hosts without contacting any: the hops in the order in
// which they are dialled, the host itself last. Errors are *DialError.
func (c *Client) Route(ctx context.Context, host string) ([]Hop, error) {
	r, err := c.plan(ctx, host, nil, nil)
	if err != nil {
		return nil, &DialError{Host: printable(host), Stage: StageConfig, Err: err}
	}
	return r.hops(), nil
}

func (r *route) hops() []Hop {
	var before []Hop
	if r.jump != nil {
		before = r.jump.hops()
	}
	return append(before, Hop{ID: r.path(), Name: printable(r.shown), Detail: r.describe(), Last: !r.hop, SSH: r.target.sshArgs()})
}

// describe tells what the configuration makes of a host, all but its keys.
func (r *route) describe() string {
	s := r.s
	var b strings.Builder
	fmt.Fprintf(&b, "user %s, %s", printable(s.User), printable(r.serverAddr()))
	switch {
	case r.jump != nil:
		fmt.Fprintf(&b, ", through %s", printable(r.jump.shown))
	case s.ProxyCommand != "":
		fmt.Fprintf(&b, ", through ProxyCommand %s", quote(s.ProxyCommand))
	}
	if s.HostKeyAlias != "" {
		fmt.Fprintf(&b, ", HostKeyAlias %s", printable(s.HostKeyAlias))
	}
	fmt.Fprintf(&b, ", StrictHostKeyChecking %s", s.StrictHostKey)
	return b.String()
}

// step tells the Client's owner, who asked for it, what was found out.
func (a *attempt) step(stage, format string, args ...any) {
	if trace := a.c.opts.Trace; trace != nil {
		trace(Step{Hop: a.r.path(), Stage: stage, Detail: printable(fmt.Sprintf(format, args...)), Took: time.Since(a.began)})
	}
}

// stepConnected tells where the transport has led.
func (a *attempt) stepConnected(w *wire, jump *Conn) {
	switch s := a.r.s; {
	case jump != nil:
		a.step(StageConnect, "%s, a channel of the connection to %s", a.addr, jump.host)
	case s.ProxyCommand != "":
		a.step(StageConnect, "ProxyCommand started")
	default:
		a.step(StageConnect, "%s", w.RemoteAddr())
	}
}

// stepHostKey tells what made the server's key acceptable.
func (a *attempt) stepHostKey(remote net.Addr, key ssh.PublicKey) {
	if a.c.opts.Trace == nil {
		return
	}
	kind, fingerprint := key.Type(), ssh.FingerprintSHA256(key)
	if cert, ok := key.(*ssh.Certificate); ok {
		fingerprint = ssh.FingerprintSHA256(cert.Key) + ", certified by " + ssh.FingerprintSHA256(cert.SignatureKey)
	}
	if a.check.trustedAnyway(remote) {
		a.step(StageHostKey, "%s %s, not looked up: NoHostAuthenticationForLocalhost", kind, fingerprint)
		return
	}
	by := a.check.decide(a.check.name, key).by
	if by.file == "" || by.line == 0 {
		a.step(StageHostKey, "%s %s, new: accepted by StrictHostKeyChecking %s", kind, fingerprint, a.r.s.StrictHostKey)
		return
	}
	a.step(StageHostKey, "%s %s, known by %s:%d", kind, fingerprint, by.file, by.line)
}

// stepAuthenticated tells which key was taken, and which were not.
func (a *attempt) stepAuthenticated(server []byte) {
	how := "no key was asked for"
	if a.auth.current != nil {
		how = "key " + a.auth.current.name
	}
	if len(a.auth.tried) > 0 {
		how += "; refused before: " + strings.Join(a.auth.tried, ", ")
	}
	a.step(StageAuth, "%s as %s", how, a.r.s.User)
	a.step(StageHandshake, "%s", server)
}
