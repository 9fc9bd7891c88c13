package nodeside

import (
	"os"
	"slices"
	"strings"
	"testing"

	"troops/nodeside/wire"
)

// What is deployed runs again when the push says so, and only then; a failure takes nothing back.
func TestRerun(t *testing.T) {
	n := newTestNode(t)
	flag := n.fifo("flag")
	oid := n.commit("deploy", "#!/bin/sh\necho ran\ntest -e "+flag+"\n")
	if _, r := n.follow(n.pushRun(oid)); r.State != wire.OK {
		t.Fatalf("first: %+v", r)
	}
	if text, r := n.follow(n.pushRun(oid)); r.State != wire.Current || strings.Contains(text, "ran\n") {
		t.Errorf("without the option: %q, %+v", text, r)
	}
	rerun := wire.OptionRerun + "yes"
	if text, r := n.follow(n.pushRun(oid, rerun)); r.State != wire.OK || !r.Rerun || !strings.Contains(text, "ran\n") {
		t.Errorf("with it: %q, %+v", text, r)
	}
	n.check(os.Remove(flag))
	if _, r := n.follow(n.pushRun(oid, rerun)); r.State != wire.Failed || r.ExitCode != 1 {
		t.Errorf("a rerun that fails: %+v", r)
	}
	if tip := n.tip("refs/heads/master"); tip != oid {
		t.Errorf("the branch is at %s", tip)
	}
	n.lockFree()
	n.git("--git-dir="+n.l.Repo(), "fsck", "--strict")
}

// A rerun never follows a run that may find that there is nothing to do; others follow a rerun.
func TestRerunJoins(t *testing.T) {
	n := newTestNode(t)
	gate, reached := n.fifo("gate"), n.fifo("reached")
	oid := n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\n")
	first := n.pushRun(oid)
	n.reached(reached)
	again := n.pushRun(oid, wire.OptionRerun+"yes")
	for id, other := range map[string]string{n.pushRun(oid, wire.OptionRerun+"yes"): again, n.pushRun(oid): ""} {
		if r, err := n.l.run(id).Record(); err != nil || r.State != wire.Joined || other != "" && r.Other != other {
			t.Errorf("%+v, %v", r, err)
		}
	}
	n.open(gate)
	n.reached(reached)
	if r, err := n.l.run(first).Record(); err != nil || r.State != wire.OK {
		t.Errorf("the rerun works beside the first run: %+v, %v", r, err)
	}
	n.open(gate)
	if _, r := n.follow(again); r.State != wire.OK {
		t.Errorf("%+v", r)
	}
}

// The branch goes to a commit that is no descendant only where the push names what is deployed.
func TestForce(t *testing.T) {
	n := newTestNode(t)
	base := n.commit("deploy", "#!/bin/sh\necho base\n")
	n.mustPush("master")
	bad := n.commit("deploy", "#!/bin/sh\necho bad\n")
	n.mustPush("master")
	n.git("checkout", "-q", "-b", "side", base)
	side := n.commit("x", "y")
	force := func(commit string) string { return wire.OptionForce + commit }
	for _, test := range []struct {
		name, commit, option string
		state                wire.State
		tip, says            string
	}{
		{"no option", side, "", wire.Refused, bad, "merge it"},
		{"another commit is named", side, force(base), wire.Refused, bad, "look again"},
		{"rewind, another one is named", base, force(side), wire.Refused, bad, "look again"},
		{"rewind", base, force(bad), wire.OK, base, ""},
		{"the same again", base, force(bad), wire.Current, base, ""},
		{"a descendant all the same", side, force(bad), wire.OK, side, ""},
		{"sideways", bad, force(side), wire.OK, bad, ""},
	} {
		var options []string
		if test.option != "" {
			options = append(options, test.option)
		}
		_, r := n.follow(n.pushRun(test.commit, options...))
		if r.State != test.state || !strings.Contains(r.Error, test.says) {
			t.Errorf("%s: %+v", test.name, r)
		}
		if tip := n.tip("refs/heads/master"); tip != test.tip {
			t.Fatalf("%s: the branch is at %s", test.name, tip)
		}
	}
	id := n.commit()
	if out, err := n.push("-o", force("no-commit"), id+":"+wire.RunRefPrefix+goodRun); err == nil || !strings.Contains(out, "no object name") {
		t.Errorf("a bad option: %v\n%s", err, out)
	}

	// By the branch, as git push and a workstation without a second channel do.
	if out, err := n.push("--force", side+":refs/heads/master"); err == nil || !strings.Contains(out, "not a fast-forward") {
		t.Errorf("git push --force: %v\n%s", err, out)
	}
	if out, err := n.push("--force", "-o", force(base), side+":refs/heads/master"); err == nil {
		t.Errorf("git push --force that names another commit:\n%s", out)
	}
	n.mustPush("--force", "-o", force(bad), side+":refs/heads/master")
	if tip := n.tip("refs/heads/master"); tip != side {
		t.Errorf("the branch is at %s", tip)
	}
	n.lockFree()
	n.git("--git-dir="+n.l.Repo(), "fsck", "--strict")
}

// A rewind that waits does not give way to a later commit: that may not descend from what the
// rewind takes away.
func TestForceIsNotSuperseded(t *testing.T) {
	n := newTestNode(t)
	gate, reached := n.fifo("gate"), n.fifo("reached")
	base := n.commit("deploy", "#!/bin/sh\n")
	n.mustPush("master")
	bad := n.commit("y", "z")
	n.mustPush("master")
	working := n.pushRun(n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\nexit 1\n"))
	n.reached(reached)
	back := n.pushRun(base, wire.OptionForce+bad)
	n.git("checkout", "-q", "-b", "side", base)
	side := n.pushRun(n.commit("x", "y"))
	if r, err := n.l.run(back).Record(); err != nil || r.State != wire.Queued {
		t.Errorf("the rewind: %+v, %v", r, err)
	}
	n.open(gate)
	for id, want := range map[string][]wire.State{working: {wire.Failed}, back: {wire.OK}, side: {wire.OK, wire.Refused}} {
		if r := n.awaitEnd(id); !slices.Contains(want, r.State) {
			t.Errorf("%+v, want %v", r, want)
		}
	}
}
