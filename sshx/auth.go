package sshx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// MaxKeyTries is how many keys are offered on one connection. sshd hangs up after six
// refusals (MaxAuthTries), and counts them against the workstation's address.
const MaxKeyTries = 5

// candidate is a key that could be offered.
type candidate struct {
	signer ssh.Signer
	name   string // for messages: file, or the agent's comment
}

// id is what a candidate is remembered by.
func (k candidate) id() string { return keyBlob(k.signer.PublicKey()) }

// winners remembers which key a group of hosts took, to offer it first to the next one.
type winners struct {
	mu  sync.Mutex
	key map[string]string
}

// groupOf names the hosts that probably take the same key: same user, same sources of keys.
func groupOf(s *settings) string {
	return strings.Join(append([]string{s.User, s.IdentityAgent, fmt.Sprint(s.IdentitiesOnly)}, s.IdentityFiles...), "\x00")
}

func (w *winners) set(group, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.key[group] = id
}

// first moves the remembered key to the front.
func (w *winners) first(group string, keys []candidate) []candidate {
	w.mu.Lock()
	id := w.key[group]
	w.mu.Unlock()
	i := slices.IndexFunc(keys, func(k candidate) bool { return k.id() == id })
	if id == "" || i <= 0 {
		return keys
	}
	won := keys[i]
	return slices.Insert(slices.Delete(slices.Clone(keys), i, i+1), 0, won)
}

// authAttempt is the authentication of one dial: it hands out one key at a time.
type authAttempt struct {
	client *Client
	s      *settings
	ctx    context.Context
	pause  func(func())

	gathered bool
	keys     []candidate
	skipped  []string // keys that are not offered, with the reason
	tried    []string
	methods  []string
	current  *candidate
	signErr  error // of current

	elsewhere string // why ssh could get in where we cannot
}

