package sshx

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

// patience is how long a test waits for an event that must come. It decides nothing but
// how soon a broken build is reported.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(apartEnv) != "" {
		serveApart()
		return
	}
	goleak.VerifyTestMain(m)
}

// newKey makes an ed25519 key.
func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// writeKey makes a key file with its public half in FILE.pub. One with a passphrase is
// made by ssh-keygen, which can do so with few rounds.
func writeKey(t testing.TB, path, passphrase string) ssh.Signer {
	t.Helper()
	if passphrase != "" {
		args := []string{"-q", "-t", "ed25519", "-a", "1", "-N", passphrase, "-f", path}
		if out, err := exec.Command(needs(t, "ssh-keygen"), args...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(readFile(t, path), []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		return signer
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(pem.EncodeToMemory(block)))
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path+".pub", string(ssh.MarshalAuthorizedKey(s.PublicKey())))
	return s
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// server is an ssh server in this process. Its fields are set before start.
type server struct {
	t         testing.TB
	hostKeys  []ssh.Signer
	accepts   func(user string, key ssh.PublicKey) bool
	onConn    func(net.Conn) bool                           // false: the connection is not served
	onChannel func(ssh.NewChannel) bool                     // true: taken care of
	onExec    func(cmd string, ch ssh.Channel) (status int) // below 0: nothing is sent
	onRequest func(kind string)
	onLogin   func(*ssh.ServerConn) // beside all else
	noReply   bool                  // exec is never answered
	banner    string
	gssapi    bool // it offers gssapi-with-mic, and nobody gets in by it

	addr     string
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	keys  []string // offered, by fingerprint, in order
	dials int
}

// start serves until the test ends.
func (s *server) start(t testing.TB) *server {
	t.Helper()
	s.t = t
	if s.hostKeys == nil {
		s.hostKeys = []ssh.Signer{newKey(t)}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.listener, s.addr = l, l.Addr().String()
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.dials++
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.drop()
		s.wg.Wait()
	})
	return s
}

// drop closes every connection.
func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
}

// changeKey replaces the host keys, and gives a function that undoes it.
func (s *server) changeKey() (undo func()) {
	set := func(keys []ssh.Signer) []ssh.Signer {
		s.mu.Lock()
		defer s.mu.Unlock()
		old := s.hostKeys
		s.hostKeys = keys
		return old
	}
	old := set([]ssh.Signer{newKey(s.t)})
	return func() { set(old) }
}

// offered gives the fingerprints of the keys that clients offered so far.
func (s *server) offered() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.keys...)
}

func (s *server) dialled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

func (s *server) port() string {
	_, p, _ := net.SplitHostPort(s.addr)
	return p
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	if s.onConn != nil && !s.onConn(c) {
		return
	}
	config := &ssh.ServerConfig{MaxAuthTries: 6}
	if s.banner != "" {
		config.BannerCallback = func(ssh.ConnMetadata) string { return s.banner }
	}
	config.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		s.mu.Lock()
		s.keys = append(s.keys, ssh.FingerprintSHA256(key))
		s.mu.Unlock()
		if s.accepts != nil && !s.accepts(m.User(), key) {
			return nil, fmt.Errorf("not this key")
		}
		return nil, nil
	}
	if s.gssapi {
		config.GSSAPIWithMICConfig = &ssh.GSSAPIWithMICConfig{Server: noKerberos{}, AllowLogin: func(ssh.ConnMetadata, string) (*ssh.Permissions, error) { return nil, errNoKerberos }}
	}
	s.mu.Lock()
	for _, k := range s.hostKeys {
		config.AddHostKey(k)
	}
	s.mu.Unlock()
	sc, chans, reqs, err := ssh.NewServerConn(c, config)
	if err != nil {
		return
	}
	if s.onLogin != nil {
		s.wg.Go(func() { s.onLogin(sc) })
	}
	s.wg.Go(func() {
		for r := range reqs {
			if s.onRequest != nil {
				s.onRequest(r.Type)
			}
			r.Reply(false, nil)
		}
	})
	for ch := range chans {
		switch {
		case s.onChannel != nil && s.onChannel(ch):
		case ch.ChannelType() == "session":
			s.wg.Go(func() { s.session(ch) })
		case ch.ChannelType() == "direct-tcpip":
			s.wg.Go(func() { s.forward(ch) })
		default:
			ch.Reject(ssh.UnknownChannelType, "no")
		}
	}
	sc.Wait()
}

func (s *server) session(n ssh.NewChannel) {
	ch, reqs, err := n.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	for r := range reqs {
		if r.Type != "exec" {
			r.Reply(false, nil)
			continue
		}
		if s.noReply {
			continue
		}
		var p struct{ Command string }
		if err := ssh.Unmarshal(r.Payload, &p); err != nil {
			r.Reply(false, nil)
			return
		}
		if s.onExec == nil {
			r.Reply(false, nil)
			continue
		}
		r.Reply(true, nil)
		s.wg.Go(func() { ssh.DiscardRequests(reqs) })
		if status := s.onExec(p.Command, ch); status >= 0 {
			ch.SendRequest("exit-status", false, ssh.Marshal(&struct{ S uint32 }{uint32(status)}))
		}
		return
	}
}

// forward serves direct-tcpip.
func (s *server) forward(n ssh.NewChannel) {
	var p struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(n.ExtraData(), &p); err != nil {
		n.Reject(ssh.ConnectionFailed, "bad")
		return
	}
	c, err := net.Dial("tcp", net.JoinHostPort(p.Host, strconv.Itoa(int(p.Port))))
	if err != nil {
		n.Reject(ssh.ConnectionFailed, "Connection refused")
		return
	}
	defer c.Close()
	ch, reqs, err := n.Accept()
	if err != nil {
		return
	}
	s.wg.Go(func() { ssh.DiscardRequests(reqs) })
	s.wg.Go(func() { io.Copy(ch, c); ch.Close() })
	io.Copy(c, ch)
}

// echo is a command that prints its own text and what it reads.
func echo(cmd string, ch ssh.Channel) int {
	in, _ := io.ReadAll(ch)
	fmt.Fprintf(ch, "ran %s, read %s", cmd, in)
	fmt.Fprintf(ch.Stderr(), "err")
	return 0
}

// noKerberos is the GSSAPI of a server that accepts no ticket.
type noKerberos struct{}

var errNoKerberos = errors.New("no ticket is good enough")

func (noKerberos) AcceptSecContext([]byte) ([]byte, string, bool, error) {
	return nil, "", false, errNoKerberos
}
func (noKerberos) VerifyMIC([]byte, []byte) error { return errNoKerberos }
func (noKerberos) DeleteSecContext() error        { return nil }
