package sshx

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net"
	"os/user"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// softKey is a security key in software, which counts how often it was touched.
type softKey struct {
	public  ssh.PublicKey
	private ed25519.PrivateKey
	counter uint32
}

const softKeyApplication = "ssh:"

func newSoftKey(t testing.TB) *softKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	blob := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, softKeyApplication})
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		t.Fatal(err)
	}
	return &softKey{public: key, private: private}
}

// sign makes a signature with the flag of a touch (PROTOCOL.u2f).
func (k *softKey) sign(data []byte) *ssh.Signature {
	k.counter++
	application, message := sha256.Sum256([]byte(softKeyApplication)), sha256.Sum256(data)
	rest := binary.BigEndian.AppendUint32([]byte{1}, k.counter)
	signed := bytes.Join([][]byte{application[:], rest, message[:]}, nil)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(k.private, signed), Rest: rest}
}

// softAgent is an agent with a security key before its other keys.
type softAgent struct {
	*testAgent
	key *softKey
}

// List implements [agent.Agent].
func (a *softAgent) List() ([]*agent.Key, error) {
	keys, err := a.testAgent.List()
	return append([]*agent.Key{{Format: a.key.public.Type(), Blob: a.key.public.Marshal(), Comment: "yubi"}}, keys...), err
}

// SignWithFlags implements [agent.ExtendedAgent].
func (a *softAgent) SignWithFlags(key ssh.PublicKey, data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	if !bytes.Equal(key.Marshal(), a.key.public.Marshal()) {
		return a.testAgent.SignWithFlags(key, data, flags)
	}
	a.count(1)
	defer a.count(-1)
	a.mu.Lock()
	hold := a.hold
	a.mu.Unlock()
	if hold != nil {
		<-hold
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.key.sign(data), nil
}

// newSoftAgent serves one, and writes the public half of its key to yubi.pub.
func newSoftAgent(t testing.TB, h *home, names ...string) *softAgent {
	t.Helper()
	a := &softAgent{key: newSoftKey(t)}
	a.testAgent = serveAgent(t, h, a, names...)
	writeFile(t, h.path("yubi.pub"), string(ssh.MarshalAuthorizedKey(a.key.public)))
	return a
}

func TestRealSecurityKeyThroughTheAgent(t *testing.T) {
	s := startSSHD(t, "")
	h := realHome(t, "", s)
	a := newSoftAgent(t, h)
	s.authorize(t, keyText(a.key.public))
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	h.config(fmt.Sprintf("User %s\nIdentitiesOnly yes\nIdentityFile %s\n", u.Username, h.path("yubi.pub")))
	if out, _, err := output(t.Context(), h.dial(h.client(Options{}), s.addr), "echo in", ""); err != nil || out != "in\n" || a.key.counter != 1 {
		t.Errorf("%q, %v, touched %d times", out, err, a.key.counter)
	}
}

func TestTouchesAreToldBefore(t *testing.T) {
	h := newHome(t)
	newSoftAgent(t, h, "id")
	h.config("Host plain-*\n IdentitiesOnly yes\nHost behind-*\n ProxyJump jump\n" +
		"Host only-*\n IdentitiesOnly yes\n IdentityFile " + h.path("yubi.pub") + "\nHost elsewhere\n IdentityAgent none\nHost pkcs\n PKCS11Provider /x.so\n")
	for _, tt := range []struct {
		hosts string
		want  int
	}{
		{"a", 0}, // it is obvious
		{"a b c", 3},
		{"a b a", 2},
		{"plain-1 plain-2", 0},
		{"only-1 only-2 plain-1", 2},
		{"behind-1 behind-2", 3},
		{"behind-1", 2},
		{"a elsewhere pkcs -bad", 0},
	} {
		got := h.client(Options{}).Touches(t.Context(), strings.Fields(tt.hosts))
		if tt.want == 0 && len(got) == 0 {
			continue
		}
		if len(got) != 1 || got[0].Hosts != tt.want || (got[0].Key != "yubi (agent)" && got[0].Key != "~/yubi.pub (agent)") {
			t.Errorf("%s: %v, want %d", tt.hosts, got, tt.want)
		}
	}
	if got := h.client(Options{Program: &Program{Command: "ssh"}}).Touches(t.Context(), []string{"a", "b"}); got != nil {
		t.Errorf("by a program: %v", got)
	}
	free := &agentSigner{private: newSoftKey(t).public, key: &ssh.Certificate{Permissions: ssh.Permissions{Extensions: map[string]string{"no-touch-required": ""}}}}
	if free.touch() {
		t.Error("a certificate with no-touch-required wants a touch")
	}
}

func TestTouchedKeysSignOneAtATime(t *testing.T) {
	h := newHome(t)
	a := newSoftAgent(t, h)
	h.config("Host *\n IdentitiesOnly yes\n IdentityFile " + h.path("yubi.pub") + "\n")
	a.hold = make(chan struct{})
	release := sync.OnceFunc(func() { close(a.hold) })
	signing := make(chan string, 16)
	var servers []*server
	for range 3 {
		s := (&server{accepts: only(a.key.public)}).start(t)
		h.knows(s)
		servers = append(servers, s)
	}
	c := h.client(Options{Warnf: func(format string, args ...any) { signing <- format }})
	c.agents.slow = 0
	t.Cleanup(release)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), servers[i%3].addr)
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
	}
	await(t, "a signature", signing)
	if c.agents.open[a.socket].touch.TryAcquire(1) {
		t.Error("another one could be asked for")
	}
	release()
	wg.Wait()
	if a.most != 1 || a.key.counter != 12 {
		t.Errorf("%d at once, touched %d times", a.most, a.key.counter)
	}
}

