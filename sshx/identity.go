package sshx

import (
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

// What keeps a key from being offered, where a caller looks at it.
var (
	errAbsent        = errors.New("missing")
	errHidden        = errors.New("hides its public half")
	errNoCertificate = errors.New("not a certificate")
	errNoPrivate     = errors.New("its private key is neither in the agent nor an IdentityFile")
)

// identity is one IdentityFile or CertificateFile, read once for all hosts.
type identity struct {
	path string

	load    sync.Once
	public  ssh.PublicKey    // from the file or from FILE.pub; nil where neither tells
	cert    *ssh.Certificate // from FILE-cert.pub
	locked  []byte           // the file's text, where it needs a passphrase
	private error            // why the private half cannot be used; fs.ErrNotExist where there is none
	exposed sync.Once        // the user is told of private, where others can read the file

	mu     sync.Mutex
	signer ssh.Signer // nil where locked or err
	failed error      // of unlocking it, which is not tried again
}

// keyring caches the identity files of a Client.
type keyring struct {
	askPassphrase func(ctx context.Context, path string) ([]byte, error) // nil: nobody to ask
	asking        chan struct{}                                          // holds a token while a person is asked: one question at a time

	mu    sync.Mutex
	files map[string]*identity
}

func newKeyring(ask func(context.Context, string) ([]byte, error)) *keyring {
	return &keyring{askPassphrase: ask, asking: make(chan struct{}, 1), files: make(map[string]*identity)}
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
	id.cert, _ = readPublic(id.path + "-cert.pub").(*ssh.Certificate)
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
	// A key that others can read is good for nothing but to select one of the agent, as with ssh.
	if err := checkOwner(st, 0o077); err != nil && os.Getuid() == ownerOf(st) {
		id.private, id.signer, id.locked = &exposedError{err}, nil, nil
	}
}

// exposedError is a private key that others can read.
type exposedError struct{ error }

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
		return errAbsent
	case id.private != nil:
		return id.private
	case id.locked != nil && (k.askPassphrase == nil || !mayAsk):
		return fmt.Errorf("needs a passphrase: load it with `ssh-add %s`", shellWord(id.path))
	}
	return nil
}

// opened gives the signer of a file that is not locked, or not any more.
func (id *identity) opened() (ssh.Signer, error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.signer, id.failed
}

// open gives the signer. It asks for the passphrase up to prompts times, once in the life of
// the Client: whoever needs the key meanwhile waits for that. It ends with ctx.
func (id *identity) open(ctx context.Context, k *keyring, prompts int) (ssh.Signer, error) {
	select {
	case k.asking <- struct{}{}:
		defer func() { <-k.asking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if signer, err := id.opened(); signer != nil || err != nil {
		return signer, err
	}
	signer, err := id.unlock(ctx, k, prompts)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	id.mu.Lock()
	defer id.mu.Unlock()
	id.signer, id.failed = signer, err
	return signer, err
}

// unlock asks and decrypts. An empty answer is no answer, as with ssh.
func (id *identity) unlock(ctx context.Context, k *keyring, prompts int) (ssh.Signer, error) {
	for range prompts {
		passphrase, err := k.askPassphrase(ctx, id.path)
		if err != nil {
			return nil, fmt.Errorf("asking for its passphrase: %w", err)
		}
		if len(passphrase) == 0 {
			return nil, errors.New("no passphrase was given")
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(id.locked, passphrase)
		clear(passphrase)
		if err == nil {
			return signer, nil
		}
		if !errors.Is(err, x509.IncorrectPasswordError) {
			return nil, fmt.Errorf("it cannot be decrypted here: load it with `ssh-add %s` (%w)", shellWord(id.path), err)
		}
	}
	return nil, errors.New("its passphrase was not right")
}

// fileSigner signs with an identity file that may have to be unlocked first: only once
// the server has said that it would take the key.
type fileSigner struct {
	attempt *authAttempt
	id      *identity
	key     ssh.PublicKey // the plain key or a certificate for it
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
	a := s.attempt
	signer, err := s.id.opened()
	if signer == nil && err == nil {
		a.waited = true
		a.pause(func() { signer, err = s.id.open(a.ctx, a.client.keys, a.s.PasswordPrompts) })
	}
	if err != nil {
		return nil, err
	}
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	if as, ok := signer.(ssh.AlgorithmSigner); ok && algorithm != "" {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}

// userCertificate refuses a certificate that is not for users; other keys pass.
func userCertificate(key ssh.PublicKey) error {
	if cert, ok := key.(*ssh.Certificate); ok && cert.CertType != ssh.UserCert {
		return errors.New("not a certificate for users")
	}
	return nil
}
