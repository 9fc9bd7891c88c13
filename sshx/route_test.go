package sshx

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestManyHostsShareOneJump(t *testing.T) {
	h := newHome(t)
	jump, node := (&server{}).start(t), (&server{onExec: echo}).start(t)
	h.knows(jump)
	h.knows(node)
	h.config(fmt.Sprintf("Host node*\n HostName 127.0.0.1\n Port %s\n ProxyJump jumper@%s\n", node.port(), jump.addr))
	c := h.client(Options{})
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), fmt.Sprintf("node%d", i))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if out, _, err := output(t.Context(), conn, "x", "in"); err != nil || out != "ran x, read in" {
				t.Errorf("%q, %v", out, err)
			}
			if conn.RemoteAddr().String() != node.addr {
				t.Errorf("address %v", conn.RemoteAddr())
			}
		})
	}
	wg.Wait()
	if jump.dialled() != 1 || node.dialled() != 12 {
		t.Errorf("%d connections to the jump host, %d to the node", jump.dialled(), node.dialled())
	}
	jump.drop()
	h.dial(c, "node1")
	if jump.dialled() != 2 {
		t.Errorf("a lost jump host was dialled %d times", jump.dialled())
	}
}

func TestTwoHopsEachWithItsOwnConfiguration(t *testing.T) {
	h := newHome(t)
	other := writeKey(t, h.path("other"), "")
	user := func(want string, key ssh.Signer) func(string, ssh.PublicKey) bool {
		return func(u string, k ssh.PublicKey) bool {
			return u == want && bytes.Equal(k.Marshal(), key.PublicKey().Marshal())
		}
	}
	first := (&server{accepts: user("one", other)}).start(t)
	second := (&server{accepts: user("two", h.key)}).start(t)
	node := (&server{onExec: echo, accepts: user("tester", h.key)}).start(t)
	for _, s := range []*server{first, second, node} {
		h.knows(s)
	}
	host := func(name string, s *server, extra string) string {
		return fmt.Sprintf("Host %s\n HostName 127.0.0.1\n Port %s\n%s\n", name, s.port(), extra)
	}
	base := host("first", first, " User one\n IdentityFile "+h.path("other")) + host("second", second, " User two")
	for name, config := range map[string]string{
		"list":   base + host("node", node, " ProxyJump first,second"),
		"nested": host("second", second, " ProxyJump first") + base + host("node", node, " ProxyJump second"),
		"url":    base + host("node", node, " ProxyJump ssh://one@first:"+first.port()+"/,second"),
	} {
		h.config(config)
		c := h.client(Options{})
		if out, _, err := output(t.Context(), h.dial(c, "node"), "x", ""); err != nil || out != "ran x, read " {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

func TestJumpLoopsAreRefusedBeforeDialling(t *testing.T) {
	h := newHome(t)
	for _, config := range []string{
		"Host a\n ProxyJump a\n",
		"Host a\n ProxyJump b\nHost b\n ProxyJump a\n",
		"Host a\n ProxyJump b\nHost b\n ProxyJump c\nHost c\n ProxyJump b\n",
		"Host *\n ProxyJump bastion\n",
	} {
		h.config(config)
		e := dialError(t, h.client(Options{}), "a", StageConfig)
		if !strings.Contains(e.Error(), "jump host loop") {
			t.Errorf("%s: %v", config, e)
		}
	}
	var long strings.Builder
	for i := range 12 {
		fmt.Fprintf(&long, "Host h%d\n ProxyJump h%d\n", i, i+1)
	}
	h.config(long.String())
	if e := dialError(t, h.client(Options{}), "h0", StageConfig); !strings.Contains(e.Error(), "more than 8 jump hosts") {
		t.Errorf("got %v", e)
	}
	h.config("Host a\n ProxyJump -x\n")
	if e := dialError(t, h.client(Options{}), "a", StageConfig); !strings.Contains(e.Error(), `proxy jump "-x"`) {
		t.Errorf("got %v", e)
	}
}

func TestFailuresAtAJumpHost(t *testing.T) {
	h := newHome(t)
	refuses := (&server{accepts: func(string, ssh.PublicKey) bool { return false }}).start(t)
	unknown, good := (&server{}).start(t), (&server{}).start(t)
	closed := (&server{onChannel: func(n ssh.NewChannel) bool { n.Reject(ssh.Prohibited, "no \x1b"); return true }}).start(t)
	for _, s := range []*server{refuses, good, closed} {
		h.knows(s)
	}
	free := freeAddr(t)
	h.config(fmt.Sprintf("Host auth*\n ProxyJump %s\nHost key*\n ProxyJump %s\nHost dead*\n ProxyJump %s\nHost nofwd\n ProxyJump %s\nHost gone\n HostName 127.0.0.1\n Port %s\n ProxyJump %s\n",
		refuses.addr, unknown.addr, freeAddr(t), closed.addr, free[strings.LastIndexByte(free, ':')+1:], good.addr))
	c := h.client(Options{})
	var ae *AuthError
	for range 3 {
		if e := dialError(t, c, "auth1", StageJump); !errors.As(e, &ae) || !strings.Contains(e.Error(), refuses.addr) {
			t.Errorf("got %v", e)
		}
	}
	if refuses.dialled() != 1 {
		t.Errorf("a jump host that refuses the key was dialled %d times", refuses.dialled())
	}
	var ke *HostKeyError
	if e := dialError(t, c, "key1", StageJump); !errors.As(e, &ke) {
		t.Errorf("got %v", e)
	}
	dialError(t, c, "dead1", StageJump)
	dialError(t, c, "dead1", StageJump)
	if e := dialError(t, c, "nofwd", StageConnect); !strings.Contains(e.Error(), "AllowTcpForwarding") || strings.Contains(e.Error(), "\x1b") {
		t.Errorf("got %v", e)
	}
	if e := dialError(t, c, "gone", StageConnect); !strings.Contains(e.Error(), "Connection refused") {
		t.Errorf("got %v", e)
	}
}

func TestJumpThatDoesNotAnswer(t *testing.T) {
	h := newHome(t)
	hold := make(chan struct{})
	jump := (&server{onChannel: func(n ssh.NewChannel) bool { <-hold; return false }}).start(t)
	h.knows(jump)
	h.config("Host node\n ProxyJump " + jump.addr + "\n")
	e := dialError(t, h.client(Options{ConnectTimeout: 100 * time.Millisecond}), "node", StageConnect)
	close(hold)
	if !strings.Contains(e.Error(), "did not reach it within 100ms") {
		t.Errorf("got %v", e)
	}
}

func TestHostKeyBehindAJump(t *testing.T) {
	h := newHome(t)
	jump, node := (&server{}).start(t), (&server{}).start(t)
	h.knows(jump)
	h.config(fmt.Sprintf("Host node\n HostName 127.0.0.1\n Port %s\n ProxyJump %s\n", node.port(), jump.addr))
	if e := hostKeyError(t, h.client(Options{}), "node"); e.Kind != KeyUnknown || e.Host != node.name() || e.Target != "node" {
		t.Errorf("%+v", e)
	}
}

// relay gives a command that connects to its arguments, as nc does.
func (h *home) relay() string {
	h.t.Helper()
	writeFile(h.t, h.path("relay.py"), `
import socket, sys, os, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def copy(read, write, end):
    while True:
        b = read()
        if not b: break
        write(b)
    end()
threading.Thread(target=copy, args=(lambda: os.read(0, 65536), s.sendall, lambda: s.shutdown(socket.SHUT_WR)), daemon=True).start()
copy(lambda: s.recv(65536), lambda b: os.write(1, b), lambda: None)
`)
	return needs(h.t, "python3") + " " + h.path("relay.py")
}

func TestProxyCommand(t *testing.T) {
	h := newHome(t)
	s := (&server{onExec: echo}).start(t)
	h.knows(s)
	t.Setenv("SHELL", "/bin/sh")
	h.config("Host via\n HostName 127.0.0.1\n Port " + s.port() + "\n ProxyCommand " + h.relay() + " %h %p\n")
	c := h.client(Options{})
	conn := h.dial(c, "via")
	if out, _, err := output(t.Context(), conn, "x", "y"); err != nil || out != "ran x, read y" {
		t.Errorf("%q, %v", out, err)
	}
	h.config("Host via\n ProxyCommand echo 'no \x1b route' >&2; exit 3\n")
	e := dialError(t, h.client(Options{}), "via", StageHandshake)
	if !strings.Contains(e.Error(), `its ProxyCommand ended (exit status 0), it said: "no \x1b route"`) {
		t.Errorf("got %v", e)
	}
	t.Setenv("SHELL", h.path("nosuch"))
	if e := dialError(t, h.client(Options{}), "via", StageConnect); !errors.Is(e, os.ErrNotExist) {
		t.Errorf("got %v", e)
	}
}

func TestProxyCommandEndsWithItsConnection(t *testing.T) {
	p, err := startProxy("sleep 1000 & sleep 1000; true")
	if err != nil {
		t.Fatal(err)
	}
	pid := p.cmd.Process.Pid
	p.Close()
	if p.cmd.ProcessState == nil {
		t.Errorf("process %d was not waited for", pid)
	}
	p.Close()
}

// A port of localhost behind a jump host may be another host than the one here: ssh goes
// there, and so do we.
func TestAnAddressBehindItselfIsNoLoop(t *testing.T) {
	h := newHome(t)
	h.config("Host a b\n HostName localhost\n Port 2222\nHost b\n ProxyJump a\n")
	hops, err := h.client(Options{}).Route(t.Context(), "b")
	if err != nil || len(hops) != 2 || hops[0].Name != "a" || hops[1].Name != "b" {
		t.Errorf("%+v, %v", hops, err)
	}
}
