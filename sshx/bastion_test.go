package sshx

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startBastion starts a real sshd that counts for itself, as MaxStartups needs: one process
// that listens. It has the keys of a server made by startSSHD.
func startBastion(t testing.TB, extra string) *sshd {
	t.Helper()
	s := startSSHD(t, "")
	addr := freeAddr(t)
	s.addr = addr
	_, s.port, _ = net.SplitHostPort(addr)
	config := filepath.Join(s.dir, "bastion_config")
	writeFile(t, config, fmt.Sprintf("%s\nListenAddress %s\nHostKey %[3]s/ed25519\nAuthorizedKeysFile %[3]s/authorized_keys\nStrictModes no\nPasswordAuthentication no\n"+
		"KbdInteractiveAuthentication no\nPermitRootLogin yes\nLogLevel VERBOSE\nPidFile none\nSetEnv SHLVL=2\n", extra, addr, s.dir))
	cmd := exec.Command(s.program, "-D", "-e", "-f", config)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listens := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		lines := bufio.NewScanner(out) // ends with the last session
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "Server listening on ") {
				close(listens)
			}
			fmt.Fprintln(s, lines.Text())
		}
	})
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		wg.Wait()
		cmd.Wait()
	})
	await(t, "the bastion", listens)
	return s
}

// connections is how many connections a bastion has seen.
func (s *sshd) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count("\n"+s.said.String(), "\nConnection from ")
}

// squat holds n connections that do not authenticate, each as far as the server's banner.
func (s *sshd) squat(t testing.TB, n int) (leave func()) {
	t.Helper()
	var conns []net.Conn
	for range n {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "SSH-") {
			t.Fatalf("got %q, %v", line, err)
		}
		conns = append(conns, c)
	}
	leave = sync.OnceFunc(func() {
		for _, c := range conns {
			c.Close()
		}
	})
	t.Cleanup(leave)
	return leave
}

// nodes has a server be found at n addresses and gives them.
func (s *sshd) nodes(t testing.TB, n int) (addrs []string) {
	t.Helper()
	for i := range n {
		addr := fmt.Sprintf("127.0.1.%d:%s", i+1, s.port)
		s.listen(t, addr)
		addrs = append(addrs, addr)
	}
	return addrs
}

// bastionHome is a home for nodes behind bastions, all known and open to its key. The way to
// the nodes is added; in it FIRST and SECOND are the bastions, SSH is ssh with their
// configuration, RELAY what connects to its arguments.
func bastionHome(t testing.TB, way string, node *sshd, bastions ...*sshd) *home {
	t.Helper()
	h := newHome(t)
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	known := fmt.Sprintf("[127.0.1.*]:%s %s\n", node.port, node.publicLine(t, "ed25519"))
	node.authorize(t, keyText(h.key.PublicKey()))
	common := ""
	for i, b := range bastions {
		known += fmt.Sprintf("[127.0.0.1]:%s %s\n", b.port, b.publicLine(t, "ed25519"))
		b.authorize(t, keyText(h.key.PublicKey()))
		common += fmt.Sprintf("Host %s\n HostName 127.0.0.1\n Port %s\n", []string{"first", "second"}[i], b.port)
	}
	common += "Host *\n User " + u.Username + "\n"
	writeFile(t, h.path("known_hosts"), known)
	t.Setenv("SHELL", "/bin/sh")
	h.config(common)
	writeFile(t, h.path("inner"), string(readFile(t, h.path("config")))+"BatchMode yes\nIdentityAgent none\n")
	way = strings.NewReplacer("SSH", needs(t, "ssh")+" -F "+h.path("inner"), "RELAY", h.relay()).Replace(way)
	h.config("Host 127.0.1.*\n " + way + "\n" + common)
	return h
}

// reach dials all hosts at once, has each say its own address, and gives the errors.
func reach(t testing.TB, c *Client, addrs []string) (errs []error) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	for _, addr := range addrs {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), addr)
			if err != nil {
				fail(err)
				return
			}
			defer conn.Close()
			out, _, err := output(t.Context(), conn, "echo $SSH_CONNECTION | cut -d' ' -f3", "")
			if host, _, _ := net.SplitHostPort(addr); err != nil || out != host+"\n" {
				fail(fmt.Errorf("%s: %q, %w", addr, out, err))
			}
		})
	}
	wg.Wait()
	return errs
}

// waysThrough are the ways to nodes behind one bastion, or two.
var waysThrough = map[string]string{
	"jump":     "ProxyJump first",
	"two hops": "ProxyJump first,second",
	"ssh -W":   "ProxyCommand SSH -W %h:%p first",
	"ssh nc":   "ProxyCommand SSH first RELAY %h %p",
}

