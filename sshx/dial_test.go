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

// dialError dials and wants a *DialError of a stage.
func dialError(t *testing.T, c *Client, addr, stage string) *DialError {
	t.Helper()
	conn, err := c.Dial(t.Context(), addr)
	if err == nil {
		conn.Close()
		t.Fatal("the dial succeeded")
	}
	var de *DialError
	if !errors.As(err, &de) || de.Stage != stage {
		t.Fatalf("got %v, want stage %s", err, stage)
	}
	return de
}

// freeAddr is an address on which nobody listens.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestStagesOfFailure(t *testing.T) {
	h := newHome(t)
	h.config("Host bad\n HostName a;b\nHost nowhere\n HostName name.invalid\nHost bound\n BindAddress eth0\n HostName 127.0.0.1\n")
	c := h.client(Options{})
	dialError(t, c, "-oProxyCommand=x", StageConfig)
	dialError(t, c, "bad", StageConfig)
	dialError(t, c, "nowhere", StageResolve)
	dialError(t, c, "bound", StageConnect)
	e := dialError(t, c, freeAddr(t), StageConnect)
	if !strings.Contains(e.Error(), ": connect: connection refused: check that sshd runs there") {
		t.Errorf("got %v", e)
	}
}

func TestTimeoutsOfStages(t *testing.T) {
	h := newHome(t)
	silent := (&server{onConn: func(c net.Conn) bool { io.Copy(io.Discard, c); return false }}).start(t)
	stuck := (&server{onConn: func(c net.Conn) bool {
		io.WriteString(c, "SSH-2.0-x\r\n")
		io.Copy(io.Discard, c)
		return false
	}}).start(t)
	short := h.client(Options{HandshakeTimeout: 30 * time.Millisecond})
	for _, s := range []*server{silent, stuck} {
		e := dialError(t, short, s.addr, StageHandshake)
		var te *TimeoutError
		if !errors.As(e, &te) || !te.Timeout() || !strings.Contains(e.Error(), "within 30ms: check that it is an sshd") {
			t.Errorf("got %v", e)
		}
	}
	g := make(chan struct{})
	slow := (&server{accepts: func(string, ssh.PublicKey) bool { <-g; return true }}).start(t)
	h.knows(slow)
	e := dialError(t, h.client(Options{AuthTimeout: 30 * time.Millisecond}), slow.addr, StageAuth)
	close(g)
	if !strings.Contains(e.Error(), "authentication within 30ms") {
		t.Errorf("got %v", e)
	}
}

func TestConnectTimeout(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	e := dialError(t, h.client(Options{ConnectTimeout: 1}), s.addr, StageConnect)
	var te *TimeoutError
	if !errors.As(e, &te) || !strings.Contains(e.Error(), "no answer within") {
		t.Errorf("got %v", e)
	}
	h.config("ProxyCommand sleep 1000\n")
	dialError(t, h.client(Options{HandshakeTimeout: 30 * time.Millisecond}), s.addr, StageHandshake)
}

