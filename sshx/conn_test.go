package sshx

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestExecCarriesStreamsAndStatus(t *testing.T) {
	h, s := newHome(t), (&server{onExec: echo}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	out, errs, err := output(t.Context(), c, "git-receive-pack '/x'", "hello")
	if err != nil || out != "ran git-receive-pack '/x', read hello" || errs != "err" {
		t.Errorf("got %q, %q, %v", out, errs, err)
	}
	if c.User() != "tester" || c.Host() != s.addr || c.RemoteAddr().String() != s.addr {
		t.Errorf("user %q, host %q, address %v", c.User(), c.Host(), c.RemoteAddr())
	}
	if !strings.HasPrefix(c.ServerVersion(), "SSH-2.0-") {
		t.Errorf("server version %q", c.ServerVersion())
	}
}

func TestExitIsTyped(t *testing.T) {
	h := newHome(t)
	s := (&server{onExec: func(cmd string, ch ssh.Channel) int {
		switch cmd {
		case "seven":
			return 7
		case "signal":
			ch.SendRequest("exit-signal", false, ssh.Marshal(&struct {
				Signal string
				Core   bool
				Msg    string
				Lang   string
			}{"KILL", false, "out of\x1b[31m memory", ""}))
		}
		return -1
	}}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	var exit *ExitError
	if _, _, err := output(t.Context(), c, "seven", ""); !errors.As(err, &exit) || exit.Status != 7 || exit.Signal != "" {
		t.Errorf("seven: %v", err)
	}
	if _, _, err := output(t.Context(), c, "signal", ""); !errors.As(err, &exit) || exit.Status != -1 || exit.Signal != "KILL" ||
		err.Error() != `command ended by signal KILL (out of\x1b[31m memory)` {
		t.Errorf("signal: %v", err)
	}
	var lost *LostError
	if _, _, err := output(t.Context(), c, "nothing", ""); !errors.As(err, &lost) || !errors.Is(err, ErrNoStatus) {
		t.Errorf("no status: %v", err)
	}
	if c.Err() != nil {
		t.Errorf("the connection is gone: %v", c.Err())
	}
}

func TestConnectionLostWhileACommandRuns(t *testing.T) {
	h := newHome(t)
	running := make(chan struct{})
	s := (&server{onExec: func(_ string, ch ssh.Channel) int {
		close(running)
		io.Copy(io.Discard, ch)
		return -1
	}}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	p, err := c.Exec(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the command", running)
	s.drop()
	io.Copy(io.Discard, p.Stdout())
	var lost *LostError
	if err := p.Wait(); !errors.As(err, &lost) || lost.Host != s.addr {
		t.Errorf("Wait: %v", err)
	}
	if _, err := c.Exec(t.Context(), "y"); !errors.As(err, &lost) {
		t.Errorf("Exec afterwards: %v", err)
	}
	await(t, "Done", c.Done())
	if !errors.As(c.Err(), &lost) {
		t.Errorf("Err: %v", c.Err())
	}
}

func TestSecondSessionRefused(t *testing.T) {
	h := newHome(t)
	var mu sync.Mutex
	sessions := 0
	s := (&server{onExec: echo, onChannel: func(n ssh.NewChannel) bool {
		mu.Lock()
		defer mu.Unlock()
		if sessions++; sessions > 1 {
			n.Reject(ssh.ResourceShortage, "open \x1b failed")
			return true
		}
		return false
	}}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	if _, _, err := output(t.Context(), c, "a", ""); err != nil {
		t.Fatal(err)
	}
	_, err := c.Exec(t.Context(), "b")
	var ce *ChannelError
	if !errors.As(err, &ce) || ce.Op != "open" || strings.Contains(err.Error(), "\x1b") || !strings.Contains(err.Error(), "MaxSessions") {
		t.Errorf("got %v", err)
	}
	if c.Err() != nil {
		t.Errorf("a refusal must leave the connection: %v", c.Err())
	}
}

func TestCommandRefused(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t) // no onExec: every exec is denied
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	_, err := c.Exec(t.Context(), "b")
	var ce *ChannelError
	if !errors.As(err, &ce) || ce.Op != "exec" {
		t.Errorf("got %v", err)
	}
}

func TestChannelClosedInsteadOfAnAnswer(t *testing.T) {
	h := newHome(t)
	s := (&server{onChannel: func(n ssh.NewChannel) bool {
		ch, reqs, _ := n.Accept()
		go ssh.DiscardRequests(reqs)
		ch.Close()
		return true
	}}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	var ce *ChannelError
	if _, err := c.Exec(t.Context(), "b"); !errors.As(err, &ce) {
		t.Errorf("got %v", err)
	}
}

func TestExecTimesOutAndCancels(t *testing.T) {
	h, s := newHome(t), (&server{noReply: true}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{ExecTimeout: 20 * time.Millisecond}), s.addr)
	var te *TimeoutError
	if _, err := c.Exec(t.Context(), "x"); !errors.As(err, &te) || !strings.Contains(err.Error(), "20ms") {
		t.Errorf("no answer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Exec(ctx, "x"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	patient := h.dial(h.client(Options{}), s.addr)
	ctx, cancel = context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { _, err := patient.Exec(ctx, "x"); result <- err }()
	cancel()
	if err := await(t, "Exec", result); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: %v", err)
	}
}

func TestCancelClosesTheChannelOnly(t *testing.T) {
	h := newHome(t)
	ended := make(chan struct{}, 1)
	s := (&server{onExec: func(cmd string, ch ssh.Channel) int {
		if cmd == "quick" {
			return 0
		}
		io.Copy(io.Discard, ch)
		ended <- struct{}{}
		return -1
	}}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	ctx, cancel := context.WithCancelCause(t.Context())
	p, err := c.Exec(ctx, "slow")
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("the user left")
	cancel(why)
	if err := p.Wait(); !errors.Is(err, why) {
		t.Errorf("Wait: %v", err)
	}
	await(t, "the end of the command's input", ended)
	if _, _, err := output(t.Context(), c, "quick", ""); err != nil {
		t.Errorf("another command on the connection: %v", err)
	}
}

func TestKeepaliveHangsUpOnASilentServer(t *testing.T) {
	h := newHome(t)
	g := newGate(t, (&server{onExec: echo}).start(t))
	h.knows(g.server())
	c := h.dial(h.client(Options{KeepaliveInterval: 5 * time.Millisecond, KeepaliveCount: 2}), g.addr)
	g.block()
	await(t, "the keepalive", c.Done())
	var te *TimeoutError
	if err := c.Err(); !errors.As(err, &te) || !strings.Contains(err.Error(), "no sign of life") {
		t.Errorf("got %v", err)
	}
}

func TestKeepaliveLeavesALiveServer(t *testing.T) {
	h := newHome(t)
	asked := make(chan string, 1000)
	s := (&server{onExec: echo, onRequest: func(kind string) { asked <- kind }}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{KeepaliveInterval: 2 * time.Millisecond, KeepaliveCount: 1000}), s.addr)
	for range 10 {
		if kind := await(t, "a keepalive", asked); kind != "keepalive@openssh.com" {
			t.Errorf("asked %q", kind)
		}
	}
	if _, _, err := output(t.Context(), c, "x", ""); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestServerMayAskForNothing(t *testing.T) {
	h := newHome(t)
	answers := make(chan error, 2)
	s := &server{onExec: echo}
	s.onConn = func(c net.Conn) bool {
		config := &ssh.ServerConfig{NoClientAuth: true}
		config.AddHostKey(s.hostKeys[0])
		sc, chans, reqs, err := ssh.NewServerConn(c, config)
		if err != nil {
			answers <- err
			return false
		}
		go ssh.DiscardRequests(reqs)
		go func() {
			for n := range chans {
				n.Reject(ssh.Prohibited, "")
			}
		}()
		for _, kind := range []string{"auth-agent@openssh.com", "x11"} {
			_, _, err := sc.OpenChannel(kind, nil)
			answers <- err
		}
		sc.Wait()
		return false
	}
	s.start(t)
	h.knows(s)
	h.dial(h.client(Options{}), s.addr)
	for range 2 {
		var oe *ssh.OpenChannelError
		if err := await(t, "an answer", answers); !errors.As(err, &oe) || oe.Reason != ssh.Prohibited {
			t.Errorf("got %v", err)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	h := newHome(t)
	s := (&server{onExec: func(_ string, ch ssh.Channel) int { io.Copy(io.Discard, ch); return 0 }}).start(t)
	h.knows(s)
	c := h.dial(h.client(Options{}), s.addr)
	p, err := c.Exec(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { c.Exec(t.Context(), "y") })
	}
	wg.Go(func() { c.Close() })
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if err := p.Wait(); !errors.Is(err, ErrClosed) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := c.Exec(t.Context(), "z"); !errors.Is(err, ErrClosed) {
		t.Errorf("Exec: %v", err)
	}
}
