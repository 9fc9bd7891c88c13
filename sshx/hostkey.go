package sshx

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// HostKeyQuestion is an unknown host key that a person may accept.
type HostKeyQuestion struct {
	Host        string // as known_hosts will have it: name or [name]:port
	KeyType     string
	Fingerprint string // SHA256:...
	File        string // where it will be added
}

// hostKeys are the known_hosts files of all hosts of a Client. A file is read once; what
// accept-new adds is known to every later connection.
type hostKeys struct {
	ask  func(HostKeyQuestion) bool // nil: nobody to ask
	logf func(string, ...any)

	mu      sync.Mutex
	files   map[string]*knownFile
	revoked map[string]*revocation

	askMu    sync.Mutex // one question at a time; held before addMu
	answered map[string]bool
	addMu    sync.Mutex // one writer
}

func newHostKeys(ask func(HostKeyQuestion) bool, logf func(string, ...any)) *hostKeys {
	return &hostKeys{ask: ask, logf: logf, files: make(map[string]*knownFile), revoked: make(map[string]*revocation), answered: make(map[string]bool)}
}

// load gives the files of a host, the user's first. One that cannot be read counts as
// empty, which can only make a host unknown.
func (h *hostKeys) load(s *settings) []*knownFile {
	h.mu.Lock()
	defer h.mu.Unlock()
	paths := append(append([]string{}, s.UserKnownHosts...), s.GlobalKnownHosts...)
	if len(s.UserKnownHosts) == 0 {
		paths = append([]string{""}, paths...) // what is accepted is remembered while we live
	}
	var out []*knownFile
	for _, p := range paths {
		f, ok := h.files[p]
		if !ok {
			var err error
			if p == "" {
				f = newKnownFile(p)
			} else if f, err = loadKnownFile(p); err != nil {
				h.logf("sshx: reading known hosts: %v", err)
			}
			h.files[p] = f
		}
		out = append(out, f)
	}
	return out
}

// hostKeyCheck checks the key of one dial.
type hostKeyCheck struct {
	keys    *hostKeys
	s       *settings
	files   []*knownFile
	name    string // name, or [name]:port where the port is not 22
	plain   string // the name without port; empty where that is no second chance
	target  string // as the user would give it to ssh
	exact   bool   // key types of long hashed files were searched for
	guessed bool   // they were not
	pause   func(func())
}

// newCheck prepares the check of one dial.
func (h *hostKeys) newCheck(s *settings, target string, exact bool) *hostKeyCheck {
	c := &hostKeyCheck{keys: h, s: s, files: h.load(s), target: target, exact: exact, pause: func(f func()) { f() }}
	c.name = s.keyName()
	if s.HostKeyAlias == "" && s.Port != 22 {
		c.plain = c.name
		c.name = fmt.Sprintf("[%s]:%d", c.name, s.Port)
	}
	return c
}

// errRedial asks for a second connection whose key types are those known for the host.
type errRedial struct{ err error }

func (e *errRedial) Error() string { return e.err.Error() }
func (e *errRedial) Unwrap() error { return e.err }

// verify is the [ssh.HostKeyCallback] of the dial. Refused keys are *HostKeyError.
func (c *hostKeyCheck) verify(_ string, _ net.Addr, key ssh.PublicKey) error {
	reason := ""
	if cert, ok := key.(*ssh.Certificate); ok {
		err := c.certificate(cert)
		if err == nil {
			return nil
		}
		// As ssh does: a certificate that is no good leaves the plain key in it.
		key, reason = cert.Key, "its certificate is not accepted: "+err.Error()
	}
	if err := c.checkRevoked(key); err != nil {
		return err
	}
	if err := checkRSASize(key, c.s.RequiredRSASize); err != nil {
		return fmt.Errorf("%w: the host needs a longer key, or RequiredRSASize a smaller value", err)
	}
	v := c.judge(key)
	switch v.kind {
	case "":
		return nil
	case KeyUnknown:
		return c.unknown(key, reason)
	}
	err := c.error(v.kind, key, v.by, reason)
	if kinds, _, _ := knownKinds(c.files, c.name, true); v.kind == KeyChanged && c.guessed && !kinds[key.Type()] {
		return &errRedial{err}
	}
	return err
}

// judge looks for the host with its port, and then, as ssh does, without.
func (c *hostKeyCheck) judge(key ssh.PublicKey) verdict {
	v := judge(c.files, c.name, key)
	if v.kind == KeyUnknown && c.plain != "" {
		if p := judge(c.files, c.plain, key); p.kind != KeyChanged {
			return p
		}
	}
	return v
}

