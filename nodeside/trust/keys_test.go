package trust

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Keys that others could have changed are no keys: nothing is deployed.
func TestReadKeys(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(dir string) error
		want string // in the error; empty for none
	}{
		{"in order", func(string) error { return nil }, ""},
		{"no revocations", func(d string) error { return os.Remove(filepath.Join(d, RevokedKeys)) }, ""},
		{"no directory", os.RemoveAll, "no keys to trust"},
		{"no keys", func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, AllowedSigners)), os.RemoveAll(filepath.Join(d, Keyring)))
		}, "gpg --homedir"},
		{"open file", func(d string) error { return os.Chmod(filepath.Join(d, AllowedSigners), 0o664) }, "chmod go-w"},
		{"open revocations", func(d string) error { return os.Chmod(filepath.Join(d, RevokedKeys), 0o646) }, "chmod go-w"},
		{"open directory", func(d string) error { return os.Chmod(d, 0o770) }, "chmod go-w"},
		{"open directory above", func(d string) error { return os.Chmod(filepath.Dir(d), 0o777) }, "chmod go-w"},
		{"open keyring", func(d string) error { return os.Chmod(filepath.Join(d, Keyring), 0o777) }, "chmod go-w"},
		{"open file in the keyring", func(d string) error { return os.Chmod(filepath.Join(d, Keyring, "pubring.kbx"), 0o666) }, "chmod go-w"},
		{"link", func(d string) error {
			path := filepath.Join(d, AllowedSigners)
			return errors.Join(os.Rename(path, path+"2"), os.Symlink(path+"2", path))
		}, "no symbolic link"},
		{"directory for a file", func(d string) error {
			return errors.Join(os.Remove(filepath.Join(d, AllowedSigners)), os.Mkdir(filepath.Join(d, AllowedSigners), 0o700))
		}, "not what it has to be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "trust")
			for _, d := range []string{dir, filepath.Join(dir, Keyring)} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			for _, f := range []string{AllowedSigners, RevokedKeys, Keyring + "/pubring.kbx"} {
				if err := os.WriteFile(filepath.Join(dir, f), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := test.do(dir); err != nil {
				t.Fatal(err)
			}
			_, err := readKeys(dir)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// Files of somebody else, too.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		if ci := os.Getenv("CI"); ci != "" && ci != "false" {
			t.Fatal("takes root")
		}
		t.Skip("takes root")
	}
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := owned(path, 0); err != nil {
		t.Error(err)
	}
	if err := os.Chown(path, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if err := owned(path, 0); err == nil || !strings.Contains(err.Error(), "chown it") {
		t.Errorf("%v", err)
	}
	if err := owned(path+"2", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
