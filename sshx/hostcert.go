package sshx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// defaultCASignatures are the algorithms that an authority may sign with (CASignatureAlgorithms).
var defaultCASignatures = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// certificate accepts a host certificate as OpenSSH 10.3 and later do: it names the host (an
// empty list names nobody, a name can be a pattern), is valid now and has no critical options,
// and its authority, which the caller has found in known_hosts, signed with what it may sign with.
func (c *hostKeyCheck) certificate(cert *ssh.Certificate) error {
	if cert.CertType != ssh.HostCert {
		return errors.New("it is not a host certificate")
	}
	allowed, err := algorithmList(c.s.CASignatureAlgorithms, defaultCASignatures, defaultCASignatures, nil)
	if err != nil {
		return fmt.Errorf("casignaturealgorithms: %w", err)
	}
	if !slices.Contains(allowed, cert.Signature.Format) {
		return fmt.Errorf("its authority signed it with %s", quote(cert.Signature.Format))
	}
	host := c.s.keyName()
	at := slices.IndexFunc(cert.ValidPrincipals, func(p string) bool { return matchPattern(host, p) })
	if at < 0 {
		return fmt.Errorf("it is not valid for %s", host)
	}
	return new(ssh.CertChecker).CheckCert(cert.ValidPrincipals[at], cert)
}

// revocation is a RevokedHostKeys file: public keys, one a line, or a binary list (KRL)
// which ssh-keygen reads.
type revocation struct {
	path string
	krl  bool
	keys map[string]bool
	err  error

	mu      sync.Mutex
	answers map[[sha256.Size]byte]error
}

// loadRevocation reads the file. Any line that is no key makes the whole file an error:
// what cannot be read could be a revocation.
func loadRevocation(path string) *revocation {
	r := &revocation{path: path, keys: make(map[string]bool), answers: make(map[[sha256.Size]byte]error)}
	data, err := os.ReadFile(path)
	if err != nil {
		r.err = plainPathError(err)
		return r
	}
	if bytes.HasPrefix(data, []byte("SSHKRL\n\x00")) {
		r.krl = true
		return r
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimLeft(strings.TrimRight(line, "\n"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := parseKeyText(line)
		switch {
		case errors.Is(err, errShortKey):
			continue // no server can use it
		case err != nil:
			r.err = fmt.Errorf("line %d is no public key", number)
			return r
		}
		if cert, ok := key.(*ssh.Certificate); ok {
			key = cert.Key
		}
		r.keys[keyBlob(key)] = true
	}
	return r
}

// errRevoked is a key that a revocation list holds.
var errRevoked = errors.New("revoked")

// check gives nil for a key or certificate that is not revoked, errRevoked, or why that is
// not known. A certificate is revoked with its key, or its authority.
func (r *revocation) check(key ssh.PublicKey) error {
	if r.err != nil {
		return r.err
	}
	if !r.krl {
		cert, ok := key.(*ssh.Certificate)
		if ok && (r.keys[keyBlob(cert.Key)] || r.keys[keyBlob(cert.SignatureKey)]) || r.keys[keyBlob(key)] {
			return errRevoked
		}
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := sha256.Sum256(key.Marshal())
	err, known := r.answers[id]
	if !known {
		err = askKeygen(r.path, key)
		r.answers[id] = err
	}
	return err
}

// keygenTimeout is how long ssh-keygen may take to look a key up.
const keygenTimeout = 10 * time.Second

// askKeygen has ssh-keygen look a key up in a KRL: 0 is not revoked, 1 is.
func askKeygen(path string, key ssh.PublicKey) error {
	ctx, cancel := context.WithTimeout(context.Background(), keygenTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "troops-krl")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "key.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(key), 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "ssh-keygen", "-Q", "-f", path, file).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == 1 && bytes.Contains(out, []byte("REVOKED")):
		return errRevoked
	}
	return fmt.Errorf("ssh-keygen -Q: %s", printable(lastLines(string(out), err)))
}

// checkRevoked looks a key or certificate up in RevokedHostKeys. A list that cannot be read revokes all
// keys, as in ssh.
func (c *hostKeyCheck) checkRevoked(key ssh.PublicKey) error {
	path := c.s.RevokedHostKeys
	if path == "" {
		return nil
	}
	c.keys.mu.Lock()
	r, ok := c.keys.revoked[path]
	if !ok {
		r = loadRevocation(path)
		c.keys.revoked[path] = r
	}
	c.keys.mu.Unlock()
	if err := r.check(key); err != nil {
		reason := ""
		if !errors.Is(err, errRevoked) {
			reason = "the list cannot be read: " + err.Error()
		}
		refused := c.refuse(verdict{kind: KeyRevoked, key: key, by: knownLine{file: path}})
		refused.Reason = reason
		return refused
	}
	return nil
}
