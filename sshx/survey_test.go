package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// asked gives the names in questions.
func asked(keys []HostKeyQuestion) string {
	var out []string
	for _, q := range keys {
		out = append(out, q.Name)
	}
	return strings.Join(out, " ")
}

func unknownKeys(t *testing.T, c *Client, hosts ...string) []HostKeyQuestion {
	t.Helper()
	keys, err := c.UnknownKeys(t.Context(), hosts)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// host is a Host block for a server.
func (s *server) host(name, more string) string {
	return fmt.Sprintf("Host %s\n HostName 127.0.0.1\n Port %s\n%s", name, s.port(), more)
}

func TestUnknownKeys(t *testing.T) {
	h := newHome(t)
	servers := make(map[string]*server)
	var config strings.Builder
	for name, more := range map[string]string{
		"known": "", "b": "", "a": "", "strict": " StrictHostKeyChecking yes\n", "new": " StrictHostKeyChecking accept-new\n",
		"batch": " BatchMode yes\n", "changed": "", "portless": "", "other": "", "certified": "",
	} {
		servers[name] = (&server{}).start(t)
		config.WriteString(servers[name].host(name, more))
	}
	config.WriteString(servers["a"].host("pattern", " HostKeyAlias *\n"))
	config.WriteString("Host down\n HostName 127.0.0.1\n Port 1\nHost loop\n ProxyJump loop\n")
	h.config(config.String())
	h.knows(servers["known"])
	other, changed := keyText(newKey(t).PublicKey()), servers["changed"].name()
	known := string(readFile(t, h.path("known_hosts"))) + changed + " " + other + "\n@revoked * " + other + "\n" +
		"127.0.0.1 " + keyText(servers["portless"].hostKeys[0].PublicKey()) + "\n@cert-authority " + servers["certified"].name() + " " + other + "\n"
	writeFile(t, h.path("known_hosts"), known)
	c := h.client(Options{})
	hosts := []string{"b", "pattern", "user@b", "down", "-bad", "loop", "known", "strict", "new", "batch", "changed", "portless", "certified", "a", "a"}
	keys := unknownKeys(t, c, hosts...)
	if got := asked(keys); got != "a b" {
		t.Fatalf("asked about %s", got)
	}
	q, a := keys[0], servers["a"]
	if q.Host != a.name() || q.KeyType != "ssh-ed25519" || q.Fingerprint != ssh.FingerprintSHA256(a.hostKeys[0].PublicKey()) || q.File != h.path("known_hosts") {
		t.Errorf("%+v", q)
	}
	for name, s := range servers {
		want := 0
		if name == "a" {
			want = 1 // for pattern
		}
		if strings.Contains("a b portless", name) {
			want++
		}
		if s.dialled() != want || len(s.offered()) > 0 {
			t.Errorf("%s: %d connections, %d keys offered", name, s.dialled(), len(s.offered()))
		}
	}
	if string(readFile(t, h.path("known_hosts"))) != known {
		t.Error("known_hosts was written")
	}
	if err := c.TrustKeys(keys); err != nil {
		t.Fatal(err)
	}
	if again := unknownKeys(t, c, hosts...); len(again) > 0 {
		t.Errorf("asked again about %s", asked(again))
	}
	h.dial(c, "a")
	h.dial(h.client(Options{}), "b") // by the file
}

// TestUnknownKeysBehindJumpHosts takes a round for each unknown hop of a route.
func TestUnknownKeysBehindJumpHosts(t *testing.T) {
	h := newHome(t)
	first, second := (&server{}).start(t), (&server{}).start(t)
	node, neighbour := (&server{}).start(t), (&server{}).start(t)
	h.config(first.host("first", "") + second.host("second", " ProxyJump first\n") +
		node.host("node", " ProxyJump second\n") + neighbour.host("neighbour", " ProxyJump second\n StrictHostKeyChecking accept-new\n"))
	c := h.client(Options{})
	for _, want := range []string{"first", "second", "node", ""} {
		keys := unknownKeys(t, c, "node", "neighbour")
		if asked(keys) != want {
			t.Fatalf("asked about %q, want %q", asked(keys), want)
		}
		if err := c.TrustKeys(keys); err != nil {
			t.Fatal(err)
		}
	}
	h.dial(c, "node")
	h.dial(c, "neighbour")
	// Each was asked once, and dialled for good once: the hops are shared.
	for name, s := range map[string]*server{"first": first, "second": second, "node": node} {
		if s.dialled() != 2 {
			t.Errorf("%s: %d connections", name, s.dialled())
		}
	}
}

func TestTrustedKeyMustBeShownAgain(t *testing.T) {
	h, s := newHome(t), (&server{hostKeys: []ssh.Signer{newKey(t)}}).start(t)
	c := h.client(Options{})
	if err := c.TrustKeys(unknownKeys(t, c, s.addr)); err != nil {
		t.Fatal(err)
	}
	s.changeKey()
	if e := hostKeyError(t, c, s.addr); e.Kind != KeyChanged || e.Line != 1 {
		t.Errorf("%v", e)
	}
}

func TestTrustKeysErrors(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	c := h.client(Options{})
	keys := unknownKeys(t, c, s.addr)
	writeFile(t, h.path("known_hosts"), s.name()+" "+keyText(newKey(t).PublicKey())+"\n")
	var ke *HostKeyError
	if err := c.TrustKeys(keys); !errors.As(err, &ke) || ke.Kind != KeyChanged || ke.Line != 1 {
		t.Errorf("another process was first: %v", err)
	}
	hostKeyError(t, c, s.addr)

	h.config("UserKnownHostsFile " + h.dir + "\n")
	c = h.client(Options{})
	keys = unknownKeys(t, c, s.addr)
	if err := c.TrustKeys(keys); err == nil || !strings.Contains(err.Error(), "adding the host key of "+s.name()+" to "+h.dir+": is a directory") {
		t.Errorf("a directory: %v", err)
	}
	h.dial(c, s.addr) // known to the Client all the same
	if err := h.client(Options{}).TrustKeys(append(keys, HostKeyQuestion{})); err == nil || strings.Count(err.Error(), "has not seen") != 2 {
		t.Errorf("questions of another Client: %v", err)
	}

	h.config("UserKnownHostsFile none\n")
	c = h.client(Options{})
	if keys = unknownKeys(t, c, s.addr); len(keys) != 1 || keys[0].File != "" {
		t.Fatalf("%+v", keys)
	}
	if err := c.TrustKeys(keys); err != nil {
		t.Error(err)
	}
	h.dial(c, s.addr)
	if _, err := os.Stat("none"); err == nil {
		t.Error("a file none was made")
	}
}

func TestUnknownKeysIsCancelled(t *testing.T) {
	h := newHome(t)
	reached := make(chan struct{})
	var once sync.Once
	s := (&server{}).start(t)
	silent := (&server{onConn: func(c net.Conn) bool { once.Do(func() { close(reached) }); io.Copy(io.Discard, c); return false }}).start(t)
	c := h.client(Options{})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted")
	go func() {
		<-reached
		cancel(why)
	}()
	if keys, err := c.UnknownKeys(ctx, []string{s.addr, silent.addr, silent.addr}); !errors.Is(err, why) || keys != nil {
		t.Errorf("%v, %v", keys, err)
	}
}

// TestOthersCheckHostKeys has hosts that are not known here, but whose key Dial will not check.
func TestOthersCheckHostKeys(t *testing.T) {
	sock := filepath.Join(shortDir(t), "cm")
	h, _ := realHost(t, "Host node\n ControlPath "+sock+"\n", "")
	s, gate := (&server{}).start(t), (&server{}).start(t)
	h.config(string(readFile(t, h.path("config"))) + s.host("behind", " ProxyJump gate\n ControlPath "+sock+"\n") +
		gate.host("gate", "") + s.host("hostbased", " HostbasedAuthentication yes\n"))
	master := ownMaster(t, h, sock, "node") // whose socket behind takes for its own
	writeFile(t, h.path("known_hosts"), "")
	all := []string{"node", "behind", "hostbased"}
	git := &Program{Command: "ssh", Source: "core.sshCommand"}
	for _, tt := range []struct {
		options Options
		want    string
	}{
		{Options{}, ""},
		{Options{Transport: TransportOpenSSH}, ""},
		{Options{Transport: TransportNative}, "gate node"},
		{Options{Program: git}, ""},
		{Options{Program: git, Transport: TransportNative}, "gate node"},
	} {
		keys := unknownKeys(t, h.client(tt.options), all...)
		if asked(keys) != tt.want {
			t.Errorf("%+v: asked about %q, want %q", tt.options, asked(keys), tt.want)
		}
		for _, q := range keys {
			if q.Jump != (q.Name == "gate") {
				t.Errorf("%s is a jump host: %v", q.Name, q.Jump)
			}
		}
	}
	master.Process.Kill()
	master.Wait()
	if got := asked(unknownKeys(t, h.client(Options{}), all...)); got != "gate node" {
		t.Errorf("after the master: asked about %q", got)
	}
}

// TestSSHReadsWhatIsTrusted reaches a host by the ssh program that was asked about here.
func TestSSHReadsWhatIsTrusted(t *testing.T) {
	h, _ := realHost(t, "", "")
	writeFile(t, h.path("known_hosts"), "")
	c := h.client(Options{Transport: TransportOpenSSH})
	if conn, err := c.Dial(t.Context(), "node"); err == nil {
		conn.Close()
		t.Fatal("the host was known")
	}
	if err := c.TrustKeys(unknownKeys(t, c, "node")); err != nil {
		t.Fatal(err)
	}
	if conn := h.dial(c, "node"); conn.Transport() == nativeTransport {
		t.Errorf("by %q", conn.Transport())
	}
}
