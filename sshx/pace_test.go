package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
)

func TestDialRate(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	h.knows(s)
	c := h.client(Options{})
	if c.pace.rate.Limit() != MaxDialRate || c.pace.rate.Burst() != MaxDialBurst {
		t.Errorf("%v a second, burst %d", c.pace.rate.Limit(), c.pace.rate.Burst())
	}
	c.pace.rate = rate.NewLimiter(rate.Every(time.Hour), 1) // one, and then none
	h.dial(c, s.addr)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Dial(ctx, s.addr); !errors.Is(err, context.DeadlineExceeded) || s.dialled() != 1 {
		t.Errorf("%d connections, %v", s.dialled(), err)
	}
	if len(c.pace.slots) != 0 {
		t.Errorf("%d addresses are still kept", len(c.pace.slots))
	}
}

// TestDialSteps: a burst of connections begins at once; who has to wait then begins with
// others, never before its turn and less than a step after.
func TestDialSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, begins := newPacer(), make(map[time.Duration]int)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range MaxDialBurst + 2*MaxDialRate {
			wg.Go(func() {
				release, err := p.acquire(t.Context(), fmt.Sprint(i))
				if err != nil {
					t.Error(err)
					return
				}
				defer release()
				mu.Lock()
				defer mu.Unlock()
				begins[time.Since(p.began)]++
			})
		}
		wg.Wait()
		want := map[time.Duration]int{0: MaxDialBurst}
		for at := DialStep; at <= 2*time.Second; at += DialStep {
			want[at] = MaxDialRate * int(DialStep) / int(time.Second)
		}
		if !maps.Equal(begins, want) {
			t.Errorf("they begin at %v, want %v", begins, want)
		}
	})
	p := newPacer()
	for d := time.Duration(0); d < 3*time.Second; d += 7 * time.Millisecond {
		if wait := p.untilStep(d); wait < d || wait >= d+DialStep || d == 0 && wait != 0 {
			t.Fatalf("%v: waits %v", d, wait)
		}
	}
}

func TestThrottleWait(t *testing.T) {
	for range 1000 {
		for try, most := range []time.Duration{firstBackoff * 11 / 10, firstBackoff * 22 / 10, firstBackoff * 44 / 10, firstBackoff * 88 / 10} {
			if d := throttleWait(try+1, penaltyRepeats-1); d <= 0 || d > most {
				t.Fatalf("after try %d: %v", try+1, d)
			}
		}
		if d := throttleWait(30, 0); d > 2*maxBackoff {
			t.Fatalf("after many tries: %v", d)
		}
		if d := throttleWait(3, penaltyRepeats); d < penaltyWait {
			t.Fatalf("penalised: %v", d)
		}
	}
}

// TestEverySignOfThrottling meets each of them directly, behind a jump host, and by a
// ProxyCommand: tried again, named in the end.
func TestEverySignOfThrottling(t *testing.T) {
	reset := func(c net.Conn) {
		io.CopyN(io.Discard, c, 1)
		c.(*net.TCPConn).SetLinger(0)
	}
	for _, sign := range []struct {
		name, said string
		before     func(net.Conn)
	}{{"startups", startupsText, nil}, {"penalty", penaltyText, nil}, {"close", "", nil}, {"reset", "", reset}} {
		for _, way := range []string{"direct", "jump", "proxy"} {
			t.Run(sign.name+" "+way, func(t *testing.T) {
				h, jump := newHome(t), (&server{}).start(t)
				h.knows(jump)
				t.Setenv("SHELL", "/bin/sh")
				s := (&server{onConn: func(c net.Conn) bool {
					if sign.before != nil {
						sign.before(c)
					}
					if sign.said != "" {
						io.WriteString(c, sign.said+"\r\n")
						io.CopyN(io.Discard, c, int64(len(clientVersion))) // so that no reset takes it away
					}
					return false
				}}).start(t)
				h.config(map[string]string{
					"direct": "", "jump": "Host node\n ProxyJump " + jump.addr + "\n", "proxy": "Host node\n ProxyCommand " + h.relay() + " %h %p\n",
				}[way] + fmt.Sprintf("Host node\n HostName 127.0.0.1\n Port %s\n", s.port()))
				c := h.client(Options{})
				var waits []time.Duration
				c.backoff = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
				e := dialError(t, c, "node", StageHandshake)
				var th *ThrottleError
				if !errors.As(e, &th) || s.dialled() != maxThrottleTries || !strings.Contains(e.Error(), "(tried 6 times)") || !strings.Contains(e.Error(), sign.said) {
					t.Errorf("%d connections, %v", s.dialled(), e)
				}
				if long := waits[len(waits)-1] >= penaltyWait; long != (sign.said == penaltyText) {
					t.Errorf("waits %v", waits)
				}
				if n := jump.dialled(); way == "jump" && n != 1 {
					t.Errorf("%d connections to the jump host", n)
				}
			})
		}
	}
}

