package sshx

import (
	"crypto/rand"
	"crypto/sha1"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// appendKnown adds a host's key to a known_hosts file as accept-new does, and returns
// what the file says about it once it is locked: another process may have added the host
// with another key meanwhile, which is then a change and nothing is written. The file and
// its directory are made where they are missing; the line goes out in one write.
func appendKnown(path, name string, key ssh.PublicKey, hashed bool) (verdict, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return verdict{}, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return verdict{}, err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return verdict{}, fmt.Errorf("locking %s: %w", path, err)
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return verdict{}, err
	}
	now := newKnownFile(path)
	now.parse(data)
	if v := judge([]*knownFile{now}, name, key); v.kind != KeyUnknown {
		return v, nil
	}
	var salt []byte
	if hashed {
		salt = make([]byte, sha1.Size)
		if _, err := rand.Read(salt); err != nil {
			return verdict{}, err
		}
	}
	text := formatKnownLine(name, salt, key)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		text = "\n" + text
	}
	if _, err := f.WriteString(text); err != nil {
		return verdict{}, err
	}
	return verdict{}, nil
}
