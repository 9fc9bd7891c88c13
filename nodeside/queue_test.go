package nodeside

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"troops/nodeside/wire"
)

// pushRun asks for a run of commit as troops push does.
func (n *testNode) pushRun(commit string, options ...string) string {
	n.Helper()
	id := ulid.Make().String()
	args := []string{"-o", wire.OptionBranch + "refs/heads/master"}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	n.mustPush(append(args, commit+":"+wire.RunRefPrefix+id)...)
	return id
}

func TestSupersede(t *testing.T) {
	n := newTestNode(t)
	gate, reached := n.fifo("gate"), n.fifo("reached")
	a := n.pushRun(n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\n"))
	n.reached(reached)
	b := n.pushRun(n.commit("deploy", "#!/bin/sh\necho b\n"))
	oid := n.commit("deploy", "#!/bin/sh\necho c\n")
	c := n.pushRun(oid)
	// At once, while a still works; its process goes, too.
	if r := n.awaitEnd(b); r.State != wire.Superseded || r.Other != c {
		t.Errorf("b: %+v", r)
	}
	if text, r := n.follow(b); r.State != wire.Superseded || strings.Contains(text, "\nb\n") {
		t.Errorf("b: %q, %+v", text, r)
	}
	n.open(gate)
	if _, r := n.follow(a); r.State != wire.OK {
		t.Errorf("a: %+v", r)
	}
	if text, r := n.follow(c); r.State != wire.OK || !strings.Contains(text, "[t waiting for run "+a+" of ") || !strings.Contains(text, " by tester, since ") || !strings.HasSuffix(text, "c\n") {
		t.Errorf("c: %q, %+v", text, r)
	}
	if tip := n.tip("refs/heads/master"); tip != oid {
		t.Errorf("the branch is at %s", tip)
	}
}

func TestTurns(t *testing.T) {
	n := newTestNode(t)
	gate, reached := n.fifo("gate"), n.fifo("reached")
	base := n.commit("deploy", "#!/bin/sh\n")
	if _, r := n.follow(n.pushRun(base)); r.State != wire.OK {
		t.Fatalf("base: %+v", r)
	}
	tip := n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\n")
	working := n.pushRun(tip)
	n.reached(reached)
	older := n.pushRun(base)
	n.git("checkout", "-q", "-b", "side", base)
	side := n.pushRun(n.commit("x", "y"))
	n.open(gate)
	n.awaitEnd(working) // else the same commit again would follow it
	for _, test := range []struct {
		name, run string
		state     wire.State
	}{{"working", working, wire.OK}, {"older", older, wire.Superseded}, {"sibling", side, wire.Refused}, {"again", n.pushRun(tip), wire.Current}} {
		if _, r := n.follow(test.run); r.State != test.state || r.State == wire.Refused && !strings.Contains(r.Error, "which tester deployed: fetch that, merge it and push the result") {
			t.Errorf("%s: %+v", test.name, r)
		}
	}
	if got := n.tip("refs/heads/master"); got != tip {
		t.Errorf("the branch is at %s", got)
	}
}

func TestJoin(t *testing.T) {
	n := newTestNode(t)
	gate, reached := n.fifo("gate"), n.fifo("reached")
	oid := n.commit("deploy", "#!/bin/sh\necho once\necho > "+reached+"\nread go < "+gate+"\n")
	a := n.pushRun(oid)
	n.reached(reached)
	b := n.pushRun(oid)
	if r, err := n.l.run(b).Record(); err != nil || r.State != wire.Joined || r.Other != a {
		t.Fatalf("b: %+v, %v", r, err)
	}
	var out bytes.Buffer
	cmd := n.command("git", "push", n.l.Repo(), "master")
	cmd.Stdout, cmd.Stderr = &out, &out
	n.check(cmd.Start())
	pushed := make(chan error, 1)
	go func() { pushed <- cmd.Wait() }()
	n.open(gate)
	ta, ra := n.follow(a)
	tb, rb := n.follow(b)
	aside, tb, _ := strings.Cut(tb, "\n")
	if !strings.HasPrefix(aside, "[a following run "+a+" of "+short(oid)+" by tester, since ") {
		t.Errorf("the second one is told %q", aside)
	}
	if ta != tb || ra.Run != rb.Run || ra.State != wire.OK {
		t.Errorf("%q, %+v\n%q, %+v", ta, ra, tb, rb)
	}
	n.await("git push", func() error { return <-pushed })
	if !strings.Contains(out.String(), "remote: troops: following run "+a+" of ") && !strings.Contains(out.String(), "deployed already") && !strings.Contains(out.String(), "up-to-date") {
		t.Errorf("git push is not told whom it follows:\n%s", &out)
	}
	if n := strings.Count(out.String(), "remote: once"); n > 1 {
		t.Errorf("git push shows the deployment %d times:\n%s", n, &out)
	}
}

// However many ask at once for a commit: it is deployed once.
func TestManyAtOnce(t *testing.T) {
	n := newTestNode(t)
	count := filepath.Join(t.TempDir(), "count")
	oid := n.commit("deploy", "#!/bin/sh\necho x >> "+count+"\n")
	var ids []string
	var g errgroup.Group
	for range 6 {
		id := ulid.Make().String()
		ids = append(ids, id)
		g.Go(func() error {
			cmd := n.command("git", "push", "-o", wire.OptionBranch+"refs/heads/master", n.l.Repo(), oid+":"+wire.RunRefPrefix+id)
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	n.check(g.Wait())
	for _, id := range ids {
		if _, r := n.follow(id); r.State != wire.OK && r.State != wire.Current {
			t.Errorf("%+v", r)
		}
	}
	if b, err := os.ReadFile(count); err != nil || len(b) != 2 {
		t.Errorf("deployed %d times, %v", len(b)/2, err)
	}
}

func TestInterrupted(t *testing.T) {
	n := newTestNode(t)
	gate, reached := n.fifo("gate"), n.fifo("reached")
	oid := n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\n")
	id := n.pushRun(oid)
	n.reached(reached)
	r, err := n.l.run(id).Record()
	n.check(err)
	n.check(unix.Kill(r.Pid, unix.SIGKILL))
	text, r := n.follow(id)
	if r.State != wire.Interrupted || r.Phase != "deploy" || !strings.HasPrefix(text, "[p checkout]\n") {
		t.Errorf("%q, %+v", text, r)
	}
	n.open(gate) // what deploy left behind ends
	n.lockFree()
	if tip := n.tip("refs/heads/master"); tip != "" {
		t.Errorf("the branch is at %s", tip)
	}
	next := n.commit("deploy", "#!/bin/sh\n")
	n.mustPush("master")
	if tip := n.tip("refs/heads/master"); tip != next {
		t.Errorf("the branch is at %q", tip)
	}
	if r, err = n.l.run(id).Record(); err != nil || r.State != wire.Interrupted {
		t.Errorf("settled: %+v, %v", r, err)
	}
}

func TestSignals(t *testing.T) {
	n := newTestNode(t)
	gate, reached := n.fifo("gate"), n.fifo("reached")
	n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\n")
	id := n.pushRun("HEAD")
	n.reached(reached)
	r, err := n.l.run(id).Record()
	n.check(err)
	n.check(unix.Kill(r.Pid, unix.SIGHUP)) // of no effect
	n.check(unix.Kill(r.Pid, unix.SIGTERM))
	if _, r = n.follow(id); r.State != wire.Failed || r.Signal != "terminated" || r.Phase != "deploy" {
		t.Errorf("record %+v", r)
	}
	n.lockFree()
}
