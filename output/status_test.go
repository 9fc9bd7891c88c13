package output

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"troops/nodeside/wire"
	"troops/push"
	"troops/push/gitwire"
	"troops/push/packs"
)

const (
	newCommit = gitwire.OID("9f8e7d6000000000000000000000000000000000")
	oldCommit = gitwire.OID("1a2b3c4000000000000000000000000000000000")
)

// nodeAt is a node that has had a commit for some time.
func nodeAt(host string, at gitwire.OID, kind packs.Kind, since time.Duration) push.NodeState {
	now := time.Unix(1_700_000_000, 0)
	return push.NodeState{
		Target: push.Target{Host: host, Name: host}, At: at, Relation: packs.Relation{Kind: kind, Missing: 3},
		Node: &wire.NodeStatus{Troops: "0.1.0", Commit: string(at), Now: now, Since: now.Add(-since),
			Last: &wire.Result{Run: "x", Commit: string(at), State: wire.OK, Reported: true, Roles: []string{"web"}, Ended: now.Add(-since)}},
	}
}

// Two hundred nodes in a few states fit on one screen, what is wrong first.
func TestStatusOfManyFitsAScreen(t *testing.T) {
	var states []push.NodeState
	for i := range 200 {
		s := nodeAt(fmt.Sprintf("web-%03d.example.com", i), newCommit, packs.Equal, time.Duration(i+120)*time.Minute)
		switch {
		case i%10 == 3:
			s = nodeAt(s.Target.Host, oldCommit, packs.Behind, time.Duration(i)*time.Hour)
		case i == 77:
			s.Node.Last = &wire.Result{Commit: string(oldCommit), State: wire.Failed, Phase: "deploy", ExitCode: 7, By: "ann@desk", Ended: s.Node.Now.Add(-time.Minute)}
		case i == 78:
			s.Node.Active = []wire.Result{{Run: "01KB2Q5T0N8Y4E6W3R9H7C1XJD", Commit: string(newCommit), State: wire.Running, Phase: "venv", By: "bob@desk", Started: s.Node.Now.Add(-90 * time.Second)}}
		case i == 79:
			s = push.NodeState{Target: s.Target, Err: errors.New("dialling web-079.example.com: refused")}
		}
		states = append(states, s)
	}
	got := Status(states, NoColor, 80)
	for _, want := range []string{
		"1 node of which nothing is known\n    dialling it: refused\n    web-079.example.com\n1 node current at 9f8e7d6, since 3h ago\n" +
			"    last run: failed of 1a2b3c4 in deploy, exit code 7, by ann@desk, 1m ago\n",
		"20 nodes behind by 3 commits, at 1a2b3c4, since 3h to 8d ago\n    roles web; troops 0.1.0\n",
		"1 node current at 9f8e7d6, since 3h ago\n    running: 9f8e7d6 in venv, by bob@desk, for 1m: run 01KB2Q5T0N8Y4E6W3R9H7C1XJD\n",
		"177 nodes current at 9f8e7d6, since 2h to 5h ago\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if lines := strings.Count(got, "\n"); lines > 24 {
		t.Errorf("%d lines\n%s", lines, got)
	}
}

func TestStatusHostile(t *testing.T) {
	s := nodeAt("web-1", newCommit, packs.Equal, time.Minute)
	s.Node.Troops = "0.1\x1b[2J\r"
	s.Node.Last = &wire.Result{State: wire.Failed, Commit: "\x1b]0;x\x07", Error: "a\nb\u202e", By: "\x9bx", Phase: "deploy\x08"}
	s.Node.Active = []wire.Result{{State: "ru\x1bning", Started: s.Node.Now.Add(time.Hour)}} // its clock is wrong, too
	got := Status([]push.NodeState{s}, NoColor, 0)
	for _, bad := range []string{"\x1b", "\r", "\x07", "\u202e", "\x9b", "\x08", "a\nb"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q is shown as it is: %q", bad, got)
		}
	}
	if !strings.Contains(got, "for 0s") {
		t.Errorf("a time to come: %s", got)
	}
}
