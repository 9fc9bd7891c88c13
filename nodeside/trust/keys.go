package trust

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Names in the directory of what a node trusts.
const (
	AllowedSigners = "allowed_signers" // SSH keys: ssh-keygen(1), ALLOWED SIGNERS
	RevokedKeys    = "revoked_keys"    // SSH keys that do not count any more: a KRL, or public keys
	Keyring        = "gnupg"           // a home directory of GnuPG, whose keys are all trusted
)

// programDirs are where ssh-keygen and gpg are looked for, whatever PATH says.
var programDirs = []string{"/usr/bin", "/bin", "/usr/local/bin", "/run/current-system/sw/bin"}

// keys are what a node trusts. The paths are there whether the files are or not.
type keys struct {
	allowed, revoked, gnupg string
	ssh, revokes, pgp       bool   // there are such keys
	sshKeygen, gpg          string // programs; empty where they are not needed
}

// readKeys looks what there is in dir. Whatever others could have changed is an error.
func readKeys(dir string) (keys, error) {
	k := keys{allowed: filepath.Join(dir, AllowedSigners), revoked: filepath.Join(dir, RevokedKeys), gnupg: filepath.Join(dir, Keyring)}
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := owned(d, fs.ModeDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return k, err
		}
	}
	var err error
	for _, f := range []struct {
		path  string
		kind  fs.FileMode
		there *bool
	}{{k.allowed, 0, &k.ssh}, {k.revoked, 0, &k.revokes}, {k.gnupg, fs.ModeDir, &k.pgp}} {
		if err = owned(f.path, f.kind); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return k, err
		}
		*f.there = err == nil
	}
	switch {
	case !k.ssh && !k.pgp:
		return k, fmt.Errorf("there are no keys to trust: put the signers' SSH keys into %s, or import OpenPGP keys by gpg --homedir %s --import", k.allowed, k.gnupg)
	case k.ssh:
		k.sshKeygen, err = program("ssh-keygen", "openssh-client")
	}
	if k.pgp && err == nil {
		if err = ownedBelow(k.gnupg); err == nil {
			k.gpg, err = program("gpg", "gpg")
		}
	}
	return k, err
}

// program finds a program that signatures are checked by.
func program(name, debian string) (string, error) {
	for _, dir := range programDirs {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s in %v: install it (on Debian, package %s)", name, programDirs, debian)
}

// owned checks that path is of this kind (0 for a file) and that only root and this process's user can write it.
func owned(path string, kind fs.FileMode) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if got := info.Mode().Type(); got != kind {
		return fmt.Errorf("%s is not what it has to be (a file, for %s a directory, no symbolic link)", path, Keyring)
	}
	return ownedInfo(path, info)
}

func ownedInfo(path string, info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not owned by root or the node's user: chown it", path)
	}
	if info.Mode().Type() != fs.ModeSymlink && info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s may be written by others: chmod go-w it", path)
	}
	return nil
}

// ownedBelow checks all that is in a directory.
func ownedBelow(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gpg's locks come and go
		}
		if err != nil || info.Mode().Type() == fs.ModeSocket {
			return err
		}
		return ownedInfo(path, info)
	})
}
