package sshx

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// only accepts one key.
func only(key ssh.PublicKey) func(string, ssh.PublicKey) bool {
	return func(_ string, k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) }
}

// identities is a configuration of key files.
func identities(h *home, names ...string) string {
	var b strings.Builder
	b.WriteString("Host *\n")
	for _, n := range names {
		fmt.Fprintf(&b, " IdentityFile %s\n", h.path(n))
	}
	return b.String()
}

func TestOrderOfKeys(t *testing.T) {
	h := newHome(t)
	keys := map[string]ssh.Signer{"id": h.key}
	for _, n := range []string{"f1", "f2", "a1", "a2"} {
		keys[n] = writeKey(t, h.path(n), "")
	}
	newAgent(t, h, "a1", "f2", "a2")
	name := func(fingerprint string) string {
		for n, k := range keys {
			if ssh.FingerprintSHA256(k.PublicKey()) == fingerprint {
				return n
			}
		}
		return "?"
	}
	for _, tt := range []struct {
		config string
		want   []string
	}{
		{identities(h, "f1", "f2"), []string{"f2", "a1", "a2", "f1", "id"}}, // agent's configured keys, its others, files
		{"IdentitiesOnly yes\n" + identities(h, "f1", "f2"), []string{"f2", "f1", "id"}},
		{"IdentityAgent none\n" + identities(h, "f1", "f2"), []string{"f1", "f2", "id"}},
		{"IdentitiesOnly yes\n" + identities(h, "a2.pub"), []string{"a2", "id"}}, // a public key selects
	} {
		s := (&server{accepts: func(string, ssh.PublicKey) bool { return false }}).start(t)
		h.config(tt.config)
		h.knows(s)
		_, err := h.client(Options{}).Dial(t.Context(), s.addr)
		var ae *AuthError
		if !errors.As(err, &ae) || ae.User != "tester" || len(ae.Tried) != len(tt.want) {
			t.Errorf("%s: %v", tt.config, err)
		}
		var got []string
		for _, f := range s.offered() {
			got = append(got, name(f))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: offered %v, want %v", tt.config, got, tt.want)
		}
	}
}

func TestAtMostFiveKeysAConnectionAndTheWinnerFirst(t *testing.T) {
	h := newHome(t)
	var names, prints []string
	var signers []ssh.Signer
	for i := range MaxKeyTries*MaxKeyConnections + 2 {
		names = append(names, fmt.Sprint("k", i))
		signers = append(signers, writeKey(t, h.path(names[i]), ""))
		prints = append(prints, ssh.FingerprintSHA256(signers[i].PublicKey()))
	}
	h.config(identities(h, names...))
	c := h.client(Options{})
	first, second, third := (&server{accepts: only(signers[12].PublicKey())}).start(t), (&server{accepts: only(signers[3].PublicKey())}).start(t), (&server{accepts: only(signers[16].PublicKey())}).start(t)
	for _, s := range []*server{first, second, third} {
		h.knows(s)
	}
	h.dial(c, first.addr)
	if got := first.offered(); !slices.Equal(got, prints[:13]) || first.dialled() != 3 {
		t.Errorf("offered %d keys on %d connections: %v", len(got), first.dialled(), got)
	}
	h.dial(c, second.addr)
	if got := second.offered(); !slices.Equal(got, append([]string{prints[12]}, prints[:4]...)) || second.dialled() != 1 {
		t.Errorf("offered %v to the second server, the winner of the first is %s", got, prints[12])
	}
	_, err := c.Dial(t.Context(), third.addr)
	var ae *AuthError
	if !errors.As(err, &ae) || !ae.Limit || len(ae.Tried) != 15 || third.dialled() != MaxKeyConnections || third.offered()[0] != prints[3] ||
		!strings.Contains(err.Error(), "only 15 keys are tried: name the right one with IdentityFile") {
		t.Errorf("the last of 17 is right: %v", err)
	}
	if got := slices.Compact(slices.Sorted(slices.Values(third.offered()))); len(got) != 15 {
		t.Errorf("%d different keys were offered", len(got))
	}
}