func TestCommonProxy(t *testing.T) {
	for template, want := range map[string]string{
		"ssh -W %h:%p bastion": "ssh -W %h:%p bastion", "ssh -W [%h]:%p bastion": "ssh -W [%h]:%p bastion", "ssh bastion nc %h %p": "ssh bastion nc %h %p", "nc -x 100%% %h %p": "nc -x 100%% %h %p",
		"ssh bastion nc '%h' '%p'": "ssh bastion nc '%h' '%p'", `connect "%h" "%p"`: `connect "%h" "%p"`, "ssh -W %h:%p %r@bastion": "ssh -W %h:%p u@bastion", "ssh -W %h:%p %%r@bastion": "ssh -W %h:%p %%r@bastion",
		"ssh -W %h:%p gw-%h": "", "connect --host %h": "", "connect %n": "", "ssh -W %h:%p -o HostKeyAlias=%k gw": "",
	} {
		if got := commonProxy(template, "u"); got != want {
			t.Errorf("%s: %q", template, got)
		}
	}
	if commonProxy("ssh -W %h:%p %r@b", "u") == commonProxy("ssh -W %h:%p %r@b", "v") {
		t.Error("two users are one")
	}
}

// TestWordsOfProxyCommands tells what became of the connection by what commands say.
func TestWordsOfProxyCommands(t *testing.T) {
	for _, tt := range []struct {
		said, ended                   string
		throttled, refused, forbidden bool
	}{
		{"kex_exchange_identification: Connection closed by remote host\nConnection closed by 10.0.0.1 port 22", "exit status 255", true, false, false},
		{"kex_exchange_identification: read: Connection reset by peer\nConnection reset by 10.0.0.1 port 22", "exit status 255", true, false, false},
		{"Connection closed by UNKNOWN port 65535", "exit status 255", true, false, false},
		{startupsText, "exit status 1", true, false, false},
		{"", exitedWell, true, false, false},
		{"", "exit status 1", false, false, false},
		{"Connection closed by 10.0.0.1 port 22", "", false, false, false},
		{"u@bastion: Permission denied (publickey).\nConnection closed by UNKNOWN port 65535", "exit status 255", false, true, false},
		{"Host key verification failed.", "exit status 255", false, true, false},
		{"channel 0: open failed: administratively prohibited: open failed\nstdio forwarding failed", "exit status 255", false, false, true},
		{"ssh: connect to host bastion port 22: Connection refused", "exit status 255", false, false, false},
		{"sh: permission denied", "exit status 126", false, false, false},
	} {
		e := &ProxyError{Said: tt.said, Ended: tt.ended, Err: io.EOF}
		if e.throttled() != tt.throttled || e.refused() != tt.refused || e.forbidden() != tt.forbidden {
			t.Errorf("%q, %s: throttled %v, refused %v, forbidden %v", tt.said, tt.ended, e.throttled(), e.refused(), e.forbidden())
		}
	}
}

// TestTheScoutGoesFirst lets others go once it is back, and keeps them where it was refused.
func TestTheScoutGoesFirst(t *testing.T) {
	refused := error(&DialError{Err: &ProxyError{Said: "Permission denied (publickey)", Err: io.EOF}})
	byProgram := error(&DialError{Err: &ProgramError{jump: true, Err: &AuthError{}}})
	for _, outcome := range []error{nil, io.EOF, &DialError{Err: &ProgramError{Err: &AuthError{}}}, refused, byProgram} {
		s := newScouts()
		first, err := s.enter(t.Context(), "ssh -W %h:%p b")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.enter(ctx, "ssh -W %h:%p b"); !errors.Is(err, context.Canceled) {
			t.Errorf("the second did not wait: %v", err)
		}
		if _, err := s.enter(ctx, "ssh -W %h:%p other"); err != nil {
			t.Errorf("another jump host: %v", err)
		}
		first(outcome)
		report, err := s.enter(t.Context(), "ssh -W %h:%p b")
		if (err != nil) != (outcome == refused || outcome == byProgram) {
			t.Errorf("after %v: %v", outcome, err)
		}
		if report == nil {
			continue
		}
		report(refused) // a later refusal counts, too
		if _, err := s.enter(t.Context(), "ssh -W %h:%p b"); err == nil {
			t.Error("a refusal was forgotten")
		}
	}
}

// TestAScoutThatIsLateKeepsNobody lets the others go before it is back.
func TestAScoutThatIsLateKeepsNobody(t *testing.T) {
	s := newScouts()
	if s.patience != scoutPatience {
		t.Errorf("patience %v", s.patience)
	}
	s.patience = 0
	first, err := s.enter(t.Context(), "way")
	if err != nil {
		t.Fatal(err)
	}
	report, err := s.enter(t.Context(), "way")
	if err != nil {
		t.Fatal(err)
	}
	report(nil)
	first(&DialError{Err: &ProxyError{Said: "Permission denied (publickey)", Err: io.EOF}})
	if _, err := s.enter(t.Context(), "way"); err == nil {
		t.Error("its refusal was forgotten")
	}
}
