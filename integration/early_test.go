package integration

import (
	"strings"
	"testing"

	"troops/integration/testnode"
)

// earlyTroops is troops of the same protocol before much was added to it: its node knows to take a
// push, run it and be attached to; its attach never reads its input nor says what no log has; its
// workstation asks for no window and passes over those frames.
func earlyTroops(t *testing.T) string {
	t.Helper()
	const commands = "cmd/troops/node.go"
	return buildWith(t, "early",
		edit{"nodeside/attach.go", "go window.Listen(in) // nothing can end a read of standard input but its end", "_ = in"},
		edit{"nodeside/runlog/follow.go", "if f.Kind == wire.Note {", "if f.Kind == 'A' {"},
		edit{commands, `Name: "status", Usage: "print what is deployed`, `Name: "later1", Usage: "print what is deployed`},
		edit{commands, `Name: "check", Usage: "run the checks`, `Name: "later2", Usage: "run the checks`},
		edit{commands, `Name: "cancel", Usage: "end a run`, `Name: "later3", Usage: "end a run`},
		edit{commands, "newNodePull(g, layout),", ""},
		edit{commands, "newNodeTail(g, layout),", ""},
		edit{"push/follow.go", "_, _ = io.WriteString(a.ch.Stdin(), wire.AskWindow())", ""},
		edit{"push/follow.go", "case wire.Note, wire.Aside:", "case wire.Note:"},
		edit{"push/follow.go", "case wire.Windowed, wire.Heartbeat:", "case wire.Heartbeat:"},
	)
}

// TestEarlyTroops has an old node with a new workstation, and the reverse. Both deploy, more than a
// window's worth of output and with a second push that follows the first; what the old node does
// not have is said with the command that brings it, which does.
func TestEarlyTroops(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	program := map[string]string{"early": earlyTroops(t), "present": troopsBinary(t)}
	nodes := s.Start(t, testnode.Options{Names: []string{"early.example.com"}, Binary: program["early"]})
	nodes = append(nodes, s.nodes(testnode.Options{Names: []string{"present.example.com"}})...)
	nodes[0].Run(t, "gpasswd -a ubuntu troops")
	makeGates(t, nodes...)
	for who, n := range map[string]*testnode.Node{"present": nodes[0], "early": nodes[1]} {
		oid := s.commit(map[string]string{"deploy.py": hosts(nodes, "print('at work', flush=True)\n"+gate+lines("a line that fills the window, and is one of many", 20000))})
		first := s.with(program[who], "push", "--host", n.Name)
		first.sees("at work")
		second := s.with(program[who], "push", "--host", n.Name)
		second.sees("at work")
		open(t, n)
		for _, p := range []*process{first, second} {
			p.exits(0).shows(`^troops: 1 node: 1 deployed in `)
			if got := p.whole("a line that fills the window, and is one of many"); got != 20000 {
				t.Errorf("%s workstation, %s: only %d lines came", who, n.Name, got)
			}
		}
		if at := s.deployed(n); at != oid {
			t.Errorf("%s workstation, %s: %s is deployed, not %s", who, n.Name, at, oid)
		}
	}
	later(t, s, nodes[0])
}

// later has the present workstation ask an early node for what that does not know.
func later(t *testing.T, s *station, early *testnode.Node) {
	t.Helper()
	const upgrade = `upgrade it with (troops bootstrap early\.example\.com)$`
	host := "--host=" + early.Name
	s.troops("status", host).exits(0).shows(`^ +its troops is too old to tell more: troops bootstrap upgrades it$`)
	s.troops("tail", host).exits(1).shows(`\* the node's runs cannot be followed: its troops has no tail yet \(.*\): ` + upgrade)
	s.troops("pull", host).exits(1).shows(`\* refused: the node cannot be asked to pull: its troops has no pull yet \(.*\); ` + upgrade)
	if p := s.troops("cancel", host, "01ARZ3NDEKTSV4RRFFQ69G5FAV").exits(1); !strings.Contains(p.stderr.String(), "upgrade it with troops bootstrap early.example.com") {
		t.Errorf("cancel: %s", p.said())
	}
	s.troops("bootstrap", early.Name).exits(0).shows(`^troops: early\.example\.com: installed troops `)
	s.troops("status", host).exits(0).shows(`troops 0\.`)
	s.troops("tail", host, "--no-follow").exits(0).shows(`\| at work$`)
	s.troops("pull", host).exits(1).shows(`\* refused: there is no remote to pull from`)
}
