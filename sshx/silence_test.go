package sshx

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// hang stops the sshd process of a command's session, until the test ends. The command must
// print its parent.
func hang(t testing.TB, p *Process) {
	t.Helper()
	line, err := bufio.NewReader(p.Stdout()).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || pid <= 1 {
		t.Fatalf("%q, %v", line, err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	})
}

// TestAServerThatStopsAnswering stops a real sshd while much is on its way to it: the
// connection is closed by the keepalive, as is everything on it.
func TestAServerThatStopsAnswering(t *testing.T) {
	for name, way := range map[string]string{"direct": "", "jump": "ProxyJump first", "proxy": "ProxyCommand SSH -W %h:%p first"} {
		t.Run(name, func(t *testing.T) {
			bastion, node := startBastion(t, ""), startSSHD(t, "")
			h := bastionHome(t, way, node, bastion)
			addr := node.nodes(t, 1)[0]
			const interval, count = 50 * time.Millisecond, 3
			c := h.client(Options{KeepaliveInterval: interval, KeepaliveCount: count})
			conn := h.dial(c, addr)
			p, err := conn.Exec(t.Context(), "echo $PPID; exec cat >/dev/null")
			if err != nil {
				t.Fatal(err)
			}
			hang(t, p)
			begun := time.Now()
			var wg sync.WaitGroup
			wg.Go(func() { // ends with the connection
				for err := error(nil); err == nil; {
					_, err = p.Stdin().Write(make([]byte, 64<<10))
				}
			})
			await(t, "the keepalive", conn.Done())
			if d := time.Since(begun); d < interval*count {
				t.Errorf("it took only %v", d)
			}
			wg.Wait()
			var te *TimeoutError
			if err := p.Wait(); !errors.As(err, &te) {
				t.Errorf("the command: %v", err)
			}
			if err := conn.Err(); !errors.As(err, &te) || !strings.Contains(err.Error(), "connection to "+addr+" lost: the server gave no sign of life within 200ms") {
				t.Errorf("the connection: %v", err)
			}
			closed := make(chan struct{})
			go func() { conn.Close(); close(closed) }()
			await(t, "Close", closed)
			if way == "ProxyJump first" { // others behind the bastion go on
				if c.jumps.conns[mustPlan(t, c, addr).jump.path()][0].conn.Err() != nil {
					t.Error("the connection to the jump host is gone, too")
				}
			}
		})
	}
}

// mustPlan resolves a host.
func mustPlan(t testing.TB, c *Client, host string) *route {
	t.Helper()
	r, err := c.plan(t.Context(), host, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRekeyingLosesNothing has a real sshd exchange keys all the time while commands run and
// much goes both ways, directly and behind a jump host that does so, too; or us, while
// commands run.
func TestRekeyingLosesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		server, client, way string
		commands            int
	}{
		"server": {"RekeyLimit 64K", "", "", 20},
		"behind": {"RekeyLimit 64K", "", "ProxyJump first", 20},
		"client": {"", "RekeyLimit 1K", "", 20},
	} {
		t.Run(name, func(t *testing.T) {
			bastion, node := startBastion(t, tt.server), startSSHD(t, tt.server)
			h := bastionHome(t, tt.way, node, bastion)
			h.config(tt.client + "\n" + string(readFile(t, h.path("config"))))
			c := h.client(Options{})
			addr := node.nodes(t, 1)[0]
			if r := mustPlan(t, c, addr); (tt.client != "") != (r.s.RekeyBytes == 1<<10) {
				t.Fatalf("RekeyLimit is %d", r.s.RekeyBytes)
			}
			conn := h.dial(c, addr)
			var wg sync.WaitGroup
			for i := range 3 {
				if tt.client != "" {
					break // the library does not stand much on its way in an exchange of ours
				}
				wg.Go(func() { carry(t, conn, i, 1<<20) })
			}
			for i := range tt.commands {
				if out, _, err := output(t.Context(), conn, fmt.Sprintf("echo %d; exit 3", i), ""); out != fmt.Sprintf("%d\n", i) || err == nil || err.Error() != "command exited with status 3" {
					t.Errorf("command %d: %q, %v", i, out, err)
				}
			}
			wg.Wait()
		})
	}
}

// carry sends n bytes through a command and compares what comes back.
func carry(t *testing.T, conn *Conn, seed, n int) {
	p, err := conn.Exec(t.Context(), "cat; echo end >&2")
	if err != nil {
		t.Error(err)
		return
	}
	data := make([]byte, n)
	for i := range data {
		data[i] = byte((i*31 + i>>8 + seed) & 0xff)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := p.Stdin().Write(data); err != nil {
			t.Error(err)
		}
		p.Stdin().Close()
	})
	wg.Go(func() {
		if errs, err := io.ReadAll(p.Stderr()); err != nil || string(errs) != "end\n" {
			t.Errorf("stderr %q, %v", errs, err)
		}
	})
	sum := sha256.New()
	got, err := io.Copy(sum, p.Stdout())
	wg.Wait()
	if want := sha256.Sum256(data); err != nil || got != int64(n) || [32]byte(sum.Sum(nil)) != want {
		t.Errorf("%d bytes of %d came back, %v", got, n, err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// TestAHangingJumpHostHoldsNobodyUp closes a connection through one that does not agree to
// close the channel, which is otherwise where the connection ends.
func TestAHangingJumpHostHoldsNobodyUp(t *testing.T) {
	h := newHome(t)
	node := (&server{onExec: echo}).start(t)
	g := newGate(t, (&server{}).start(t))
	h.knows(g.server())
	h.knows(node)
	_, port, _ := strings.Cut(g.addr, ":")
	h.config("Host jump\n HostName 127.0.0.1\n Port " + port + "\n ServerAliveInterval 1000\nHost node\n HostName 127.0.0.1\n Port " + node.port() +
		"\n ProxyJump jump\n ServerAliveInterval 1\n ServerAliveCountMax 1\n")
	conn := h.dial(h.client(Options{}), "node")
	p, err := conn.Exec(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	g.block()
	var te *TimeoutError
	await(t, "the keepalive", conn.Done())
	if err := p.Wait(); !errors.As(err, &te) {
		t.Errorf("got %v", err)
	}
	closed := make(chan struct{})
	go func() { conn.Close(); close(closed) }()
	await(t, "Close", closed)
}
