package push_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"troops/nodeside/sandbox"
	"troops/push"
	"troops/push/gitwire"
)

// waveLog records, in order, waves and the nodes that were dialled.
type waveLog struct {
	push.Sink
	mu  sync.Mutex
	log []string
}

func (w *waveLog) note(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, s)
}

// Emit implements push.Sink.
func (w *waveLog) Emit(e push.Event) {
	switch e := e.(type) {
	case push.Wave:
		w.note(fmt.Sprintf("wave %d/%d %s", e.Number, e.Of, strings.Join(e.Nodes, " ")))
	case push.Soaking:
		w.note(fmt.Sprintf("soak %v", e.For))
	}
	w.Sink.Emit(e)
}

func shares(t *testing.T, list string) []push.Share {
	t.Helper()
	s, err := push.ParseShares(list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func share(t *testing.T, s string) *push.Share {
	t.Helper()
	return &shares(t, s)[0]
}

// TestWaves has the dialler refuse some nodes; the others are real.
func TestWaves(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f"}
	f := newFleet(t, sandbox.Options{Names: names})
	zero, err := push.ParseShare("0")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		waves   string
		maxFail *push.Share
		dead    string
		want    string // d: deployed, u: unreachable, n: not started, h: held
		log     string
	}{
		{"canary", "2", nil, "", "ddhhhh", "wave 1/1 a b|soak 1ms"},
		{"canary fails", "2", nil, "b", "dunnnn", "wave 1/1 a b"},
		{"canary within its budget", "2", share(t, "1"), "b", "duhhhh", "wave 1/1 a b|soak 1ms"},
		{"waves", "1,50%,100%", nil, "", "dddddd", "wave 1/3 a|soak 1ms|wave 2/3 b c|soak 1ms|wave 3/3 d e f"},
		{"second wave fails", "1,50%,100%", nil, "c", "ddunnn", "wave 1/3 a|soak 1ms|wave 2/3 b c"},
		{"one failure a wave is one too many for the fleet", "2,4,100%", share(t, "1"), "bc", "duunnn", "wave 1/3 a b|soak 1ms|wave 2/3 c d"},
		{"budget of a share", "2,4,100%", share(t, "34%"), "bd", "dududd", "wave 1/3 a b|soak 1ms|wave 2/3 c d|soak 1ms|wave 3/3 e f"},
		{"no waves and no limit", "", nil, "af", "uddddu", ""},
		{"no waves and none may fail", "", &zero, "a", "unnnnn", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := f.rollout(f.commit("print('run')\n"))
			log := &waveLog{Sink: f.sink}
			r.Sink, r.MaxFail, r.Soak, r.Parallel = log, c.maxFail, time.Millisecond, 1
			if c.waves != "" {
				r.Waves = shares(t, c.waves)
			}
			dial := r.Dial
			var mu sync.Mutex
			dialled := map[string]bool{}
			r.Dial = func(ctx context.Context, host string) (push.Conn, error) {
				mu.Lock()
				dialled[host] = true
				mu.Unlock()
				if strings.Contains(c.dead, host) {
					return nil, errors.New("dead")
				}
				return dial(ctx, host)
			}
			results, err := r.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, res := range results {
				letter := map[push.Kind]string{push.KindDeployed: "d", push.KindUnreachable: "u", push.KindNotStarted: "n"}[res.Outcome.Kind()]
				if o, ok := res.Outcome.(push.NotStarted); ok {
					if o.Held {
						letter = "h"
					}
					if dialled[res.Target.Host] {
						t.Errorf("%s was dialled", res.Target.Host)
					}
				}
				got += letter
			}
			if !slices.Contains(strings.Split(c.want, "|"), got) {
				t.Errorf("outcomes %s, want %s", got, c.want)
			}
			if log := strings.Join(log.log, "|"); log != c.log {
				t.Errorf("log %s, want %s", log, c.log)
			}
			for host, out := range f.run(f.rollout(r.Commit)) { // promotes
				if k := out.Kind(); k != push.KindDeployed && k != push.KindCurrent {
					t.Errorf("a plain push leaves %s %v", host, out)
				}
			}
		})
	}
}