func TestNoUsableKey(t *testing.T) {
	h := newHome(t)
	s := (&server{}).start(t)
	h.knows(s)
	writeKey(t, h.path("locked"), "secret")
	writeFile(t, h.path("rubbish"), "-----BEGIN NONSENSE-----\n")
	writeKey(t, h.path("open"), "")
	if err := os.Chmod(h.path("open"), 0o644); err != nil {
		t.Fatal(err)
	}
	writeFile(t, h.path("small"), smallRSA(t))
	writeFile(t, h.path("public"), string(ssh.MarshalAuthorizedKey(newKey(t).PublicKey())))
	for _, tt := range []struct{ config, want string }{
		{"IdentityFile " + h.path("gone") + "\n", "~/gone: missing"},
		{"IdentityFile " + h.path("locked") + "\n", "~/locked: needs a passphrase: load it with `ssh-add " + h.path("locked")},
		{"IdentityFile " + h.path("rubbish") + "\n", "~/rubbish: not a private key"},
		{"IdentityFile " + h.path("open") + "\n", "~/open: bad permissions 0644: remove those of others with `chmod 0600`"},
		{"IdentityFile " + h.path("small") + "\nRequiredRSASize 3072\n", "~/small: RSA key of 2048 bits, at least 3072"},
		{"IdentityFile " + h.path("public") + "\n", "a public key whose private half is in no agent"},
		{"IdentityFile " + h.path("id") + "\nPubkeyAcceptedAlgorithms rsa-sha2-*\n", "PubkeyAcceptedAlgorithms rules ssh-ed25519 out"},
		{"IdentityFile ~/.ssh/id_rsa\nIdentityFile ~/.ssh/id_ed25519\nIdentityAgent none\n", "no agent is used (IdentityAgent none), ~/.ssh/id_rsa, ~/.ssh/id_ed25519 missing"},
		{"IdentityAgent " + h.path("nobody") + "\nIdentityFile none\n", "the agent at " + h.path("nobody") + " does not answer"},
	} {
		writeFile(t, h.path("config"), fmt.Sprintf("User u\nUserKnownHostsFile %s\n%s", h.path("known_hosts"), tt.config))
		_, err := h.client(Options{}).Dial(t.Context(), s.addr)
		var ae *AuthError
		if !errors.As(err, &ae) || len(ae.Tried) > 0 || !strings.Contains(err.Error(), "no usable key for u@127.0.0.1") ||
			!strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "load a key with ssh-add") {
			t.Errorf("%s: %v", tt.config, err)
		}
	}
}

// smallRSA is an RSA key of 2048 bits.
func smallRSA(t testing.TB) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(k, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func TestPassphraseIsAskedOnce(t *testing.T) {
	h := newHome(t)
	locked := writeKey(t, h.path("locked"), "secret")
	h.config(identities(h, "locked"))
	s := (&server{accepts: only(locked.PublicKey())}).start(t)
	h.knows(s)
	asked := 0
	ask := func(_ context.Context, path string) ([]byte, error) {
		asked++
		if path != h.path("locked") {
			t.Errorf("asked for %s", path)
		}
		return []byte("secret"), nil
	}
	c := h.client(Options{Interactive: true, AskPassphrase: ask})
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), s.addr)
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
	}
	wg.Wait()
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	wrong := h.client(Options{Interactive: true, AskPassphrase: func(context.Context, string) ([]byte, error) { return []byte("x"), nil }})
	if _, err := wrong.Dial(t.Context(), s.addr); err == nil || !strings.Contains(err.Error(), "passphrase was not right") {
		t.Errorf("wrong passphrase: %v", err)
	}
	quiet := h.client(Options{AskPassphrase: func(context.Context, string) ([]byte, error) { t.Error("asked without leave"); return nil, nil }})
	if _, err := quiet.Dial(t.Context(), s.addr); err == nil || !strings.Contains(err.Error(), "needs a passphrase") {
		t.Errorf("not interactive: %v", err)
	}
	refuses := (&server{accepts: only(newKey(t).PublicKey())}).start(t)
	h.knows(refuses)
	never := h.client(Options{Interactive: true, AskPassphrase: func(context.Context, string) ([]byte, error) {
		t.Error("asked though nobody takes the key")
		return nil, nil
	}})
	if _, err := never.Dial(t.Context(), refuses.addr); err == nil {
		t.Error("a refused key was let in")
	}
}

