package sshx

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// TestAChannelOpenedTooLateIsClosed has the server open a session after Exec gave up.
func TestAChannelOpenedTooLateIsClosed(t *testing.T) {
	h := newHome(t)
	asked, answer, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	s := (&server{onChannel: func(n ssh.NewChannel) bool {
		close(asked)
		<-answer
		ch, reqs, err := n.Accept()
		if err != nil {
			t.Error(err)
			return true
		}
		go func() {
			ssh.DiscardRequests(reqs) // ends when the client closes
			ch.Close()
			close(ended)
		}()
		return true
	}}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { _, err := c.Exec(ctx, "x"); result <- err }()
	await(t, "the request for a session", asked)
	cancel()
	if err := await(t, "Exec", result); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(answer)
	await(t, "the end of the session", ended)
}

func TestACertificateInTheAgent(t *testing.T) {
	h := newHome(t)
	a := newAgent(t, h)
	private, err := ssh.ParseRawPrivateKey(readFile(t, h.path("id")))
	if err != nil {
		t.Fatal(err)
	}
	ca := newKey(t)
	cert := signCert(t, h.key.PublicKey(), ca, ssh.UserCert, nil)
	if err := a.Add(agent.AddedKey{PrivateKey: private, Certificate: cert, Comment: "with certificate"}); err != nil {
		t.Fatal(err)
	}
	h.config("IdentitiesOnly yes\n") // the certificate's key is configured: it counts
	s := (&server{accepts: func(_ string, k ssh.PublicKey) bool {
		c, ok := k.(*ssh.Certificate)
		return ok && bytes.Equal(c.SignatureKey.Marshal(), ca.PublicKey().Marshal())
	}}).start(t)
	h.knows(s)
	h.dial(h.client(Options{}), s.addr)
}

// TestAnAgentThatNeverAnswers is left when the Client closes.
func TestAnAgentThatNeverAnswers(t *testing.T) {
	h := newHome(t)
	l, err := net.Listen("unix", h.path("mute.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reached := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		close(reached)
		b := make([]byte, 1024)
		for err == nil {
			_, err = c.Read(b)
		}
		c.Close()
	})
	t.Setenv("SSH_AUTH_SOCK", h.path("mute.sock"))
	s := (&server{}).start(t)
	h.knows(s)
	c := h.client(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { _, err := c.Dial(ctx, s.addr); result <- err }()
	await(t, "the agent's client", reached)
	cancel()
	if err := await(t, "Dial", result); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.Close()
	wg.Wait()
}

func TestMovedHomeIsPassedToSSH(t *testing.T) {
	needs(t, "ssh")
	home := t.TempDir()
	writeFile(t, filepath.Join(home, ".ssh", "config"), "Include %h\nMatch originalhost web\n Port 77\n")
	c, err := New(Options{Home: home})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.config.resolve(t.Context(), Target{Name: "web"})
	if err != nil || s.Port != 77 || !strings.HasPrefix(s.IdentityFiles[0], home) {
		t.Errorf("got %+v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.config.resolve(ctx, Target{Name: "db"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if s, err := c.config.resolve(t.Context(), Target{Name: "db"}); err != nil || s.Port != 22 {
		t.Errorf("a cancelled run was kept: %+v, %v", s, err)
	}
}

func TestAcceptedType(t *testing.T) {
	for _, tt := range []struct {
		spec, kind string
		want       bool
	}{
		{"", "ssh-rsa", true}, {"+ssh-dss", "ssh-ed25519", true}, {"^ssh-ed25519", "ssh-rsa", true},
		{"rsa-sha2-256", "ssh-rsa", true}, {"ssh-ed25519", "ssh-rsa", false}, {"ssh-*", "ssh-ed25519", true},
		{"-ssh-ed25519", "ssh-ed25519", false}, {"-rsa-sha2-256", "ssh-rsa", true}, {"-rsa-*", "ssh-rsa", false},
		{"rsa-sha2-512-cert-v01@openssh.com", ssh.CertAlgoRSAv01, true}, {"rsa-sha2-512", ssh.CertAlgoRSAv01, false},
	} {
		if got := acceptedType(tt.spec, tt.kind); got != tt.want {
			t.Errorf("%q for %s: %v", tt.spec, tt.kind, got)
		}
	}
}

func TestRequiredLengthOfHostKeys(t *testing.T) {
	h := newHome(t)
	small, err := ssh.ParsePrivateKey([]byte(smallRSA(t)))
	if err != nil {
		t.Fatal(err)
	}
	s := (&server{hostKeys: []ssh.Signer{small}}).start(t)
	h.knows(s)
	h.dial(h.client(Options{}), s.addr)
	h.config("RequiredRSASize 4096\n")
	if e := dialError(t, h.client(Options{}), s.addr, StageHostKey); !strings.Contains(e.Error(), "RSA key of 2048 bits, at least 4096") {
		t.Errorf("got %v", e)
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxKeyFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	ring := newKeyring(nil)
	for _, path := range []string{dir, big, "/dev/zero"} {
		if err := ring.get(path).usable(ring, false); err == nil || !strings.Contains(err.Error(), "not a key file") {
			t.Errorf("%s: %v", path, err)
		}
	}
	first, second := ring.get(big), ring.get(big)
	if first != second {
		t.Error("a file was read twice")
	}
}

func TestTokens(t *testing.T) {
	s := &settings{Alias: "Web", HostName: "web.example", User: "u", Port: 2222, HostKeyAlias: "Fleet", ProxyJump: "j"}
	tok := s.tokensOf(local{home: "/h", user: "me", hostname: "ws.example"})
	got, err := expandTokens("%h %n %p %r %u %d %k %l %L %j", tok)
	if want := "web.example Web 2222 u me /h fleet ws.example ws j"; err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
	if len(tok['C']) != 40 {
		t.Errorf("%%C is %q", tok['C'])
	}
}

// TestTheClockStopsWhileAPersonThinks pauses a stage whose limit would be over at once.
func TestTheClockStopsWhileAPersonThinks(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	c := &clock{cancel: cancel}
	c.enter(StageHostKey, "no answer", time.Hour)
	c.pause(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer.Stop() {
			t.Error("the timer ran on")
		}
	})
	c.enter(StageAuth, "nothing happened", time.Nanosecond)
	await(t, "the limit", ctx.Done())
	var te *TimeoutError
	if !errors.As(context.Cause(ctx), &te) || te.What != "nothing happened" || c.at() != StageAuth {
		t.Errorf("got %v at %s", context.Cause(ctx), c.at())
	}
	c.stop()
}

func TestWinnersMoveToTheFront(t *testing.T) {
	w := &winners{key: make(map[string]string)}
	keys := []candidate{{newKey(t), "a"}, {newKey(t), "b"}, {newKey(t), "c"}}
	names := func(ks []candidate) (out []string) {
		for _, k := range ks {
			out = append(out, k.name)
		}
		return out
	}
	w.set("g", keys[2].id())
	if got := names(w.first("g", keys)); !slices.Equal(got, []string{"c", "a", "b"}) {
		t.Errorf("got %v", got)
	}
	if got := names(w.first("other", keys)); !slices.Equal(got, []string{"a", "b", "c"}) || !slices.Equal(names(keys), got) {
		t.Errorf("got %v", got)
	}
}
