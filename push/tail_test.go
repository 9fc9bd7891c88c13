package push_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"troops/nodeside/sandbox"
	"troops/nodeside/wire"
	"troops/push"
	"troops/push/gitwire"
)

// tail shows what there is, or what o says, and returns the results by node.
func (f *fleet) tail(r *push.Rollout, o push.TailOptions) map[string]push.TailResult {
	f.t.Helper()
	results, err := r.Tail(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	out := make(map[string]push.TailResult)
	for _, res := range results {
		out[res.Target.Host] = res
	}
	return out
}

// impostor puts a script in the place of a node's launcher. What it does not do is left to the
// real one.
func impostor(t *testing.T, n *sandbox.Node, script string) {
	t.Helper()
	path := filepath.Join(n.Repo, wire.Launcher)
	real, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".real", real, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"exec \"$0.real\" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestTailGoesOn loses a node in the middle of a run and finds it again: no line is lost or
// shown twice, and the run after that is shown, too.
func TestTailGoesOn(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	gate := newGate(t)
	oid := f.commit("print('begun')\n" + gate.python() + "print('ended')\n")
	ctx, leave := context.WithCancelCause(t.Context())
	left := make(chan error, 1)
	tail := f.rollout(oid)
	go func() {
		_, err := tail.Tail(ctx, push.TailOptions{})
		left <- err
	}()
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		r := f.rollout(oid)
		r.Sink = nil
		r.Run(t.Context())
	}()
	f.sink.await(t, "a", "begun\n")
	f.Nodes[0].Drop()
	f.sink.await(t, "a", "lost contact")
	gate.open(t)
	f.sink.await(t, "a", "ended\n")
	<-pushed
	f.sink.awaitRuns("a", 1)
	f.sinkless(f.commit("print('another')\n"))
	f.sink.awaitRuns("a", 2)
	leave(context.Canceled)
	if err := <-left; err != context.Canceled {
		t.Errorf("left with %v", err)
	}
	text := f.sink.text("a")
	for _, want := range []string{"begun\n", "ended\n", "another\n", "* lost contact", "* found again\n"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is there %d times in\n%s", want, strings.Count(text, want), text)
		}
	}
	for i, e := range f.sink.runs["a"] {
		if e.Outcome.Kind() != push.KindDeployed || e.Run.By != "test@here" || i == 0 && e.Run.Commit != string(oid) {
			t.Errorf("run %d ended as %+v", i, e)
		}
	}
}

// sinkless pushes without showing it.
func (f *fleet) sinkless(commit gitwire.OID) {
	f.t.Helper()
	r := f.rollout(commit)
	r.Sink = nil
	f.run(r)
}

// TestTailWaitsForNode begins with a node that is not there, and hears of it when it is.
func TestTailWaitsForNode(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	oid := f.commit("print('hello')\n")
	f.push(oid)
	r := f.rollout(oid)
	dial, down := r.Dial, make(chan struct{})
	r.Dial = func(ctx context.Context, host string) (push.Conn, error) {
		select {
		case <-down:
			return dial(ctx, host)
		default:
			return nil, fmt.Errorf("no route to %s", host)
		}
	}
	if res := f.tail(r, push.TailOptions{NoFollow: true})["a"]; res.Err == nil || !strings.Contains(res.Err.Error(), "no route to a") {
		t.Errorf("without following: %v", res.Err)
	}
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	sink := newRecorder()
	r.Sink = sink
	go func() { defer close(left); r.Tail(ctx, push.TailOptions{Runs: -1}) }()
	sink.await(t, "a", "not there yet (no route to a)")
	close(down)
	sink.await(t, "a", "* found\n")
	sink.awaitRuns("a", 1)
	leave()
	<-left
}

// TestTailNeedsTail tells what is to be upgraded, or is no node at all, at once and precisely.
func TestTailNeedsTail(t *testing.T) {
	for name, tt := range map[string]struct {
		script string
		bare   bool
		want   string
	}{
		"older":     {"case $1 in tail) echo 'troops: node takes no tail' >&2; exit 2;; esac\n", false, "has no tail yet: upgrade it: install this troops there and run troops node init --dir ."},
		"oldest":    {"case $1 in tail|status) echo 'troops: no such command' >&2; exit 2;; esac\n", false, `no such command"): upgrade it: install`},
		"no troops": {"", true, "without troops, which keeps no runs: make it a node with troops bootstrap a"},
		"forbidden": {"case $1 in tail) echo troops-attach 1; echo 'troops: no permission' >&2; exit 1;; esac\n", false, "cannot be followed: troops: no permission"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, sandbox.Options{Names: []string{"a"}, Bare: tt.bare})
			oid := f.commit("print(1)\n")
			if !tt.bare {
				f.sinkless(oid)
				impostor(t, f.Nodes[0], tt.script)
			}
			// It is not waited for: it would not change by itself.
			if res := f.tail(f.rollout(oid), push.TailOptions{})["a"]; res.Err == nil || !strings.Contains(res.Err.Error(), tt.want) {
				t.Errorf("error %v", res.Err)
			}
			if text := f.sink.text("a"); !strings.Contains(text, tt.want) {
				t.Errorf("said %q", text)
			}
		})
	}
}

// TestTailGivesUpBounded looks for a node that is lost while one run is followed no longer than asked.
func TestTailGivesUpBounded(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	gate := newGate(t)
	r := f.rollout(f.commit("print('begun')\n" + gate.python()))
	r.NoWait = true
	results, err := r.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer gate.open(t)
	run := results[0].Outcome.(push.Started).Run
	dial := r.Dial
	r.Dial = func(ctx context.Context, host string) (push.Conn, error) {
		if strings.Contains(f.sink.text("a"), "lost contact") {
			return nil, fmt.Errorf("no route to %s", host)
		}
		return dial(ctx, host)
	}
	r.Reconnect = time.Millisecond
	f.sink = newRecorder()
	r.Sink = f.sink
	go func() {
		f.sink.await(t, "a", "begun\n")
		f.Nodes[0].Drop()
	}()
	if res := f.tail(r, push.TailOptions{Run: run})["a"]; res.Err == nil || res.Run == nil || res.Run.Run != run {
		t.Errorf("ended with %+v", res)
	}
	if _, err := r.Tail(t.Context(), push.TailOptions{Run: "$(reboot)"}); err == nil {
		t.Error("took what is no run's name")
	}
}