func TestServerWithoutPublicKeys(t *testing.T) {
	h := newHome(t)
	s := &server{}
	s.onConn = func(c net.Conn) bool {
		config := &ssh.ServerConfig{PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errors.New("no") }}
		config.AddHostKey(s.hostKeys[0])
		ssh.NewServerConn(c, config)
		return false
	}
	s.start(t)
	h.knows(s)
	_, err := h.client(Options{}).Dial(t.Context(), s.addr)
	var ae *AuthError
	if !errors.As(err, &ae) || !slices.Equal(ae.Methods, []string{"password"}) || !strings.Contains(err.Error(), "accepts only password") {
		t.Errorf("got %v", err)
	}
}

func TestRSAKeySignsWithSHA2(t *testing.T) {
	h := newHome(t)
	writeFile(t, h.path("rsa"), smallRSA(t))
	h.config(identities(h, "rsa"))
	for _, withAgent := range []bool{false, true} {
		if withAgent {
			newAgent(t, h, "rsa")
		}
		s := (&server{accepts: func(_ string, k ssh.PublicKey) bool { return k.Type() == ssh.KeyAlgoRSA }}).start(t)
		h.knows(s)
		h.dial(h.client(Options{}), s.addr)
	}
}

func TestEncryptedKeyOfTheOldFormat(t *testing.T) {
	h := newHome(t)
	out, err := exec.Command(needs(t, "ssh-keygen"), "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "open sesame", "-f", h.path("nopub")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Remove(h.path("nopub.pub")); err != nil {
		t.Fatal(err)
	}
	h.config(identities(h, "nopub"))
	s := (&server{}).start(t)
	h.knows(s)
	c := h.client(Options{Interactive: true, AskPassphrase: func(context.Context, string) ([]byte, error) { return []byte("open sesame"), nil }})
	h.dial(c, s.addr)
}

func TestAKeyOfTheOldFormatIsNotOfferedTwice(t *testing.T) {
	h := newHome(t)
	out, err := exec.Command(needs(t, "ssh-keygen"), "-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "open sesame", "-f", h.path("nopub")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Remove(h.path("nopub.pub")); err != nil {
		t.Fatal(err)
	}
	private, err := ssh.ParseRawPrivateKeyWithPassphrase(readFile(t, h.path("nopub")), []byte("open sesame"))
	if err != nil {
		t.Fatal(err)
	}
	if err := newAgent(t, h).Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	h.config(identities(h, "nopub"))
	s := (&server{accepts: func(string, ssh.PublicKey) bool { return false }}).start(t)
	h.knows(s)
	c := h.client(Options{Interactive: true, AskPassphrase: func(context.Context, string) ([]byte, error) { return []byte("open sesame"), nil }})
	_, err = c.Dial(t.Context(), s.addr)
	var ae *AuthError
	if !errors.As(err, &ae) || !slices.Equal(ae.Tried, []string{s.offered()[0] + " (agent)", "~/id"}) {
		t.Errorf("got %v", err)
	}
}

func TestDialCancelledDuringAuthentication(t *testing.T) {
	h := newHome(t)
	ctx, cancel := context.WithCancel(t.Context())
	s := (&server{accepts: func(string, ssh.PublicKey) bool { cancel(); return false }}).start(t)
	h.knows(s)
	_, err := h.client(Options{}).Dial(ctx, s.addr)
	var de *DialError
	if !errors.As(err, &de) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
