package sshx

import (
	"fmt"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// hostKeys are the known_hosts files of all hosts of a Client. A file is read once; what
// is accepted is known to every later connection.
type hostKeys struct {
	home string
	logf func(string, ...any)

	readOnly bool // files are not written

	mu      sync.Mutex
	files   map[string]*knownFile
	revoked map[string]*revocation

	addMu sync.Mutex // one writer
}

func newHostKeys(home string, logf func(string, ...any)) *hostKeys {
	return &hostKeys{home: home, logf: logf, files: make(map[string]*knownFile), revoked: make(map[string]*revocation)}
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
			if f = newKnownFile(p); p != "" {
				f = loadKnownFile(p)
			}
			if err := f.unreadable(); err != nil {
				h.logf("sshx: reading known hosts %s: %v", p, err)
			}
			h.files[p] = f
		}
		out = append(out, f)
	}
	return out
}

// hostKeyCheck checks the key of one dial.
type hostKeyCheck struct {
	keys     *hostKeys
	s        *settings
	files    []*knownFile
	name     string // name, or [name]:port where the port is not 22
	portless string // the name without port; empty where that is no second chance
	target   string // as the user would give it to ssh
	exact    bool   // long hashed files are searched for the types of the host's keys
	guessed  bool   // they were not
	seeOnly  bool   // the dial ends here: errSeen
}

// newCheck prepares the check of one dial.
func (h *hostKeys) newCheck(s *settings, target string, exact bool) *hostKeyCheck {
	c := &hostKeyCheck{keys: h, s: s, files: h.load(s), target: target, exact: exact}
	c.name = s.keyName()
	if s.HostKeyAlias == "" && s.Port != 22 {
		c.portless = c.name
		c.name = fmt.Sprintf("[%s]:%d", c.name, s.Port)
	}
	return c
}

// errRedial asks for a second connection whose key types are those known for the host.
type errRedial struct{ err error }

func (e *errRedial) Error() string { return e.err.Error() }
func (e *errRedial) Unwrap() error { return e.err }

// verify is the [ssh.HostKeyCallback] of the dial. Refused keys are *HostKeyError.
func (c *hostKeyCheck) verify(_ string, remote net.Addr, key ssh.PublicKey) error {
	if err := checkRSASize(key, c.s.RequiredRSASize); err != nil {
		return fmt.Errorf("%w: the host needs a longer key, or RequiredRSASize a smaller value", err)
	}
	if err := c.checkRevoked(key); err != nil {
		return err
	}
	if !c.trustedAnyway(remote) {
		if err := c.known(key); err != nil {
			return err
		}
	}
	if c.seeOnly {
		return errSeen
	}
	return nil
}

// trustedAnyway is NoHostAuthenticationForLocalhost, for a server that is reached directly.
func (c *hostKeyCheck) trustedAnyway(remote net.Addr) bool {
	addr, ok := remote.(*net.TCPAddr)
	return ok && c.s.NoHostAuthLocalhost && c.s.HostKeyAlias == "" && addr.IP.IsLoopback()
}

// known looks the key up. A key that is not the host's is an error; whether a host that no
// line names is one, StrictHostKeyChecking says. Unlike ssh, where this is "no", a key that
// has changed or is revoked is never used.
func (c *hostKeyCheck) known(key ssh.PublicKey) error {
	v := c.decide(c.name, key)
	if v.kind == "" {
		return nil
	}
	refused := c.refuse(v)
	if c.otherTypes() {
		return &errRedial{refused}
	}
	if v.kind == KeyUnknown && !c.seeOnly && c.recordable() && (c.s.StrictHostKey == "accept-new" || c.s.StrictHostKey == "no") {
		changed, unsaved := c.accept(v.key)
		if unsaved != nil {
			// As in ssh, no reason to leave.
			c.keys.logf("sshx: %v", unsaved)
		}
		return changed
	}
	return refused
}

// recordable reports whether the host's name can stand in known_hosts for itself alone. Host
// names can, but an alias is any text: a pattern would trust the key of one host for others.
func (c *hostKeyCheck) recordable() bool {
	return !strings.ContainsAny(c.s.HostKeyAlias, "*?!,|#@ \t\"'\\")
}

// decide is check_host_key of sshconnect.c: a host that is not known with its port may be
// known without, and of a certificate that is no good the plain key in it is looked up.
func (c *hostKeyCheck) decide(name string, key ssh.PublicKey) verdict {
	v := judge(c.files, name, key)
	cert, isCert := key.(*ssh.Certificate)
	if v.kind == "" && isCert {
		err := c.certificate(cert)
		if err == nil {
			return v
		}
		v.kind, v.reason = KeyUnknown, err.Error()
	} else if v.kind == KeyUnknown {
		if isCert {
			v.reason = "its authority is not known for this host"
		}
		if c.portless != "" && name != c.portless {
			if p := c.decide(c.portless, key); p.kind == "" || p.kind == KeyRevoked {
				return p
			} else if isCert {
				v.reason = p.reason
			}
		}
	}
	if isCert && v.kind == KeyUnknown {
		plain := c.decide(name, cert.Key)
		plain.reason = v.reason
		return plain
	}
	return v
}

// accept adds the key to the first of the user's files, unless the host got another one
// meanwhile, which is then changed. unsaved is why the file does not have it.
func (c *hostKeyCheck) accept(key ssh.PublicKey) (changed, unsaved error) {
	c.keys.addMu.Lock()
	defer c.keys.addMu.Unlock()
	f := c.files[0]
	var w *knownWriter
	if f.path != "" && !c.keys.readOnly {
		if w, unsaved = openKnown(f, c.keys.home); unsaved == nil {
			defer w.close()
		}
	}
	switch v := c.decide(c.name, key); v.kind {
	case "":
		return nil, nil
	case KeyChanged, KeyRevoked:
		return c.refuse(v), nil
	}
	if w != nil {
		unsaved = w.add(c.name, key, c.s.HashKnownHosts)
	}
	if unsaved != nil {
		unsaved = fmt.Errorf("adding the host key of %s to %s: %w", c.name, f.path, plainPathError(unsaved))
	}
	if w == nil || unsaved != nil || !w.regular {
		f.remember(c.name, key)
	}
	return nil, unsaved
}

// refuse makes the error about a key.
func (c *hostKeyCheck) refuse(v verdict) *HostKeyError {
	if cert, ok := v.key.(*ssh.Certificate); ok {
		v.key = cert.Key
	}
	e := &HostKeyError{Host: c.name, Kind: v.kind, KeyType: v.key.Type(), Fingerprint: ssh.FingerprintSHA256(v.key),
		File: v.by.file, Line: v.by.line, Target: c.target, check: c, key: v.key}
	switch {
	case v.kind == KeyRevoked:
		e.Reason = v.reason
	case v.reason != "":
		e.Reason = "its certificate is not accepted: " + v.reason
	}
	if v.kind != KeyUnknown {
		return e
	}
	if e.File = "a UserKnownHostsFile"; len(c.s.UserKnownHosts) > 0 {
		e.File = c.s.UserKnownHosts[0]
	}
	if !c.recordable() {
		e.Reason = joinReasons(e.Reason, "HostKeyAlias "+quote(c.s.HostKeyAlias)+" is no name that could be added")
	}
	for _, f := range c.files {
		if err := f.unreadable(); err != nil {
			e.Reason = joinReasons(e.Reason, fmt.Sprintf("%s cannot be read: %v", f.path, err))
		}
	}
	return e
}

func joinReasons(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
