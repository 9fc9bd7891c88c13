package sshx

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// newECDSA makes a P-256 key.
func newECDSA(t testing.TB) ssh.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// name is a server as known_hosts has it.
func (s *server) name() string { return "[127.0.0.1]:" + s.port() }

// hostKeyError dials and wants a *HostKeyError.
func hostKeyError(t *testing.T, c *Client, addr string) *HostKeyError {
	t.Helper()
	conn, err := c.Dial(t.Context(), addr)
	if err == nil {
		conn.Close()
		t.Fatal("the host key was accepted")
	}
	var de *DialError
	var ke *HostKeyError
	if !errors.As(err, &de) || de.Stage != StageHostKey || !errors.As(err, &ke) {
		t.Fatalf("got %v", err)
	}
	return ke
}

func TestUnknownHostKey(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	for _, config := range []string{"", "StrictHostKeyChecking yes\n", "StrictHostKeyChecking ask\n"} {
		h.config(config)
		e := hostKeyError(t, h.client(Options{}), s.addr)
		want := ssh.FingerprintSHA256(s.hostKeys[0].PublicKey())
		if e.Kind != KeyUnknown || e.Fingerprint != want || e.KeyType != "ssh-ed25519" || e.Host != s.name() || e.File != h.path("known_hosts") {
			t.Errorf("%+v", e)
		}
		for _, part := range []string{"is not known (ssh-ed25519 " + want, "`ssh -p " + s.port() + " 127.0.0.1`", "`ssh-keyscan -p " + s.port() + " 127.0.0.1` to " + h.path("known_hosts")} {
			if !strings.Contains(e.Error(), part) {
				t.Errorf("%v\nlacks %q", e, part)
			}
		}
	}
	if _, err := os.Stat(h.path("known_hosts")); err == nil {
		t.Error("known_hosts was written")
	}
	if len(s.offered()) > 0 {
		t.Error("a key was offered to an unknown host")
	}
}

func TestChangedHostKeyNeverPasses(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	text := "# c\n" + s.name() + " " + keyText(newKey(t).PublicKey()) + "\n"
	for _, mode := range []string{"yes", "ask", "accept-new", "no", "off"} {
		writeFile(t, h.path("known_hosts"), text)
		h.config("StrictHostKeyChecking " + mode + "\n")
		c := h.client(Options{})
		e := hostKeyError(t, c, s.addr)
		if e.Kind != KeyChanged || e.Line != 2 || !strings.Contains(e.Error(), h.path("known_hosts")+":2") || !strings.Contains(e.Error(), "ssh-keygen -R") {
			t.Errorf("%s: %v", mode, e)
		}
		if string(readFile(t, h.path("known_hosts"))) != text {
			t.Errorf("%s: known_hosts was changed", mode)
		}
	}
}

