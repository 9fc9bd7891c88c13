package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// Limits of offering keys. sshd hangs up after six refusals (MaxAuthTries), and counts
// connections that nobody was let in on against the workstation's address.
const (
	MaxKeyTries       = 5 // keys on one connection
	MaxKeyConnections = 3 // connections to one host, where more keys than that are there
)

// maxLostWaiting is how often a connection is made again that broke while a person was waited for.
const maxLostWaiting = 3

// errBroken is a connection that ended while keys were offered.
var errBroken = errors.New("the connection broke")

// candidate is a key that could be offered.
type candidate struct {
	signer ssh.Signer
	name   string    // for messages: file, or the agent's comment
	hidden *identity // instead of signer: a file that has to be opened to tell which key it is
}

// id is what a candidate is remembered by; empty where it is not known yet.
func (k candidate) id() string {
	if k.signer == nil {
		return ""
	}
	return keyBlob(k.signer.PublicKey())
}

// authAttempt is the authentication of one dial: it hands out one key at a time, and goes on
// with the remaining ones on another connection.
type authAttempt struct {
	client *Client
	s      *settings

	// Of the connection in the making, see begin.
	ctx     context.Context
	pause   func(func())
	wire    *wire
	refused int    // keys
	server  string // version

	gathered bool
	keys     []candidate
	skipped  []string // keys that are not offered, with the reason
	offered  []string // by id
	tried    []string
	methods  []string
	current  *candidate
	signErr  error // of current

	hop         bool   // of a jump host: others wait for it already, so it waits for nobody's keys
	leave       func() // ends our scouting; nil where another host scouts
	connections int    // on which keys were refused up to the limit
	lost        int    // connections that were made again
	waited      bool   // for a person or for the scout: the server may not have had that patience

	elsewhere string // why ssh could get in where we cannot
}

// begin prepares for a new connection. A key whose answer never came is offered again.
func (a *authAttempt) begin(ctx context.Context, pause func(func())) {
	a.ctx, a.pause, a.refused = ctx, pause, 0
	if a.current != nil {
		a.keys, a.current = slices.Insert(slices.Clone(a.keys), 0, *a.current), nil
	}
}

// end lets the hosts go on that wait for what this one has found out.
func (a *authAttempt) end() {
	if a.leave != nil {
		a.leave()
	}
}

// scouts reports whether other hosts wait for this one to find out which key is taken: they
// may have all the turns at the sshd, so it must not wait for one.
func (a *authAttempt) scouts() bool { return a.leave != nil }

// again reports whether another connection is due after err: to offer more keys, or since the
// server did not wait as long as we had to.
func (a *authAttempt) again(err error) bool {
	var auth *AuthError
	switch {
	case !errors.As(err, &auth) || viaJump(err):
		return false
	case auth.Limit:
		a.connections++
		return a.connections < MaxKeyConnections
	case errors.Is(auth.Err, errBroken) && a.waited:
		a.lost++
		a.waited = false
		return a.lost <= maxLostWaiting
	}
	return false
}

// next is the [ssh.ClientAuthCallback] of the dial: one key an AuthMethod, so that a key
// that fails to sign does not stand in the way of the one after it.
func (a *authAttempt) next(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if !a.gathered {
		a.gathered = true
		a.gather()
		if err := a.scout(); err != nil {
			return nil, err
		}
	}
	a.methods = c.AllowedMethods
	if broken := a.wire.broken.Load(); broken != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, plainNetError(*broken))
	}
	var slow *TimeoutError
	if errors.As(a.signErr, &slow) {
		return nil, slow // an agent that hangs does not sign with another key either
	}
	if a.current != nil && len(c.TriedMethods) > a.refused+1 {
		a.tried = append(a.tried, a.currentName())
		a.refused++
	}
	a.current, a.signErr = nil, nil
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	a.server = string(c.Metadata.ServerVersion())
	if !slices.Contains(c.AllowedMethods, "publickey") || len(a.keys) == 0 {
		return nil, a.failure(nil, false)
	}
	if a.refused >= MaxKeyTries {
		return nil, a.failure(nil, true)
	}
	k, ok := a.take()
	if !ok {
		return nil, a.failure(nil, false)
	}
	a.current = &k
	return ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return []ssh.Signer{k.signer}, nil }), nil
}

// take gives the next key, which no server has seen before.
func (a *authAttempt) take() (candidate, bool) {
	for len(a.keys) > 0 {
		k := a.keys[0]
		a.keys = a.keys[1:]
		if k.hidden != nil {
			var err error
			if k, err = a.reveal(k); err != nil {
				a.skip(k.name, err.Error())
				continue
			}
			if slices.Contains(a.offered, k.id()) {
				continue
			}
		}
		a.offered = append(a.offered, k.id())
		return k, true
	}
	return candidate{}, false
}

// scout waits for the first host of the group to find out which key is taken, unless this one
// is it, and moves that key to the front.
func (a *authAttempt) scout() error {
	group := groupOf(a.s)
	if len(a.keys) > 1 && !a.hop {
		scouted, leave := a.client.winners.enter(group)
		if a.leave = leave; leave == nil {
			a.await(scouted)
		}
	}
	a.keys = a.client.winners.first(group, a.keys)
	return a.ctx.Err()
}

// await waits off the clock until another host has found out, or the dial ends.
func (a *authAttempt) await(scouted <-chan struct{}) {
	select {
	case <-scouted:
		return
	default:
	}
	a.waited = true
	a.pause(func() {
		a.client.scouting()
		select {
		case <-scouted:
		case <-a.ctx.Done():
		}
	})
}

// currentName names the key in use, with what kept it from signing.
func (a *authAttempt) currentName() string {
	if a.signErr != nil {
		return a.current.name + " (" + printable(a.signErr.Error()) + ")"
	}
	return a.current.name
}

// failure makes the error of the attempt.
func (a *authAttempt) failure(err error, limit bool) *AuthError {
	tried := a.tried
	if a.current != nil {
		tried = append(slices.Clone(tried), a.currentName())
	}
	return &AuthError{User: a.s.User, Host: a.s.Alias, Tried: tried, Skipped: a.skipped, Methods: a.methods, Limit: limit, Err: err, Elsewhere: a.elsewhere}
}

// watchedSigner keeps why a key could not sign, which the ssh library does not report, and
// uses only the algorithms that the configuration has left.
type watchedSigner struct {
	ssh.AlgorithmSigner
	attempt    *authAttempt
	algorithms []string
}

var _ ssh.MultiAlgorithmSigner = (*watchedSigner)(nil)

// Algorithms implements [ssh.MultiAlgorithmSigner].
func (w *watchedSigner) Algorithms() []string {
	if w.algorithms[0] != w.PublicKey().Type() && strings.HasPrefix(w.attempt.server, "SSH-2.0-OpenSSH_7.4") {
		return append(slices.Clone(w.algorithms), ssh.KeyAlgoRSA) // it takes SHA-2 but does not say so
	}
	return w.algorithms
}

// SignWithAlgorithm implements [ssh.AlgorithmSigner].
func (w *watchedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	sig, err := w.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	w.attempt.signErr = err
	var refused *agentError
	if errors.As(err, &refused) {
		w.attempt.elsewhere = "a key of the agent that signs for ssh only" // such as one with destination constraints
	}
	return sig, err
}

// isDisconnect reports whether an error of a handshake is the server hanging up in words.
func isDisconnect(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ssh: disconnect, reason ")
}
