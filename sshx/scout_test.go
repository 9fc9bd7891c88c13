package sshx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/user"
	"regexp"
	"slices"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// refusals are the keys that an sshd has refused, in the order of its log at LogLevel VERBOSE.
func (s *sshd) refusals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, m := range regexp.MustCompile(`Failed publickey for \S+ from .* (SHA256:\S+)`).FindAllStringSubmatch(s.said.String(), -1) {
		out = append(out, m[1])
	}
	return out
}

func TestRealAgentWithEightKeysOfWhichTheLastIsRight(t *testing.T) {
	s, second := startSSHD(t, "LogLevel VERBOSE\n"), startSSHD(t, "LogLevel VERBOSE\n")
	h := realHome(t, "", s, second)
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, h.path("config"), fmt.Sprintf("User %s\nIdentityFile none\nUserKnownHostsFile %s\nGlobalKnownHostsFile none\n", u.Username, h.path("known_hosts")))
	t.Setenv("SSH_AUTH_SOCK", realAgent(t))
	var right ssh.Signer
	var wrong []string
	for i := range 8 {
		name := h.path(fmt.Sprint("k", i))
		right = writeKey(t, name, "")
		wrong = append(wrong, ssh.FingerprintSHA256(right.PublicKey()))
		addKey(t, name)
	}
	wrong = wrong[:7]
	s.authorize(t, keyText(right.PublicKey()))
	second.authorize(t, keyText(right.PublicKey()))
	c := h.client(Options{})
	if out, _, err := output(t.Context(), h.dial(c, s.addr), "echo in", ""); err != nil || out != "in\n" {
		t.Errorf("%q, %v", out, err)
	}
	if got := s.refusals(); !slices.Equal(got, wrong) {
		t.Errorf("the first host refused %v, not %v", got, wrong)
	}
	h.dial(c, second.addr)
	if got := second.refusals(); len(got) > 0 {
		t.Errorf("the second host refused %v", got)
	}
}

func TestOneHostFindsOutWhichKeyIsTaken(t *testing.T) {
	for _, known := range []bool{true, false} {
		h := newHome(t)
		names := []string{"k1", "k2", "k3"}
		var right ssh.Signer
		for _, n := range names {
			right = writeKey(t, h.path(n), "")
		}
		h.config("Host *\n IdentitiesOnly yes\n" + identities(h, names...))
		hold, asked := make(chan struct{}), make(chan struct{}, 1)
		accepts := func(_ string, key ssh.PublicKey) bool {
			select {
			case asked <- struct{}{}:
			default:
			}
			<-hold
			return known && bytes.Equal(key.Marshal(), right.PublicKey().Marshal())
		}
		var all []*server
		for range 4 {
			s := (&server{accepts: accepts}).start(t)
			h.knows(s)
			all = append(all, s)
		}
		c := h.client(Options{})
		waiting := make(chan struct{}, len(all))
		c.scouting = func() { waiting <- struct{}{} }
		var wg sync.WaitGroup
		for _, s := range all {
			wg.Go(func() {
				conn, err := c.Dial(t.Context(), s.addr)
				if (err == nil) != known {
					t.Errorf("known %t: %v", known, err)
				}
				if err == nil {
					conn.Close()
				}
			})
		}
		await(t, "the scout", asked)
		for range len(all) - 1 {
			await(t, "a host that waits", waiting)
		}
		before := 0
		for _, s := range all {
			before += len(s.offered())
		}
		close(hold)
		wg.Wait()
		after := 0
		for _, s := range all {
			after += len(s.offered())
		}
		want := 3 + 3 // the scout's tries, one each of the others
		if !known {
			want = 4 * 4 // three files and the home's own key, each at each host
		}
		if before != 1 || after != want {
			t.Errorf("known %t: %d keys offered while the scout waited, %d in all, want 1 and %d", known, before, after, want)
		}
	}
}

func TestWaitingForTheScoutEndsWithTheDial(t *testing.T) {
	h := newHome(t)
	writeKey(t, h.path("k1"), "")
	h.config(identities(h, "k1"))
	s := (&server{}).start(t)
	h.knows(s)
	c := h.client(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	c.scouting = cancel
	_, leave := c.winners.enter(groupOf(resolved(t, c, s.addr)))
	defer leave()
	if _, err := c.Dial(ctx, s.addr); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if n := len(s.offered()); n > 0 {
		t.Errorf("%d keys were offered", n)
	}
}

// resolved gives the settings of a host.
func resolved(t testing.TB, c *Client, host string) *settings {
	t.Helper()
	r, err := c.plan(t.Context(), host, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.s
}

func TestAConnectionLostWhileWaitingIsMadeAgain(t *testing.T) {
	h := newHome(t)
	locked := writeKey(t, h.path("locked"), "secret")
	h.config("Host *\n IdentitiesOnly yes\n" + identities(h, "locked"))
	s := (&server{accepts: only(locked.PublicKey())}).start(t)
	h.knows(s)
	c := h.client(Options{Interactive: true, AskPassphrase: func(context.Context, string) ([]byte, error) {
		s.drop() // as sshd does after its LoginGraceTime
		return []byte("secret"), nil
	}})
	h.dial(c, s.addr)
	if s.dialled() != 2 {
		t.Errorf("dialled %d times", s.dialled())
	}
}