func TestRevokedHostKey(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	key := keyText(s.hostKeys[0].PublicKey())
	writeFile(t, h.path("known_hosts"), s.name()+" "+key+"\n@revoked * "+key+"\n")
	if e := hostKeyError(t, h.client(Options{}), s.addr); e.Kind != KeyRevoked || e.Line != 2 {
		t.Errorf("%v", e)
	}
	other := keyText(newKey(t).PublicKey())
	writeFile(t, h.path("other"), other+"\n# none of ours\n")
	writeFile(t, h.path("ours"), other+"\n"+key+" comment\n")
	writeFile(t, h.path("damaged"), other+"\nrubbish\n")
	krl := h.path("krl")
	if out, err := exec.Command(needs(t, "ssh-keygen"), "-k", "-f", krl, h.path("ours")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("ssh-keygen", "-k", "-f", krl+"2", h.path("other")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	writeFile(t, h.path("krl3"), "SSHKRL\n\x00rubbish")
	writeFile(t, h.path("known_hosts"), s.name()+" "+key+"\n")
	for file, want := range map[string]string{"ours": "listed in " + h.path("ours"), "damaged": "cannot be read", "missing": "cannot be read", "krl": "listed in", "krl3": "cannot be read", "other": "", "krl2": ""} {
		h.config("RevokedHostKeys " + h.path(file) + "\n")
		c := h.client(Options{})
		if want == "" {
			h.dial(c, s.addr)
		} else if e := hostKeyError(t, c, s.addr); e.Kind != KeyRevoked || !strings.Contains(e.Error(), want) {
			t.Errorf("%s: %v", file, e)
		}
	}
}

func TestAcceptNew(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	for i, config := range []string{"StrictHostKeyChecking accept-new\n", "StrictHostKeyChecking no\n", "StrictHostKeyChecking accept-new\nHashKnownHosts yes\n"} {
		os.Remove(h.path("known_hosts"))
		h.config(config)
		c := h.client(Options{})
		var wg sync.WaitGroup
		for range 6 {
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
		text := string(readFile(t, h.path("known_hosts")))
		if strings.Count(text, "\n") != 1 || strings.Contains(text, s.name()) == (i == 2) {
			t.Errorf("%s: known_hosts:\n%s", config, text)
		}
		h.config("StrictHostKeyChecking yes\n")
		h.dial(h.client(Options{}), s.addr)
	}
}

func TestAcceptedKeyIsRememberedWithoutAFile(t *testing.T) {
	h, s := newHome(t), (&server{hostKeys: []ssh.Signer{newKey(t)}}).start(t)
	for _, file := range []string{"none", "/dev/null", h.path("config") + "/below-a-file"} {
		h.config("StrictHostKeyChecking accept-new\nUserKnownHostsFile " + file + "\n")
		var said []string
		c := h.client(Options{Logf: func(f string, a ...any) { said = append(said, fmt.Sprintf(f, a...)) }})
		h.dial(c, s.addr)
		undo := s.changeKey()
		if e := hostKeyError(t, c, s.addr); e.Kind != KeyChanged {
			t.Errorf("%s: %v", file, e)
		}
		undo()
		if strings.Contains(file, "below") && len(said) == 0 {
			t.Error("the file could not be written, and nobody was told")
		}
	}
}

// TestOrderOfHostKeyTypes has a server with two keys of which known_hosts has one: the
// other must not be taken for a change.
func TestOrderOfHostKeyTypes(t *testing.T) {
	h := newHome(t)
	ed, ec := newKey(t), newECDSA(t)
	for _, known := range []ssh.Signer{ed, ec} {
		s := (&server{hostKeys: []ssh.Signer{ec, ed}}).start(t)
		for _, text := range []string{s.name() + " ", hashed(s.name()) + " ", "* ", "[127.0.0.*]:* "} {
			writeFile(t, h.path("known_hosts"), text+keyText(known.PublicKey())+"\n")
			h.dial(h.client(Options{}), s.addr)
		}
	}
}

func TestHostKeyAliasAndPortlessEntries(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	key := keyText(s.hostKeys[0].PublicKey())
	for _, tt := range []struct {
		config, text string
		kind         HostKeyKind
	}{
		{"HostKeyAlias Fleet\n", "fleet " + key, ""},
		{"HostKeyAlias fleet\n", s.name() + " " + key, KeyUnknown},
		{"", "127.0.0.1 " + key, ""},
		{"", "127.0.0.1 " + keyText(newKey(t).PublicKey()), KeyUnknown}, // another sshd of the host
		{"", "127.0.0.1 " + key + "\n@revoked 127.0.0.1 " + key, KeyRevoked},
	} {
		writeFile(t, h.path("known_hosts"), tt.text+"\n")
		h.config(tt.config)
		if tt.kind == "" {
			h.dial(h.client(Options{}), s.addr)
		} else if e := hostKeyError(t, h.client(Options{}), s.addr); e.Kind != tt.kind {
			t.Errorf("%q with %q: %v", tt.config, tt.text, e)
		}
	}
}

// TestChangedHostKeyNeverPassesTheSSHProgram is about a program that by itself would go on
// where StrictHostKeyChecking is no.
func TestChangedHostKeyNeverPassesTheSSHProgram(t *testing.T) {
	h, s := realHost(t, "", "")
	changed := fmt.Sprintf("# c\n[127.0.0.1]:%s %s\n", s.port, keyText(newKey(t).PublicKey()))
	config := string(readFile(t, h.path("config")))
	for _, mode := range []string{"yes", "ask", "accept-new", "no", "off"} {
		for name, o := range map[string]Options{"ssh": {Transport: TransportOpenSSH}, "git's": {Program: &Program{Command: "ssh", Source: "GIT_SSH"}}} {
			writeFile(t, h.path("known_hosts"), changed)
			h.config("StrictHostKeyChecking " + mode + "\n" + config)
			conn, err := h.client(o).Dial(t.Context(), "node")
			if err == nil {
				conn.Close()
				t.Errorf("%s, %s: the host key was accepted", name, mode)
				continue
			}
			var e *HostKeyError
			line := h.path("known_hosts") + ":2"
			if !errors.As(err, &e) || e.Kind != KeyChanged || e.File != h.path("known_hosts") || e.Line != 2 || !strings.Contains(err.Error(), "not the one in "+line) {
				t.Errorf("%s, %s: %v", name, mode, err)
			}
		}
	}
}