// TestAHundredNodesBehindABastion goes through bastions with sshd's default MaxStartups.
func TestAHundredNodesBehindABastion(t *testing.T) {
	for name, way := range waysThrough {
		t.Run(name, func(t *testing.T) {
			first, second, node := startBastion(t, "MaxStartups 10:30:100"), startBastion(t, "MaxStartups 10:30:100"), startSSHD(t, "")
			h := bastionHome(t, way, node, first, second)
			c := h.client(Options{})
			c.backoff = sleep
			for _, err := range reach(t, c, node.nodes(t, 100)) {
				t.Error(err)
			}
			if n := first.connections(); strings.HasPrefix(way, "ProxyJump") && n != 1 || n == 0 {
				t.Errorf("%d connections to the bastion", n)
			}
		})
	}
}

// TestNodesBehindACrowdedBastion meets a bastion that turns every connection away until
// others leave it.
func TestNodesBehindACrowdedBastion(t *testing.T) {
	for name, way := range waysThrough {
		t.Run(name, func(t *testing.T) {
			first, second, node := startBastion(t, "MaxStartups 10"), startBastion(t, ""), startSSHD(t, "")
			h := bastionHome(t, way, node, first, second)
			leave := first.squat(t, 10)
			var told sync.Once
			tries := make(chan time.Duration, 1000)
			c := h.client(Options{HandshakeTimeout: patience, ConnectTimeout: patience})
			c.backoff = func(ctx context.Context, d time.Duration) error {
				tries <- d
				told.Do(leave)
				return sleep(ctx, d)
			}
			for _, err := range reach(t, c, node.nodes(t, 10)) {
				t.Error(err)
			}
			if len(tries) == 0 {
				t.Error("the bastion turned nobody away")
			}
		})
	}
}

// TestACrowdedBastionIsNamed gives up on one that goes on turning connections away.
func TestACrowdedBastionIsNamed(t *testing.T) {
	for name, way := range waysThrough {
		t.Run(name, func(t *testing.T) {
			first, second, node := startBastion(t, "MaxStartups 2"), startBastion(t, ""), startSSHD(t, "")
			h := bastionHome(t, way, node, first, second)
			first.squat(t, 2)
			errs := reach(t, h.client(Options{}), node.nodes(t, 2))
			if len(errs) != 2 {
				t.Errorf("%d errors", len(errs))
			}
			for _, err := range errs {
				if !strings.Contains(err.Error(), "(tried 6 times): it limits new connections, see MaxStartups") {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}

// TestARefusalAtAJumpHostIsMetOnce counts the connections to a bastion that refuses the key.
func TestARefusalAtAJumpHostIsMetOnce(t *testing.T) {
	for name, way := range waysThrough {
		t.Run(name, func(t *testing.T) {
			first, second, node := startBastion(t, ""), startBastion(t, ""), startSSHD(t, "")
			h := bastionHome(t, way, node, first, second)
			first.authorize(t, keyText(newKey(t).PublicKey()))
			errs := reach(t, h.client(Options{}), node.nodes(t, 50))
			for _, err := range errs {
				if !isFinal(err) {
					t.Errorf("got %v", err)
				}
			}
			if n := first.connections(); len(errs) != 50 || n != 1 {
				t.Errorf("%d connections to the bastion, %d errors", n, len(errs))
			}
		})
	}
}

// TestABastionThatDoesNotForward says which of its settings keeps the nodes away.
func TestABastionThatDoesNotForward(t *testing.T) {
	for _, way := range []string{"jump", "two hops", "ssh -W"} {
		t.Run(way, func(t *testing.T) {
			first, second, node := startBastion(t, "AllowTcpForwarding no"), startBastion(t, ""), startSSHD(t, "")
			h := bastionHome(t, waysThrough[way], node, first, second)
			c := h.client(Options{})
			c.backoff = func(context.Context, time.Duration) error { t.Error("it was tried again"); return nil }
			errs := reach(t, c, node.nodes(t, 3))
			if len(errs) != 3 {
				t.Errorf("%d of 3 nodes are not reached", len(errs))
			}
			for _, err := range errs {
				if !strings.Contains(err.Error(), "set AllowTcpForwarding yes, and check PermitOpen, in") {
					t.Errorf("got %v", err)
				}
			}
			if n := first.connections(); strings.HasPrefix(waysThrough[way], "ProxyJump") && n != 1 {
				t.Errorf("%d connections to the bastion", n)
			}
		})
	}
}