// An interrupt during the soak lets no further wave begin.
func TestSoakInterrupted(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b"}})
	r := f.rollout(f.commit("print('run')\n"))
	starting, stop := context.WithCancel(t.Context())
	defer stop()
	r.Waves, r.Soak, r.Starting = shares(t, "1,100%"), time.Hour, starting
	r.Sink = onSoak{f.sink, stop}
	results, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	last, ok := results[1].Outcome.(push.NotStarted)
	if results[0].Outcome.Kind() != push.KindDeployed || !ok || last.Held || last.Why != "interrupted" {
		t.Errorf("outcomes %v, %v", results[0].Outcome, results[1].Outcome)
	}
}

// onSoak calls a function when the rollout begins to soak.
type onSoak struct {
	push.Sink
	do func()
}

// Emit implements push.Sink.
func (s onSoak) Emit(e push.Event) {
	if _, ok := e.(push.Soaking); ok {
		s.do()
	}
	s.Sink.Emit(e)
}

// A node of a wave that turns bad while it soaks ends the rollout; what is well is promoted.
func TestCheckAfterSoak(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b", "c"}})
	sick := filepath.Join(t.TempDir(), "sick")
	commit := f.commit(fmt.Sprintf(`
import os, troops
print('deploy.py')
@troops.deployable()
def deploy():
    print('deployed')
@troops.check
def check():
    print('checked')
    assert not os.path.exists(%q), 'sick'
`, sick))
	r := f.rollout(commit)
	r.Waves = shares(t, "1,2,100%")
	r.Soak = time.Millisecond
	soaks := 0
	r.Sink = onSoak{f.sink, func() {
		if soaks++; soaks == 2 {
			if err := os.WriteFile(sick, nil, 0o600); err != nil {
				t.Error(err)
			}
		}
	}}
	out := f.run(r)
	if fail, ok := out["b"].(push.Failed); !ok || fail.Phase != push.PhaseCheck || fail.ExitCode != 1 {
		t.Errorf("b: %v", out["b"])
	}
	if out["a"].Kind() != push.KindDeployed || out["c"].Kind() != push.KindNotStarted {
		t.Errorf("a: %v, c: %v", out["a"], out["c"])
	}
	for _, node := range []string{"a", "b"} {
		text := f.sink.text(node)
		if strings.Count(text, "deployed\n") != 1 || strings.Count(text, "checked\n") != 1 {
			t.Errorf("%s printed %q", node, text)
		}
	}
	if text := f.sink.text("b"); !strings.Contains(text, "AssertionError: sick") {
		t.Errorf("b printed %q", text)
	}
	// What is deployed stays: the checks moved nothing.
	for i, want := range []gitwire.OID{commit, commit, ""} {
		if at := f.at(f.Nodes[i]); at != want {
			t.Errorf("%s is at %q", f.Nodes[i].Name, at)
		}
	}
	if err := os.Remove(sick); err != nil {
		t.Fatal(err)
	}
	r.Sink = f.sink
	for host, o := range f.run(r) {
		if k := o.Kind(); k != push.KindDeployed && k != push.KindCurrent {
			t.Errorf("%s: %v", host, o)
		}
	}
}

// Nodes without checks, and one whose deployment was overtaken meanwhile.
func TestCheckUpWithoutChecks(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b"}})
	r := f.rollout(f.commit("print('deploy.py')\n"))
	r.Waves = shares(t, "1,100%")
	f.wantKinds(f.run(r), push.KindDeployed)
	if text := f.sink.text("a"); !strings.Contains(text, "deploy.py has no @troops.check") || strings.Count(text, "deploy.py\n") != 1 {
		t.Errorf("a printed %q", text)
	}
	older, newer := f.commit("print(1)\n"), f.commit("print(2)\n")
	r = f.rollout(older)
	r.Waves, r.Soak = shares(t, "1,100%"), time.Millisecond
	r.Sink = onSoak{f.sink, func() {
		other := f.rollout(newer)
		other.Targets, other.Sink = other.Targets[:1], newRecorder()
		if out := f.run(other)["a"]; out.Kind() != push.KindDeployed {
			t.Errorf("the other push: %v", out)
		}
	}}
	out := f.run(r)
	if out["a"].Kind() != push.KindSuperseded || out["b"].Kind() != push.KindNotStarted {
		t.Errorf("a: %v, b: %v", out["a"], out["b"])
	}
}
