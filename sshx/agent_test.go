package sshx

import (
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// testAgent is an ssh-agent in this process.
type testAgent struct {
	agent.ExtendedAgent
	socket string

	mu    sync.Mutex
	signs int
	now   int           // signatures in the making
	most  int           // of now
	hold  chan struct{} // while not nil and open, signatures wait
	fail  bool
}

// newAgent serves an agent with the private keys of given files.
func newAgent(t testing.TB, h *home, names ...string) *testAgent {
	t.Helper()
	return serveAgent(t, h, nil, names...)
}

// serveAgent serves one behind another that adds to it, unless that is nil.
func serveAgent(t testing.TB, h *home, front agent.Agent, names ...string) *testAgent {
	t.Helper()
	a := &testAgent{ExtendedAgent: agent.NewKeyring().(agent.ExtendedAgent), socket: h.path("agent.sock")}
	for _, n := range names {
		private, err := ssh.ParseRawPrivateKey(readFile(t, h.path(n)))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Add(agent.AddedKey{PrivateKey: private, Comment: n}); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", a.socket)
	if err != nil {
		t.Fatal(err)
	}
	if front == nil {
		front = a
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); agent.ServeAgent(front, c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	t.Setenv("SSH_AUTH_SOCK", a.socket)
	return a
}

// SignWithFlags implements [agent.ExtendedAgent].
func (a *testAgent) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	a.count(1)
	a.mu.Lock()
	hold, fail := a.hold, a.fail
	a.mu.Unlock()
	if hold != nil {
		<-hold
	}
	a.count(-1)
	if fail {
		return nil, errors.New("refused by the user")
	}
	return a.ExtendedAgent.SignWithFlags(key, data, flags)
}

// count notes that a signature begins (1) or ends (-1).
func (a *testAgent) count(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.signs += max(n, 0)
	a.now += n
	a.most = max(a.most, a.now)
}

func TestAgentKeySignsAndRefusals(t *testing.T) {
	h := newHome(t)
	other := writeKey(t, h.path("other"), "")
	a := newAgent(t, h, "id", "other")
	s := (&server{}).start(t)
	h.knows(s)
	c := h.client(Options{})
	h.dial(c, s.addr)
	h.dial(c, s.addr)
	if a.signs != 2 {
		t.Errorf("%d signatures", a.signs)
	}
	a.mu.Lock()
	a.fail = true
	a.mu.Unlock()
	_, err := c.Dial(t.Context(), s.addr)
	var ae *AuthError
	if !errors.As(err, &ae) || len(ae.Tried) != 2 || !strings.Contains(ae.Tried[0], "the agent did not sign") {
		t.Errorf("a refusal of the agent must not stop the next key: %v", err)
	}
	if f := s.offered(); f[len(f)-1] != ssh.FingerprintSHA256(other.PublicKey()) {
		t.Errorf("the second key was not offered: %v", f)
	}
}

func TestAgentSignaturesAreBounded(t *testing.T) {
	h := newHome(t)
	a := newAgent(t, h, "id")
	a.hold = make(chan struct{})
	c := h.client(Options{})
	c.pace = newPacer()
	var servers []*server
	for range 4 {
		s := (&server{}).start(t)
		h.knows(s)
		servers = append(servers, s)
	}
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), servers[i%4].addr)
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
	}
	close(a.hold)
	wg.Wait()
	if a.signs != 24 || a.most > maxAgentSigns {
		t.Errorf("%d signatures, %d at once", a.signs, a.most)
	}
}

func TestAHangingAgentEndsWithTheDial(t *testing.T) {
	h := newHome(t)
	a := newAgent(t, h, "id")
	a.hold = make(chan struct{})
	defer close(a.hold)
	s := (&server{}).start(t)
	h.knows(s)
	c := h.client(Options{})
	c.agents.signTimeout = 50 * time.Millisecond
	_, err := c.Dial(t.Context(), s.addr)
	var de *DialError
	var te *TimeoutError
	if !errors.As(err, &de) || de.Stage != StageAuth || !errors.As(err, &te) {
		t.Errorf("got %v", err)
	}
}
