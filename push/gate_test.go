package push_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"troops/nodeside/sandbox"
	"troops/push"
	"troops/push/gitwire"
)

// bulky is a size of the repository of the tests below, in bytes that do not compress.
const bulky = 200_000

// large has a commit that is bulky and one that adds little, the latter pushed to the named nodes.
func (f *fleet) large(to ...string) gitwire.OID {
	f.t.Helper()
	big := make([]byte, bulky)
	rand.Read(big) // never fails
	if err := os.WriteFile(filepath.Join(f.repo.Dir, "big"), big, 0o644); err != nil {
		f.t.Fatal(err)
	}
	f.git("add", "big")
	f.pushTo(f.commit("one"), to)
	return f.commit("two")
}

// pushTo pushes a commit to some of the nodes.
func (f *fleet) pushTo(commit gitwire.OID, to []string) {
	f.t.Helper()
	if len(to) == 0 {
		return
	}
	r := f.rollout(commit)
	r.Targets = nil
	for _, name := range to {
		r.Targets = append(r.Targets, push.Target{Host: name, Name: name})
	}
	f.run(r)
}

// asked is how often and about what the user was asked.
type asked struct {
	mu     sync.Mutex
	loads  []push.Load
	answer error
}

func (a *asked) agree(_ context.Context, l push.Load) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.loads = append(a.loads, l)
	return a.answer
}

func TestLargePushIsAskedAbout(t *testing.T) {
	names := []string{"a", "b", "c"}
	no := errors.New("not today")
	for _, tt := range []struct {
		name     string
		has      []string // have the bulky commit already
		limit    int64
		parallel int
		dead     string // a node that cannot be reached
		answer   error
		nodes    int // that the question is about, 0: none is asked
		want     push.Kind
	}{
		{"below the limit", nil, 3*bulky + 100_000, 0, "", no, 0, push.KindDeployed},
		{"agreed", nil, 2 * bulky, 0, "", nil, 3, push.KindDeployed},
		{"not agreed", nil, 2 * bulky, 0, "", no, 3, push.KindNotStarted},
		{"one after the other", nil, 2 * bulky, 1, "", no, 3, push.KindNotStarted},
		{"one new node", []string{"a", "b"}, 2 * bulky, 0, "", no, 0, push.KindDeployed},
		{"one new node, one after the other", []string{"a", "b"}, 2 * bulky, 1, "", no, 0, push.KindDeployed},
		{"unreachable", nil, 2 * bulky, 0, "c", no, 2, push.KindNotStarted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t, sandbox.Options{Names: names, Bare: true})
			r := f.rollout(f.large(tt.has...))
			a := &asked{answer: tt.answer}
			r.Agree, r.LargePush, r.Parallel = a.agree, tt.limit, tt.parallel
			dial := r.Dial
			r.Dial = func(ctx context.Context, host string) (push.Conn, error) {
				if host == tt.dead {
					return nil, errors.New("no route")
				}
				return dial(ctx, host)
			}
			got := f.run(r)
			for _, name := range names {
				if want := tt.want; name != tt.dead && got[name].Kind() != want {
					t.Errorf("%s: %v, want %s", name, got[name], want)
				}
			}
			if tt.nodes == 0 && len(a.loads) == 0 {
				return
			}
			if len(a.loads) != 1 || a.loads[0].Nodes != tt.nodes || a.loads[0].Total != int64(tt.nodes)*a.loads[0].Pack || a.loads[0].Pack < bulky {
				t.Errorf("asked about %v, want once, %d nodes", a.loads, tt.nodes)
			}
			for _, n := range f.Nodes {
				if at := f.at(n); tt.answer != nil && at != "" {
					t.Errorf("%s was sent %s", n.Name, at)
				}
			}
		})
	}
}

// TestSurveyEnds: a node that does not connect holds the question up for a while only.
func TestSurveyEnds(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b"}, Bare: true})
	r := f.rollout(f.large())
	hanging := make(chan struct{})
	a := &asked{}
	r.LargePush = bulky
	r.Agree = func(ctx context.Context, l push.Load) error {
		close(hanging) // it connects only once the question was asked
		return a.agree(ctx, l)
	}
	r.Shorten(push.LimitSurvey, 50*time.Millisecond)
	dial := r.Dial
	r.Dial = func(ctx context.Context, host string) (push.Conn, error) {
		if host == "b" {
			<-hanging
		}
		return dial(ctx, host)
	}
	f.wantKinds(f.run(r), push.KindDeployed)
	if len(a.loads) != 1 || a.loads[0].Nodes != 2 {
		t.Errorf("asked about %v, want once about 2 nodes", a.loads)
	}
}

func TestLoadSaysWhatItComesTo(t *testing.T) {
	for want, l := range map[string]push.Load{
		"pack 84 MB x 200 nodes = 16.8 GB": {Pack: 84_000_000, Nodes: 200, Total: 16_800_000_000},
		"pack 999 B x 1 node = 999 B":      {Pack: 999, Nodes: 1, Total: 999},
		"pack 1.2 kB x 3 nodes = 3.7 kB":   {Pack: 1234, Nodes: 3, Total: 3702},
		"pack 123 MB x 9 nodes = 1.1 GB":   {Pack: 123_456_789, Nodes: 9, Total: 1_111_111_101},
	} {
		if got := l.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