// TestFewHostsThatWantATouchAreDialledAtOnce has them behind a jump host that wants one, too.
func TestFewHostsThatWantATouchAreDialledAtOnce(t *testing.T) {
	h := newHome(t)
	a := newSoftAgent(t, h)
	jump := (&server{accepts: only(a.key.public)}).start(t)
	h.knows(jump)
	config := "Host node-*\n ProxyJump " + jump.addr + "\n HostName 127.0.0.1\nHost *\n IdentitiesOnly yes\n IdentityFile " + h.path("yubi.pub") + "\n"
	arrived := make(chan struct{}, 16)
	for i := range 8 {
		s := (&server{accepts: only(a.key.public), onConn: func(net.Conn) bool { arrived <- struct{}{}; return true }}).start(t)
		h.knows(s)
		config = fmt.Sprintf("Host node-%d\n Port %s\n", i, s.port()) + config
	}
	h.config(config)
	c := h.client(Options{})
	h.dial(c, "node-0") // now the key is known
	await(t, "the first host", arrived)
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	a.mu.Lock()
	a.hold = hold
	a.mu.Unlock()
	var wg sync.WaitGroup
	for i := 1; i < 8; i++ {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), fmt.Sprint("node-", i))
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
	}
	for range maxTouchDials {
		await(t, "a host", arrived)
	}
	if c.touching.TryAcquire(1) {
		t.Error("more hosts could be dialled while four wait for a touch")
	}
	release()
	wg.Wait()
	if a.key.counter != 9 {
		t.Errorf("touched %d times for 8 hosts and their jump host", a.key.counter)
	}
}

func TestASlowAgentIsTold(t *testing.T) {
	for _, touch := range []bool{true, false} {
		h := newHome(t)
		a := newSoftAgent(t, h, "id")
		a.hold = make(chan struct{})
		release := sync.OnceFunc(func() { close(a.hold) })
		want, key := "waiting for the agent to sign with ~/id (agent): does it want to be touched, or confirmed?", h.key.PublicKey()
		if touch {
			want, key = "waiting for the agent: touch the key yubi (agent) for 127.0.0.1", a.key.public
		}
		s := (&server{accepts: only(key)}).start(t)
		h.knows(s)
		told := make(chan string, 8)
		c := h.client(Options{Warnf: func(format string, args ...any) { told <- fmt.Sprintf(format, args...) }})
		c.agents.slow = 0
		t.Cleanup(release)
		dial := func() {
			conn, err := c.Dial(t.Context(), s.addr)
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		}
		var wg sync.WaitGroup
		wg.Go(dial)
		if got := await(t, "the notice", told); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
		release()
		wg.Wait()
	}
}

func TestAnAgentThatIsNotThereIsToldOnce(t *testing.T) {
	h := newHome(t)
	s := (&server{}).start(t)
	h.knows(s)
	h.config("IdentityAgent " + h.path("nobody") + "\n")
	var told []string
	c := h.client(Options{Warnf: func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }})
	h.dial(c, s.addr) // by its file
	h.dial(c, s.addr)
	if len(told) != 1 || told[0] != "the agent at "+h.path("nobody")+" does not answer: no such file or directory" {
		t.Errorf("told %q", told)
	}
}
