package nodeside

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"troops/nodeside/wire"
)

// cancel asks for a run's end as a workstation does.
func (n *testNode) cancel(id string) (wire.Result, error) {
	n.Helper()
	var out bytes.Buffer
	if err := Cancel(n.Context(), n.l, id, "boss@desk", &out); err != nil {
		return wire.Result{}, err
	}
	text, r := decode(n.TB, out.Bytes())
	if text != "" {
		n.Errorf("the answer to a cancel has output: %q", text)
	}
	return r, nil
}

// A run that works ends with all that it started, even where it calls that a success.
func TestCancelRunning(t *testing.T) {
	n := newTestNode(t)
	base := n.commit("deploy", "#!/bin/sh\n")
	n.mustPush("master")
	held, reached := n.fifo("held"), n.fifo("reached")
	id := n.pushRun(n.commit("deploy", "#!/bin/sh\ntrap 'exit 0' TERM\nsh -c 'echo started; sleep 1000' >"+held+" &\necho > "+reached+"\nwait\n"))
	ended := make(chan error, 1)
	go func() {
		_, err := os.ReadFile(held) // until nobody has it open for writing any more
		ended <- err
	}()
	n.reached(reached)
	r, err := n.cancel(id)
	n.check(err)
	if r.State != wire.Cancelled || r.Error != "cancelled by boss@desk" || r.Signal != "" || r.Phase != "deploy" || r.Ended.IsZero() {
		t.Errorf("%+v", r)
	}
	n.await("what the deployment started", func() error { return <-ended })
	if rec := n.awaitEnd(id); rec.State != wire.Cancelled || failure(rec) != "run "+id+" was cancelled by boss@desk" {
		t.Errorf("record %+v: %s", rec, failure(rec))
	}
	if tip := n.tip("refs/heads/master"); tip != base {
		t.Errorf("the branch is at %s", tip)
	}
	n.lockFree()
	if again, err := n.cancel(id); err != nil || again.State != wire.Cancelled {
		t.Errorf("again: %+v, %v", again, err)
	}
	next := n.commit("deploy", "#!/bin/sh\n")
	n.mustPush("master")
	if tip := n.tip("refs/heads/master"); tip != next {
		t.Errorf("the branch is at %s after the next push", tip)
	}
}

func TestCancelOthers(t *testing.T) {
	n := newTestNode(t)
	gate, reached := n.fifo("gate"), n.fifo("reached")
	working := n.pushRun(n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\n"))
	n.reached(reached)
	oid := n.commit("deploy", "#!/bin/sh\necho ran\n")
	waiting := n.pushRun(oid)
	joined := n.pushRun(oid)
	if _, err := n.cancel(joined); err == nil || !strings.Contains(err.Error(), "follows run "+waiting+": cancel that one") {
		t.Errorf("one that follows another: %v", err)
	}
	// While it waits: at once, and its process goes.
	if r, err := n.cancel(waiting); err != nil || r.State != wire.Cancelled || !strings.Contains(r.Error, "boss@desk") {
		t.Errorf("one that waits: %+v, %v", r, err)
	}
	if r := n.awaitEnd(waiting); r.State != wire.Cancelled {
		t.Errorf("its record: %+v", r)
	}
	if r, err := n.cancel(goodRun); err != nil || r.State != wire.Absent {
		t.Errorf("none: %+v, %v", r, err)
	}
	if _, err := n.cancel("../" + working); err == nil {
		t.Error("a path is taken for a run")
	}
	n.open(gate)
	if _, r := n.follow(working); r.State != wire.OK {
		t.Errorf("the one that works: %+v", r)
	}
	if r, err := n.cancel(working); err != nil || r.State != wire.OK {
		t.Errorf("one that has ended: %+v, %v", r, err)
	}
	if text, r := n.follow(n.pushRun(oid)); r.State != wire.OK || !strings.Contains(text, "ran\n") {
		t.Errorf("asked for again: %q, %+v", text, r)
	}
}