func TestCancelDuringTheHandshake(t *testing.T) {
	h := newHome(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("first Ctrl-C")
	closed := make(chan struct{})
	s := (&server{onConn: func(c net.Conn) bool {
		cancel(why)
		io.Copy(io.Discard, c)
		close(closed)
		return false
	}}).start(t)
	_, err := h.client(Options{}).Dial(ctx, s.addr)
	var de *DialError
	if !errors.As(err, &de) || !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	await(t, "the end of the connection", closed)
}

func TestThrottledServerIsTriedAgain(t *testing.T) {
	for _, said := range []string{"Exceeded MaxStartups\r\n", "Not allowed at this time\r\n", ""} {
		h := newHome(t)
		var mu sync.Mutex
		seen := 0
		s := (&server{onConn: func(c net.Conn) bool {
			mu.Lock()
			defer mu.Unlock()
			if seen++; seen < 4 {
				io.WriteString(c, said)
				return false
			}
			return true
		}}).start(t)
		h.knows(s)
		c := h.client(Options{})
		var waits []time.Duration
		c.backoff = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
		h.dial(c, s.addr)
		if len(waits) != 3 || strings.Contains(said, penaltyText) != (waits[2] >= penaltyWait) || waits[1] >= penaltyWait {
			t.Errorf("%q: waits %v", said, waits)
		}
	}
}

func TestThrottledForGood(t *testing.T) {
	h := newHome(t)
	s := (&server{onConn: func(c net.Conn) bool { io.WriteString(c, "Exceeded MaxStartups\r\n"); return false }}).start(t)
	e := dialError(t, h.client(Options{}), s.addr, StageHandshake)
	var th *ThrottleError
	if !errors.As(e, &th) || th.Tries != maxThrottleTries || s.dialled() != maxThrottleTries || !strings.Contains(e.Error(), `said "Exceeded MaxStartups" (tried 6 times)`) {
		t.Errorf("got %v after %d connections", e, s.dialled())
	}
	c := h.client(Options{})
	c.backoff = func(context.Context, time.Duration) error { return context.Canceled }
	if e := dialError(t, c, s.addr, StageHandshake); !errors.As(e, &th) || th.Tries != 1 {
		t.Errorf("given up: %v", e)
	}
}

func TestNoSSHServer(t *testing.T) {
	h := newHome(t)
	s := (&server{onConn: func(c net.Conn) bool {
		io.WriteString(c, "HTTP/1.0 \x1b[31m400 Bad Request\r\n")
		return false
	}}).start(t)
	e := dialError(t, h.client(Options{}), s.addr, StageHandshake)
	if s.dialled() != 1 || !strings.Contains(e.Error(), `it said "HTTP/1.0 \x1b[31m400 Bad Request"`) {
		t.Errorf("%d connections: %v", s.dialled(), e)
	}
}

func TestHostileBannerIsInert(t *testing.T) {
	h := newHome(t)
	s := (&server{banner: "welcome\x1b]0;owned\x07\n" + strings.Repeat("x", 5000)}).start(t)
	h.knows(s)
	var said string
	c := h.client(Options{Logf: func(format string, args ...any) {
		for _, a := range args {
			said += a.(string)
		}
	}})
	h.dial(c, s.addr)
	if strings.ContainsAny(said, "\x1b\x07\n") || len(said) > 2*maxPeerText || !strings.Contains(said, "welcome") {
		t.Errorf("got %q", said)
	}
}

func TestHandshakesAreLimited(t *testing.T) {
	h := newHome(t)
	var mu sync.Mutex
	now, most := 0, 0
	full := make(chan struct{})
	s := &server{}
	s.accepts = func(string, ssh.PublicKey) bool {
		mu.Lock()
		now++
		most = max(most, now)
		if now == MaxHandshakes {
			close(full)
		}
		mu.Unlock()
		<-full // all that may come are here
		return true
	}
	s.start(t)
	h.knows(s)
	c := h.client(Options{})
	var wg sync.WaitGroup
	for range MaxHandshakes {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), s.addr)
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
	}
	await(t, "the handshakes that may run at once", full)
	wg.Wait()
	if most != MaxHandshakes {
		t.Errorf("%d at once", most)
	}
	if len(c.pace.slots) != 0 {
		t.Errorf("%d addresses are still kept", len(c.pace.slots))
	}
}

func TestPacer(t *testing.T) {
	p := newPacer()
	var releases []func()
	for range MaxHandshakes {
		r, err := p.acquire(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		releases = append(releases, r)
	}
	other, err := p.acquire(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.acquire(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	got := make(chan func(), 1)
	go func() { r, _ := p.acquire(t.Context(), "a"); got <- r }()
	releases[0]()
	await(t, "a turn", got)()
	for _, r := range releases[1:] {
		r()
	}
	if len(p.slots) != 0 {
		t.Errorf("%d addresses are still kept", len(p.slots))
	}
}

func TestBackoffEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOptionsGoBeforeTheConfiguration(t *testing.T) {
	if got := firstPositive(0, 3*time.Second, time.Second); got != 3*time.Second {
		t.Errorf("got %v", got)
	}
	if got := firstPositive(0, 0); got != 0 {
		t.Errorf("got %v", got)
	}
}

func TestDialAfterClose(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	newAgent(t, h, "id")
	h.knows(s)
	h.config("Host behind\n ProxyJump " + s.addr + "\n")
	c := h.client(Options{})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Dial(t.Context(), "behind"); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	conn, err := c.Dial(t.Context(), s.addr) // by the key file: the agent is closed
	if err == nil {
		conn.Close()
	}
}
