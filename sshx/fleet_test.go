package sshx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestManyCommandsOnManyHosts mixes the output of none.
func TestManyCommandsOnManyHosts(t *testing.T) {
	h := newHome(t)
	var servers []*server
	for i := range 5 {
		s := (&server{onExec: func(cmd string, ch ssh.Channel) int {
			for n := range 500 {
				fmt.Fprintf(ch, "%d %s %d\n", i, cmd, n)
			}
			return i
		}}).start(t)
		h.knows(s)
		servers = append(servers, s)
	}
	c := h.client(Options{})
	var wg sync.WaitGroup
	for i, s := range servers {
		conn := h.dial(c, s.addr)
		for j := range 6 {
			wg.Go(func() {
				out, _, err := output(t.Context(), conn, fmt.Sprint(j), "")
				var exit *ExitError
				if i > 0 && (!errors.As(err, &exit) || exit.Status != i) || i == 0 && err != nil {
					t.Errorf("host %d: %v", i, err)
				}
				var want strings.Builder
				for n := range 500 {
					fmt.Fprintf(&want, "%d %d %d\n", i, j, n)
				}
				if out != want.String() {
					t.Errorf("host %d, command %d: %d bytes", i, j, len(out))
				}
			})
		}
	}
	wg.Wait()
}

func TestNamesWithSeveralAddresses(t *testing.T) {
	addrs, err := net.DefaultResolver.LookupNetIP(t.Context(), "ip", "localhost")
	if err != nil {
		t.Fatalf("localhost has no address: %v", err)
	}
	h, s := newHome(t), (&server{onExec: echo}).start(t)
	h.config("HostKeyAlias alias\n")
	writeFile(t, h.path("known_hosts"), "alias "+keyText(s.hostKeys[0].PublicKey())+"\n")
	conn := h.dial(h.client(Options{}), "localhost:"+s.port()) // ::1, if it has that, refuses
	if !strings.HasPrefix(conn.RemoteAddr().String(), "127.") {
		t.Errorf("connected to %v of %v", conn.RemoteAddr(), addrs)
	}
	h.config("AddressFamily inet\nConnectionAttempts 2\nBindAddress 127.0.0.1\n")
	_, port, _ := net.SplitHostPort(freeAddr(t))
	e := dialError(t, h.client(Options{}), "localhost:"+port, StageConnect)
	if strings.Count(e.Error(), "connection refused") != 2 || strings.Contains(e.Error(), "::1") {
		t.Errorf("got %v", e)
	}
}

func TestStdinOfACommandThatIsGone(t *testing.T) {
	h, s := newHome(t), (&server{onExec: func(string, ssh.Channel) int { return 3 }}).start(t)
	h.knows(s)
	p, err := h.dial(h.client(Options{}), s.addr).Exec(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, p.Stdout())
	var exit *ExitError
	for range 2 {
		if err := p.Wait(); !errors.As(err, &exit) || exit.Status != 3 {
			t.Errorf("got %v", err)
		}
	}
	if _, err := p.Stdin().Write([]byte("x")); !errors.Is(err, io.EOF) {
		t.Errorf("write: %v", err)
	}
	if err := p.Stdin().Close(); err != nil {
		t.Errorf("close of stdin: %v", err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// TestUnreadStderrHoldsUpOnlyItsOwnCommand has one command fill its window.
func TestUnreadStderrHoldsUpOnlyItsOwnCommand(t *testing.T) {
	h := newHome(t)
	full := make(chan struct{})
	s := (&server{onExec: func(cmd string, ch ssh.Channel) int {
		if cmd == "flood" {
			chunk := bytes.Repeat([]byte("x"), 64<<10)
			for n := 0; ; n += len(chunk) {
				if n == 1<<20 {
					close(full)
				}
				if _, err := ch.Stderr().Write(chunk); err != nil {
					return -1
				}
			}
		}
		return echo(cmd, ch)
	}}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	flood, err := c.Exec(t.Context(), "flood")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "a mebibyte that nobody reads", full)
	if out, _, err := output(t.Context(), c, "x", "y"); err != nil || out != "ran x, read y" {
		t.Errorf("%q, %v", out, err)
	}
	if err := flood.Close(); err != nil {
		t.Error(err)
	}
}

// TestMalformedExitRequests has a server send rubbish where the status belongs.
func TestMalformedExitRequests(t *testing.T) {
	h := newHome(t)
	s := (&server{onExec: func(cmd string, ch ssh.Channel) int {
		switch cmd {
		case "short":
			ch.SendRequest("exit-status", false, []byte{1})
		case "garbled":
			ch.SendRequest("exit-signal", false, []byte{0, 0, 1, 0, 'x'})
		case "asked":
			if ok, err := ch.SendRequest("please@example", true, nil); ok || err != nil {
				return 9
			}
			return 0
		}
		return -1
	}}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	for _, cmd := range []string{"short", "garbled"} {
		if _, _, err := output(t.Context(), c, cmd, ""); !errors.Is(err, ErrNoStatus) {
			t.Errorf("%s: %v", cmd, err)
		}
	}
	if _, _, err := output(t.Context(), c, "asked", ""); err != nil {
		t.Errorf("a request of the server's own: %v", err)
	}
}
