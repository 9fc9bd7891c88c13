package testnode

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// file is a file to be written with its directories.
type file struct {
	path string
	data []byte
	mode os.FileMode
}

func (f file) write() error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return fmt.Errorf("testnode: writing %s: %w", f.path, err)
	}
	if err := os.WriteFile(f.path, f.data, f.mode); err != nil {
		return fmt.Errorf("testnode: writing %s: %w", f.path, err)
	}
	return nil
}

func appendFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("testnode: appending: %w", err)
	}
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("testnode: appending: %w", err)
	}
	return nil
}

// newKey makes an ed25519 key pair: the private key as OpenSSH stores it, the public one as
// a line of authorized_keys.
func newKey(comment string) (private, public []byte, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("testnode: making a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return nil, nil, fmt.Errorf("testnode: making a key: %w", err)
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("testnode: making a key: %w", err)
	}
	return pem.EncodeToMemory(block), ssh.MarshalAuthorizedKey(sshPub), nil
}

// sshdConfig is a node's sshd_config. MaxStartups is high since a test may dial one node often.
func sshdConfig(addr string) string {
	return fmt.Sprintf(`ListenAddress %s
Port %d
HostKey /etc/ssh-node/host_key
PidFile /run/sshd.pid
AuthorizedKeysFile .ssh/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
MaxStartups 100:30:200
LogLevel VERBOSE
`, addr, Port)
}