// next is the [ssh.ClientAuthCallback] of the dial: one key an AuthMethod, so that a key
// that fails to sign does not stand in the way of the one after it.
func (a *authAttempt) next(c *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if !a.gathered {
		a.gathered = true
		a.gather()
	}
	a.methods = c.AllowedMethods
	if a.current != nil && len(c.TriedMethods) > len(a.tried)+1 {
		a.tried = append(a.tried, a.currentName())
	}
	a.current, a.signErr = nil, nil
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	if !slices.Contains(c.AllowedMethods, "publickey") || len(a.keys) == 0 {
		return nil, a.failure(nil, false)
	}
	if len(a.tried) >= MaxKeyTries {
		return nil, a.failure(nil, true)
	}
	k := a.keys[0]
	a.keys, a.current = a.keys[1:], &k
	return ssh.PublicKeysCallback(func() ([]ssh.Signer, error) { return []ssh.Signer{k.signer}, nil }), nil
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

// gather lists the keys in OpenSSH's order (pubkey_prepare of sshconnect2.c): configured
// keys that the agent has, the agent's others unless IdentitiesOnly, then files.
func (a *authAttempt) gather() {
	conn, err := a.client.agents.get(a.ctx, a.s.IdentityAgent)
	var held []*agent.Key
	switch {
	case err != nil:
		a.skipped = append(a.skipped, err.Error())
	case len(conn.keys) == 0:
		a.skipped = append(a.skipped, "the agent has no keys")
	default:
		held = conn.keys
	}
	used := make([]bool, len(held))
	viaAgent := func(i int, name string) {
		if used[i] {
			return
		}
		used[i] = true
		a.offer(&agentSigner{ctx: a.ctx, agents: a.client.agents, conn: conn, key: held[i]}, name)
	}
	files := a.identities()
	var rest []*identity
	for _, id := range files {
		inAgent := false
		for i, k := range held {
			if id.public != nil && sameKey(k, id.public) {
				viaAgent(i, a.display(id.path)+" (agent)")
				inAgent = true
			}
		}
		if !inAgent || id.cert != nil {
			rest = append(rest, id)
		}
	}
	for i, k := range held {
		if !a.s.IdentitiesOnly {
			viaAgent(i, printable(k.Comment)+" (agent)")
		}
	}
	a.offerFiles(rest)
	a.keys = a.client.winners.first(groupOf(a.s), a.keys)
}

// identities reads the identity files.
func (a *authAttempt) identities() []*identity {
	var out []*identity
	for _, path := range a.s.IdentityFiles {
		out = append(out, a.client.keys.get(path))
	}
	return out
}

// certificateFor finds the certificate of a key among CertificateFile and FILE-cert.pub.
func (a *authAttempt) certificateFor(id *identity) *ssh.Certificate {
	for _, path := range a.s.CertificateFiles {
		if cert, ok := a.client.keys.get(path).public.(*ssh.Certificate); ok && id.public != nil && sameKey(cert.Key, id.public) {
			return cert
		}
	}
	return id.cert
}

// offerFiles adds the keys that only files hold, and says of the others why not.
func (a *authAttempt) offerFiles(files []*identity) {
	var absent []string
	for _, id := range files {
		name := a.display(id.path)
		err := id.usable(a.client.keys, a.client.opts.Interactive && !a.s.BatchMode)
		public := id.public
		if err == nil && public == nil { // an old format that hides its public half
			var signer ssh.Signer
			a.pause(func() { signer, err = id.open(a.client.keys) })
			if err == nil {
				public = signer.PublicKey()
			}
		}
		if err != nil && err.Error() == "missing" && a.isDefault(id.path) {
			absent = append(absent, name)
			continue
		}
		if err != nil {
			if public != nil && strings.HasPrefix(public.Type(), "sk-") {
				a.elsewhere = "the security key " + name
			}
			a.skipped = append(a.skipped, name+": "+err.Error())
			continue
		}
		if cert := a.certificateFor(id); cert != nil {
			a.offer(&fileSigner{ctx: a.ctx, id: id, keys: a.client.keys, key: cert, pause: a.pause}, name+" (certificate)")
		}
		a.offer(&fileSigner{ctx: a.ctx, id: id, keys: a.client.keys, key: public, pause: a.pause}, name)
	}
	if len(absent) > 0 {
		a.skipped = append(a.skipped, strings.Join(absent, ", ")+" missing")
	}
}

// offer adds a key, unless the configuration rules its type or length out.
func (a *authAttempt) offer(signer ssh.AlgorithmSigner, name string) {
	key := signer.PublicKey()
	if err := checkRSASize(key, a.s.RequiredRSASize); err != nil {
		a.skipped = append(a.skipped, name+": "+err.Error())
		return
	}
	if !acceptedType(a.s.PubkeyAlgorithms, key.Type()) {
		a.skipped = append(a.skipped, name+": PubkeyAcceptedAlgorithms rules "+key.Type()+" out")
		return
	}
	a.keys = append(a.keys, candidate{&watchedSigner{signer, a}, name})
}

// watchedSigner keeps why a key could not sign, which the ssh library does not report.
type watchedSigner struct {
	ssh.AlgorithmSigner
	attempt *authAttempt
}

// SignWithAlgorithm implements [ssh.AlgorithmSigner].
func (w *watchedSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	sig, err := w.AlgorithmSigner.SignWithAlgorithm(rand, data, algorithm)
	w.attempt.signErr = err
	if _, ok := w.AlgorithmSigner.(*agentSigner); ok && err != nil && w.attempt.ctx.Err() == nil {
		w.attempt.elsewhere = "a key of the agent that signs for ssh only" // such as one with destination constraints
	}
	return sig, err
}

// acceptedType reports whether PubkeyAcceptedAlgorithms leaves an algorithm for a key type.
func acceptedType(spec, keyType string) bool {
	algorithms := []string{keyType}
	if keyType == ssh.KeyAlgoRSA {
		algorithms = []string{ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSASHA512}
	}
	if keyType == ssh.CertAlgoRSAv01 {
		algorithms = []string{ssh.CertAlgoRSASHA256v01, ssh.CertAlgoRSASHA512v01}
	}
	names := strings.Split(strings.TrimLeft(spec, "-"), ",")
	return slices.ContainsFunc(algorithms, func(alg string) bool {
		switch {
		case spec == "" || spec[0] == '+' || spec[0] == '^':
			return true
		case spec[0] == '-':
			return !matchList(alg, names)
		}
		return matchList(alg, names)
	})
}

// display shortens a path below the home directory.
func (a *authAttempt) display(path string) string {
	if rest, ok := strings.CutPrefix(path, a.client.local.home+string(filepath.Separator)); ok {
		return printable("~/" + rest)
	}
	return printable(path)
}

// isDefault reports whether a path is one that ssh tries where none is configured.
func (a *authAttempt) isDefault(path string) bool {
	return slices.Contains(defaultIdentities, a.display(path))
}

// sameKey compares keys by their wire format; a certificate in the agent counts as its key.
func sameKey(a, b ssh.PublicKey) bool {
	return bytes.Equal(plainKey(a), plainKey(b))
}

func plainKey(k ssh.PublicKey) []byte {
	if held, ok := k.(*agent.Key); ok {
		if parsed, err := ssh.ParsePublicKey(held.Blob); err == nil {
			k = parsed
		}
	}
	if cert, ok := k.(*ssh.Certificate); ok {
		k = cert.Key
	}
	return k.Marshal()
}

// isDisconnect reports whether an error of a handshake is the server hanging up in words.
func isDisconnect(err error) bool {
	return err != nil && strings.Contains(err.Error(), "ssh: disconnect, reason ")
}
