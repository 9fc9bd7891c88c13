package sshx

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A dial through a jump host tells its steps, each hop's under its own ID, and a Client that
// may only read accepts a new key without writing it.
func TestTrace(t *testing.T) {
	h := newHome(t)
	jump, node := new(server).start(t), new(server).start(t)
	h.knows(jump)
	h.config(fmt.Sprintf("Host jump\n\tHostName 127.0.0.1\n\tPort %s\nHost node\n\tHostName 127.0.0.1\n\tPort %s\n\tProxyJump jump\n"+
		"\tStrictHostKeyChecking accept-new\n", jump.port(), node.port()))
	before := string(readFile(t, h.path("known_hosts")))

	var mu sync.Mutex
	steps := map[string][]Step{}
	c := h.client(Options{ReadOnly: true, Trace: func(s Step) {
		mu.Lock()
		defer mu.Unlock()
		steps[s.Hop] = append(steps[s.Hop], s)
	}})
	hops, err := c.Route(t.Context(), "node")
	if err != nil || len(hops) != 2 || hops[0].Name != "jump" || hops[0].Last || hops[1].Name != "node" || !hops[1].Last {
		t.Fatalf("%+v, %v", hops, err)
	}
	if jump.dialled() != 0 {
		t.Error("resolving has contacted the jump host")
	}
	h.dial(c, "node")
	for i, want := range [][]string{
		{"connect 127.0.0.1:" + jump.port(), "host key ssh-ed25519 SHA256:*known_hosts:1", "auth key *id as tester", "handshake SSH-2.0-*"},
		{"connect *a channel of the connection to jump", "host key *new: accepted by StrictHostKeyChecking accept-new", "auth key *id as tester", "handshake SSH-2.0-*"},
	} {
		var got []string
		for _, s := range steps[hops[i].ID] {
			got = append(got, s.Stage+" "+s.Detail)
		}
		if !slices.EqualFunc(got, want, func(got, want string) bool {
			head, tail, _ := strings.Cut(want, "*")
			return strings.HasPrefix(got, head) && strings.Contains(got[len(head):], tail)
		}) {
			t.Errorf("%s: %q", hops[i].Name, got)
		}
	}
	if got := string(readFile(t, h.path("known_hosts"))); got != before {
		t.Errorf("known_hosts was written: %q", got)
	}
	if _, err := c.Route(t.Context(), "-x"); err == nil {
		t.Error("a host that is an option has a route")
	}
	if _, err := os.Stat(h.path("known_hosts.old")); err == nil {
		t.Error("a file was left behind")
	}
}
