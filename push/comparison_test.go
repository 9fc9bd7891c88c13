package push_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"troops/nodeside/sandbox"
	"troops/push"
)

func TestSaysWhatNodesGet(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b", "c", "d"}})
	dial := push.SSH(f.client)
	to := func(hosts ...string) *push.Rollout {
		r := f.rollout(f.commit("print(1)\n"))
		r.Targets = slices.DeleteFunc(r.Targets, func(t push.Target) bool { return !slices.Contains(hosts, t.Host) })
		r.Dial = func(ctx context.Context, host string) (push.Conn, error) {
			if host == "d" {
				return nil, errors.New("no route to host")
			}
			return dial(ctx, host)
		}
		return r
	}
	f.run(to("a"))
	f.run(to("b"))
	f.sink = newRecorder()
	f.run(to("a", "b", "c", "d"))
	if len(f.sink.compared) != 1 {
		t.Fatalf("%d comparisons", len(f.sink.compared))
	}
	e := f.sink.compared[0]
	var got []string
	for _, p := range e.Plans {
		text := p.Target.Host
		if p.Outcome != nil {
			text += " " + string(p.Outcome.Kind())
		} else if p.At == "" {
			text += " first"
		} else {
			text += strings.Repeat("+", p.Relation.Missing)
		}
		got = append(got, text)
	}
	if want := []string{"a++", "b+", "c first", "d unreachable"}; !slices.Equal(got, want) || e.Pending != 0 {
		t.Errorf("plans %q, %d pending", got, e.Pending)
	}
	if len(e.Commits) != 2 || !strings.HasSuffix(e.Commits[0], " change") {
		t.Errorf("commits %q", e.Commits)
	}
}

// A node that is down holds up neither the others nor what is said of them.
func TestSaysWhatNodesGetBesideOneThatHangs(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b"}})
	r := f.rollout(f.commit("print(1)\n"))
	dial := r.Dial
	r.Dial = func(ctx context.Context, host string) (push.Conn, error) {
		if host == "b" {
			f.sink.awaitCompared()
			return nil, errors.New("no route to host")
		}
		return dial(ctx, host)
	}
	r.Shorten(push.LimitCompare, time.Nanosecond)
	out := f.run(r)
	if out["a"].Kind() != push.KindDeployed || out["b"].Kind() != push.KindUnreachable {
		t.Errorf("outcomes %v", out)
	}
	if e := f.sink.compared[0]; len(f.sink.compared) != 1 || e.Pending != 1 || len(e.Plans) != 1 || e.Plans[0].Target.Host != "a" {
		t.Errorf("compared %+v", f.sink.compared)
	}
}
