package sshx

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// defaultCASignatures are the algorithms that an authority may sign with (CASignatureAlgorithms).
var defaultCASignatures = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// certificate accepts a host certificate as OpenSSH does: its authority is on an
// @cert-authority line of the host, it names the host (an empty list names nobody), it is
// valid now, and neither it nor its authority is revoked.
func (c *hostKeyCheck) certificate(cert *ssh.Certificate) error {
	if cert.CertType != ssh.HostCert {
		return errors.New("it is not a host certificate")
	}
	ca := keyBlob(cert.SignatureKey)
	names := []string{c.name}
	if c.plain != "" {
		names = append(names, c.plain)
	}
	if !slices.ContainsFunc(names, func(n string) bool { return authority(c.files, n, ca) }) {
		return errors.New("its authority is not known for this host")
	}
	for _, key := range []ssh.PublicKey{cert.SignatureKey, cert.Key} {
		if err := c.checkRevoked(key); err != nil {
			return err
		}
		for _, n := range names {
			if _, bad := revokedIn(c.files, n, keyBlob(key)); bad {
				return errors.New("a key of it is revoked")
			}
		}
		if err := checkRSASize(key, c.s.RequiredRSASize); err != nil {
			return err
		}
	}
	allowed, err := algorithmList(c.s.CASignatureAlgorithms, defaultCASignatures, defaultCASignatures, nil)
	if err != nil {
		return fmt.Errorf("casignaturealgorithms: %w", err)
	}
	if !slices.Contains(allowed, cert.Signature.Format) {
		return fmt.Errorf("its authority signed it with %s", quote(cert.Signature.Format))
	}
	host := c.s.keyName()
	at := slices.IndexFunc(cert.ValidPrincipals, func(p string) bool { return matchPattern(host, strings.ToLower(p)) })
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
		r.err = err
		return r
	}
	if bytes.HasPrefix(data, []byte("SSHKRL\n\x00")) {
		r.krl = true
		return r
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			r.err = errors.New("a line of it is no public key")
			return r
		}
		r.keys[keyBlob(key)] = true
	}
	return r
}

// errRevoked is a key that a revocation list holds.
var errRevoked = errors.New("revoked")

// check gives nil for a key that is not revoked, errRevoked, or why that is not known.
func (r *revocation) check(key ssh.PublicKey) error {
	if r.err != nil {
		return r.err
	}
	if !r.krl {
		if r.keys[keyBlob(key)] {
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

// askKeygen has ssh-keygen look a key up in a KRL: 0 is not revoked, 1 is.
func askKeygen(path string, key ssh.PublicKey) error {
	dir, err := os.MkdirTemp("", "troops-krl")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "key.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(key), 0o600); err != nil {
		return err
	}
	out, err := exec.Command("ssh-keygen", "-Q", "-f", path, file).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() == 1 && bytes.Contains(out, []byte("REVOKED")):
		return errRevoked
	}
	return fmt.Errorf("ssh-keygen -Q: %s", printable(lastLines(string(out), err)))
}

// checkRevoked looks a key up in RevokedHostKeys. A list that cannot be read revokes all
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
		return c.error(KeyRevoked, key, knownLine{file: path}, reason)
	}
	return nil
}
