package nodeside

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

const decade = 10 * 365 * 24 * time.Hour

// pushAt asks for a run as a workstation does whose clock is off.
func (n *testNode) pushAt(commit string, off time.Duration) wire.Result {
	n.Helper()
	id, err := ulid.New(ulid.Timestamp(time.Now().Add(off)), rand.Reader)
	n.check(err)
	n.mustPush("-o", wire.OptionBranch+"refs/heads/master", commit+":"+wire.RunRefPrefix+id.String())
	_, r := n.follow(id.String())
	n.lockFree()
	return r
}

// wasAt makes the records as if the node's clock had been off until now.
func (n *testNode) wasAt(off time.Duration) {
	n.Helper()
	all, err := runlog.List(n.l.Runs())
	n.check(err)
	for dir, r := range all {
		for _, at := range []*time.Time{&r.Queued, &r.Started, &r.Ended} {
			if !at.IsZero() {
				*at = at.Add(off)
			}
		}
		n.check(dir.SetRecord(r))
	}
}

// sound fails the test for each of the invariants of faults that does not hold: the branch is at
// tip, nothing is damaged, no run lives or holds the lock, and every log is whole.
func (n *testNode) sound(tip string) {
	n.Helper()
	n.lockFree()
	if at := n.tip("refs/heads/master"); at != tip {
		n.Errorf("the branch is at %s, want %s", at, tip)
	}
	if out := n.git("--git-dir="+n.l.Repo(), "fsck", "--strict", "--no-dangling"); out != "" {
		n.Errorf("git fsck: %s", out)
	}
	all, err := runlog.List(n.l.Runs())
	n.check(err)
	for dir, r := range all {
		alive, err := os.Open(dir.Alive())
		n.check(err)
		if free, err := runlog.TryLock(alive); !free || err != nil || !r.State.Final() {
			n.Errorf("run %s (%s) lives: %v", r.Run, r.State, err)
		}
		alive.Close()
		log, err := os.ReadFile(dir.Log())
		n.check(err)
		if int64(len(log)) != r.LogBytes || r.LogError != "" {
			n.Errorf("the log of run %s (%s) has %d bytes, its record says %d, %q", r.Run, r.State, len(log), r.LogBytes, r.LogError)
		}
		frames := wire.NewReader(bytes.NewReader(log))
		for err == nil {
			_, err = frames.Next()
		}
		if !errors.Is(err, io.EOF) {
			n.Errorf("the log of run %s (%s) is torn: %v", r.Run, r.State, err)
		}
	}
}

// Clocks that were ten years off, on the node and on the workstation, decide nothing: what is
// deployed and what is refused follows from the commits alone.
func TestWrongClocks(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": decade, "back": -decade} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newTestNode(t)
			base := n.commit("deploy", "#!/bin/sh\n")
			if r := n.pushAt(base, off); r.State != wire.OK {
				t.Fatalf("base: %+v", r)
			}
			bad := n.commit("deploy", "#!/bin/sh\nexit 3\n")
			if r := n.pushAt(bad, off); r.State != wire.Failed || r.ExitCode != 3 {
				t.Fatalf("bad: %+v", r)
			}
			n.wasAt(off)
			n.sound(base)
			if due, why, err := n.l.due(bad, time.Now()); !due || err != nil {
				t.Errorf("a pull of the commit that failed would wait: %s, %v", why, err)
			}
			// The workstation's clock is now wrong the other way.
			good := n.commit("deploy", "#!/bin/sh\n")
			if r := n.pushAt(good, -off); r.State != wire.OK {
				t.Errorf("good: %+v", r)
			}
			if r := n.pushAt(base, off); r.State != wire.Superseded {
				t.Errorf("what was deployed before: %+v", r)
			}
			n.git("checkout", "-q", "-b", "side", base)
			sibling := n.pushAt(n.commit("x", "y"), off)
			if sibling.State != wire.Refused {
				t.Errorf("sibling: %+v", sibling)
			}
			n.sound(good)
			if s, err := Status(t.Context(), n.l); err != nil || s.Commit != good || s.By != "tester" || s.Active != nil || s.Last.Run != sibling.Run {
				t.Errorf("status %+v, last %+v, %v", s, s.Last, err)
			}
			if h, err := History(n.l); err != nil || h[0].Run != sibling.Run || h[len(h)-2].Commit == good || h[len(h)-1].Commit == good {
				t.Errorf("history %+v, %v", h, err)
			}
			all, err := runlog.List(n.l.Runs())
			n.check(err)
			if rank := ranks(all, "", time.Now()); rank[sibling.Run] != 0 {
				t.Errorf("the newest run is not the last one to go: %v", rank)
			}
			n.git("merge", "-q", "-s", "ours", "-m", "merge", good)
			if last := n.pushAt(n.git("rev-parse", "HEAD"), -off); last.State != wire.OK {
				t.Errorf("the next push: %+v", last)
			}
			n.sound(n.git("rev-parse", "HEAD"))
		})
	}
}