// unknown decides about a key of a host that no line names.
func (c *hostKeyCheck) unknown(key ssh.PublicKey, reason string) error {
	refuse := c.error(KeyUnknown, key, knownLine{}, reason)
	switch c.s.StrictHostKey {
	case "accept-new", "no":
		return c.accept(key)
	case "ask":
		if c.keys.ask == nil || c.s.BatchMode {
			return refuse
		}
		yes := false
		c.pause(func() { yes = c.keys.question(c.name, key, refuse.File) })
		if yes {
			return c.accept(key)
		}
	}
	return refuse
}

// question asks about a key, once for all connections that see it.
func (h *hostKeys) question(name string, key ssh.PublicKey, file string) bool {
	h.askMu.Lock()
	defer h.askMu.Unlock()
	id := name + " " + keyBlob(key)
	yes, asked := h.answered[id]
	if !asked {
		yes = h.ask(HostKeyQuestion{Host: name, KeyType: key.Type(), Fingerprint: ssh.FingerprintSHA256(key), File: file})
		h.answered[id] = yes
	}
	return yes
}

// accept adds the key to the first of the user's files, unless the host got another one
// meanwhile. A file that cannot be written is reported, not fatal: as in ssh.
func (c *hostKeyCheck) accept(key ssh.PublicKey) error {
	c.keys.addMu.Lock()
	defer c.keys.addMu.Unlock()
	if v := c.judge(key); v.kind != KeyUnknown {
		if v.kind == "" {
			return nil
		}
		return c.error(v.kind, key, v.by, "")
	}
	f := c.files[0]
	if f.path != "" {
		v, err := appendKnown(f.path, c.name, key, c.s.HashKnownHosts)
		if err != nil {
			c.keys.logf("sshx: adding the key of %s to %s: %v", c.name, f.path, err)
		}
		if v.kind != "" {
			return c.error(v.kind, key, v.by, "")
		}
	}
	f.mu.Lock()
	f.add(knownLine{names: []string{c.name}, kind: key.Type(), blob: keyBlob(key), file: f.path})
	f.mu.Unlock()
	return nil
}

// error makes the error about a key.
func (c *hostKeyCheck) error(kind HostKeyKind, key ssh.PublicKey, by knownLine, reason string) *HostKeyError {
	e := &HostKeyError{Host: c.name, Kind: kind, KeyType: key.Type(), Fingerprint: ssh.FingerprintSHA256(key),
		File: by.file, Line: by.line, Target: c.target, Reason: reason}
	if e.File == "" && len(c.s.UserKnownHosts) > 0 {
		e.File = c.s.UserKnownHosts[0]
	}
	if e.File == "" {
		e.File = "a UserKnownHostsFile"
	}
	return e
}

// defaultHostKeyOrder is OpenSSH's preference of host key algorithms (myproposal.h).
var defaultHostKeyOrder = []string{
	ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
	ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// algorithms is order_hostkeyalgs of sshconnect2.c: types that are known for the host come
// first, so that the server shows the key that is on file; certificates before them where an
// authority could vouch for one, else last.
func (c *hostKeyCheck) algorithms() ([]string, error) {
	base, err := algorithmList(c.s.HostKeyAlgorithms, defaultHostKeyOrder, ssh.SupportedAlgorithms().HostKeys, ssh.InsecureAlgorithms().HostKeys)
	if err != nil {
		return nil, fmt.Errorf("hostkeyalgorithms: %w", err)
	}
	kinds, ca, guessed := knownKinds(c.files, c.name, c.exact)
	if len(kinds) == 0 && !ca && c.plain != "" {
		kinds, ca, guessed = knownKinds(c.files, c.plain, c.exact)
	}
	c.guessed = guessed
	var certs, known, rest []string
	for _, a := range base {
		switch {
		case strings.Contains(a, "-cert-v01@"):
			certs = append(certs, a)
		case kinds[keyTypeOf(a)]:
			known = append(known, a)
		default:
			rest = append(rest, a)
		}
	}
	if ca {
		return slices.Concat(certs, known, rest), nil
	}
	return slices.Concat(known, rest, certs), nil
}

// keyTypeOf is the key type that a signature algorithm belongs to.
func keyTypeOf(algorithm string) string {
	if algorithm == ssh.KeyAlgoRSASHA256 || algorithm == ssh.KeyAlgoRSASHA512 {
		return ssh.KeyAlgoRSA
	}
	return algorithm
}
