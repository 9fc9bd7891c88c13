package sshx

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxKeyFile is how long a key file may be, in bytes.
const maxKeyFile = 1 << 20

// identity is one IdentityFile, read once for all hosts.
type identity struct {
	path string

	load    sync.Once
	public  ssh.PublicKey    // from the file or from FILE.pub; nil where neither tells
	cert    *ssh.Certificate // from FILE-cert.pub
	signer  ssh.Signer       // nil where locked or err
	locked  []byte           // the file's text, where it needs a passphrase
	private error            // why the private half cannot be used; fs.ErrNotExist where there is none

	unlock sync.Mutex // one question
	asked  bool
}

// keyring caches the identity files of a Client.
type keyring struct {
	askPassphrase func(path string) ([]byte, error) // nil: nobody to ask

	mu    sync.Mutex
	files map[string]*identity
}

func newKeyring(ask func(string) ([]byte, error)) *keyring {
	return &keyring{askPassphrase: ask, files: make(map[string]*identity)}
}

// get reads an identity file, or gives it as it was read before.
func (k *keyring) get(path string) *identity {
	k.mu.Lock()
	id, ok := k.files[path]
	if !ok {
		id = &identity{path: path}
		k.files[path] = id
	}
	k.mu.Unlock()
	id.load.Do(id.read)
	return id
}

// read fills the identity from the private file, FILE.pub and FILE-cert.pub.
func (id *identity) read() {
	id.readPrivate()
	if id.public == nil {
		id.public = readPublic(id.path + ".pub")
	}
	if cert, ok := readPublic(id.path + "-cert.pub").(*ssh.Certificate); ok && id.public != nil {
		if bytes.Equal(cert.Key.Marshal(), id.public.Marshal()) {
			id.cert = cert
		}
	}
}

// readPrivate reads the file itself. An IdentityFile may also be a public key, whose
// private half is in the agent.
func (id *identity) readPrivate() {
	st, err := os.Stat(id.path)
	if err != nil {
		id.private = plainPathError(err)
		return
	}
	data, err := readKeyFile(id.path)
	if err != nil {
		id.private = plainPathError(err)
		return
	}
	if key, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		id.public, id.private = key, errors.New("a public key whose private half is in no agent")
		return
	}
	if err := checkOwner(st, 0o077); err != nil && os.Getuid() == ownerOf(st) {
		id.private = err // ssh ignores such keys, too
		return
	}
	signer, err := ssh.ParsePrivateKey(data)
	var missing *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &missing):
		id.locked, id.public = data, missing.PublicKey
	case err != nil:
		id.private = errors.New("not a private key that can be read here: " + strings.TrimPrefix(err.Error(), "ssh: "))
	default:
		id.signer, id.public = signer, signer.PublicKey()
	}
}

// readKeyFile reads a regular file of bounded length.
func readKeyFile(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxKeyFile {
		return nil, errors.New("not a key file")
	}
	return os.ReadFile(path)
}

// readPublic reads a one-line public key or certificate, nil where there is none.
func readPublic(path string) ssh.PublicKey {
	data, err := readKeyFile(path)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return key
}

// usable gives nil where the private half can sign, now or after a passphrase; else why not.
func (id *identity) usable(k *keyring, mayAsk bool) error {
	switch {
	case id.private != nil && errors.Is(id.private, fs.ErrNotExist):
		return errors.New("missing")
	case id.private != nil:
		return id.private
	case id.locked != nil && (k.askPassphrase == nil || !mayAsk):
		return fmt.Errorf("needs a passphrase: load it with `ssh-add %s`", shellWord(id.path))
	}
	return nil
}

// open gives the signer, asking for the passphrase once in the life of the Client.
func (id *identity) open(k *keyring) (ssh.Signer, error) {
	id.unlock.Lock()
	defer id.unlock.Unlock()
	if id.signer != nil {
		return id.signer, nil
	}
	if id.asked {
		return nil, errors.New("its passphrase was not right")
	}
	id.asked = true
	pass, err := k.askPassphrase(id.path)
	if err != nil {
		return nil, fmt.Errorf("asking for its passphrase: %w", err)
	}
	signer, err := ssh.ParsePrivateKeyWithPassphrase(id.locked, pass)
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, errors.New("its passphrase was not right")
	}
	if err != nil {
		return nil, err
	}
	id.signer = signer
	return signer, nil
}

// fileSigner signs with an identity file that may have to be unlocked first: only once
// the server has said that it would take the key.
type fileSigner struct {
	ctx   context.Context
	id    *identity
	keys  *keyring
	key   ssh.PublicKey // the plain key or a certificate for it
	pause func(func())  // stops the clock while a person types
}

var _ ssh.AlgorithmSigner = (*fileSigner)(nil)

// PublicKey implements [ssh.Signer].
func (s *fileSigner) PublicKey() ssh.PublicKey { return s.key }

// Sign implements [ssh.Signer].
func (s *fileSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm implements [ssh.AlgorithmSigner].
func (s *fileSigner) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	var signer ssh.Signer
	var err error
	if s.id.locked == nil {
		signer, err = s.id.open(s.keys)
	} else {
		s.pause(func() { signer, err = s.id.open(s.keys) })
	}
	if err != nil {
		return nil, err
	}
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	if as, ok := signer.(ssh.AlgorithmSigner); ok && algorithm != "" {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}
