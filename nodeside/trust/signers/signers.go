// Package signers makes real keys, and commits signed by them, for tests of what a node trusts.
package signers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The keys of a [Kit]. What a node trusts names the first three and Expired.
const (
	Good    = "good"
	Revoked = "revoked"
	Expired = "expired"
	Unknown = "unknown"
)

// past is a time when the expired keys were valid.
const past = "20200601T120000"

// Kit has an SSH key and an OpenPGP key of each name.
type Kit struct {
	testing.TB
	dir  string
	home string            // of GnuPG, with the private keys
	pgp  map[string]string // fingerprints
}

// New makes the keys. What gpg starts ends with the test.
func New(t testing.TB) *Kit {
	t.Helper()
	// Not t.TempDir(), whose path may be too long for a socket.
	dir, err := os.MkdirTemp("", "signers")
	if err != nil {
		t.Fatal(err)
	}
	k := &Kit{TB: t, dir: dir, home: filepath.Join(dir, "g"), pgp: make(map[string]string)}
	t.Cleanup(func() {
		if out, err := exec.Command("gpgconf", "--homedir", k.home, "--kill", "all").CombinedOutput(); err != nil {
			t.Errorf("ending gpg-agent: %v\n%s", err, out)
		}
		os.RemoveAll(dir)
	})
	if err := os.Mkdir(k.home, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{Good, Revoked, Expired, Unknown} {
		k.run("", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", k.ssh(name))
		args := []string{"--quick-gen-key", name + "@example.com", "ed25519", "sign", "never"}
		if name == Expired {
			args = []string{"--faked-system-time", past, "--quick-gen-key", name + "@example.com", "ed25519", "sign", "7d"}
		}
		k.gpg("", append([]string{"--passphrase", ""}, args...)...)
		for line := range strings.Lines(k.gpg("", "--with-colons", "--list-keys", name+"@example.com")) {
			if f := strings.Split(line, ":"); f[0] == "fpr" {
				k.pgp[name] = f[9]
			}
		}
	}
	// gpg signs by the program that git calls, which has no option for the time.
	k.write("gpg-past", "#!/bin/sh\nexec gpg --faked-system-time "+past+" \"$@\"\n", 0o755)
	return k
}

func (k *Kit) ssh(name string) string { return filepath.Join(k.dir, name) }

func (k *Kit) write(name, text string, mode os.FileMode) string {
	k.Helper()
	path := filepath.Join(k.dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		k.Fatal(err)
	}
	return path
}

func (k *Kit) run(stdin string, args ...string) string {
	k.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		k.Fatalf("%v: %v\n%s%s", args, err, out, &errs)
	}
	return string(out)
}

func (k *Kit) gpg(stdin string, args ...string) string {
	k.Helper()
	return k.run(stdin, append([]string{"gpg", "--homedir", k.home, "--batch", "--quiet", "--pinentry-mode", "loopback"}, args...)...)
}

// Public is the line of an SSH key that stands in allowed_signers after who signs.
func (k *Kit) Public(name string) string {
	k.Helper()
	b, err := os.ReadFile(k.ssh(name) + ".pub")
	if err != nil {
		k.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// AllowedSigners is what a node's allowed_signers has.
func (k *Kit) AllowedSigners() string {
	k.Helper()
	return fmt.Sprintf("good@example.com %s\nrevoked@example.com %s\nexpired@example.com valid-before=\"20200701\" %s\n",
		k.Public(Good), k.Public(Revoked), k.Public(Expired))
}

// Keyring is what is imported, one after the other, into a node's keyring: keys, and a revocation.
func (k *Kit) Keyring() []string {
	k.Helper()
	cert, err := os.ReadFile(filepath.Join(k.home, "openpgp-revocs.d", k.pgp[Revoked]+".rev"))
	if err != nil {
		k.Fatal(err)
	}
	// A colon keeps it from being imported by accident.
	return []string{
		k.gpg("", "--armor", "--export", k.pgp[Good], k.pgp[Revoked], k.pgp[Expired]),
		strings.Replace(string(cert), ":-----BEGIN", "-----BEGIN", 1),
	}
}

// Install writes what a node trusts into its directory for that, which is there.
func (k *Kit) Install(dir string) {
	k.Helper()
	for name, text := range map[string]string{"allowed_signers": k.AllowedSigners(), "revoked_keys": k.Public(Revoked) + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			k.Fatal(err)
		}
	}
	home := filepath.Join(dir, "gnupg")
	if err := os.Mkdir(home, 0o700); err != nil {
		k.Fatal(err)
	}
	for _, keys := range k.Keyring() {
		k.run(keys, "gpg", "--homedir", home, "--batch", "--quiet", "--no-autostart", "--import")
	}
}

// SSH are the options of git that make it sign by an SSH key.
func (k *Kit) SSH(name string) []string {
	return []string{"-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen", "-c", "user.signingKey=" + k.ssh(name), "-c", "commit.gpgSign=true"}
}

// PGP are the options of git that make it sign by an OpenPGP key. The one that has expired was used
// when it was valid. GNUPGHOME has to be [Kit.Home].
func (k *Kit) PGP(name string) []string {
	program := "gpg"
	if name == Expired {
		program = filepath.Join(k.dir, "gpg-past")
	}
	return []string{"-c", "gpg.format=openpgp", "-c", "gpg.program=" + program, "-c", "user.signingKey=" + k.pgp[name] + "!", "-c", "commit.gpgSign=true"}
}

// Home is the home of gpg that has the private keys.
func (k *Kit) Home() string { return k.home }

// Fingerprint is that of an OpenPGP key.
func (k *Kit) Fingerprint(name string) string { return k.pgp[name] }
