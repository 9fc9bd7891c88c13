package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// alone is Python that sees another deployment at work on the same node, and keeps a journal.
const alone = `
import fcntl, os
lock = os.open('/run/alone', os.O_CREAT | os.O_RDWR, 0o600)
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    open('/run/two-at-once', 'w').close()
    raise SystemExit('two at once')
with open('/run/journal', 'a') as journal:
    print(os.environ['TROOPS_COMMIT'], file=journal)
print('at work', flush=True)
`

// TestTogether has several people push to the same nodes at once, and take back what they pushed.
func TestTogether(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: testnode.Names("pair-%d.example.com", 2)})
	makeGates(t, nodes...)
	first := s.commit(map[string]string{"deploy.py": hosts(nodes, alone)})
	s.troops("push").exits(0)
	v := &invariants{checked: map[string]bool{}}

	// Each goes on where the one before it has left the nodes: after a failure some run may wait for good.
	for _, part := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"same, descendant, sibling", func(t *testing.T) { togetherKinds(t, s, v, nodes, first) }},
		{"nobody waits", func(t *testing.T) { togetherRace(t, s, v, nodes) }},
		{"cancel", func(t *testing.T) { togetherCancel(t, s, v, nodes) }},
		{"taken while another works", func(t *testing.T) { togetherTaken(t, s, v, nodes) }},
		{"asked at a terminal", func(t *testing.T) { togetherAsked(t, s, v, nodes) }},
	} {
		if !t.Run(part.name, func(t *testing.T) { s.t = t; part.do(t) }) {
			return
		}
	}
	for _, n := range nodes {
		n.Run(t, "! test -e /run/two-at-once && test $(wc -l </etc/sudoers.d/troops) = 1")
	}
}

func togetherKinds(t *testing.T, s *station, v *invariants, nodes []*testnode.Node, first string) {
	n := nodes[0]
	here := []string{"push", "--host", n.Name}
	gated := map[string]string{"deploy.py": hosts([]*testnode.Node{n}, alone+gate)}
	commit := s.commit(gated)
	one := s.troops(here...)
	one.sees("at work")
	same := s.troops(here...)
	same.sees("at work")
	child := s.commit(map[string]string{"more": "x"})
	descendant := s.troops(here...)
	descendant.sees("waiting for run ")
	s.must(s.repo, "git", "checkout", "-q", "-b", "side", first)
	s.commit(map[string]string{"deploy.py": gated["deploy.py"], "side": "x"}) // within a second it would be the same commit
	sibling := s.troops(append(here, "--branch", "master")...)
	sibling.sees("waiting for run ")
	open(t, n)
	one.exits(0).shows(`^troops: 1 node: 1 deployed in `)
	same.exits(0).shows(`^troops: 1 node: 1 deployed in `)
	descendant.sees("at work")
	sibling.lacks(`at work`)
	open(t, n)
	descendant.exits(0).shows(`\* waiting for run [0-9A-Z]{26} of ` + commit[:12] + ` by ubuntu \(\S+\), since `)
	sibling.exits(1).shows(`\* refused: \S+ is not a descendant of \S+, which ubuntu \(\S+\) deployed: fetch that, merge it and push the result`)
	v.at(t, s, nodes[:1], child)
	v.at(t, s, nodes[1:], first)
	// One that comes later is told the same, before anything is sent.
	s.troops(append(here, "--branch", "master")...).exits(1).shows(`\* refused: the node is at ` + child[:10] + ` \(deployed by ubuntu \(\S+\)\), which is not an ancestor of .*merge ` + child[:10])
	journal := strings.Fields(n.Run(t, "cat /run/journal"))
	if want := []string{first, commit, child}; fmt.Sprint(journal) != fmt.Sprint(want) {
		t.Errorf("deployed %v, want %v", journal, want)
	}
	v.at(t, s, nodes[:1], child)
	s.must(s.repo, "git", "checkout", "-q", "master")
}

// togetherRace lets pushes of one commit, a descendant and a sibling go at the same time.
func togetherRace(t *testing.T, s *station, v *invariants, nodes []*testnode.Node) {
	s.commit(map[string]string{"deploy.py": hosts(nodes, alone)})
	s.troops("push").exits(0)
	base := s.commit(map[string]string{"n": "1"})
	child := s.commit(map[string]string{"n": "2"})
	s.must(s.repo, "git", "checkout", "-q", "-B", "side", base)
	sibling := s.commit(map[string]string{"n": "3"})
	s.must(s.repo, "git", "checkout", "-q", "master")
	var pushes []*process
	for _, commit := range []string{base, child, base, sibling, child} {
		pushes = append(pushes, s.troops("push", commit))
	}
	for _, p := range pushes {
		if code := p.wait(); code != 0 && code != 1 {
			t.Errorf("exit code %d\n%s", code, p.said())
		}
		p.lacks(`two at once`, `failed`)
	}
	v.at(t, s, nodes, child, sibling)
	s.must(s.repo, "git", "merge", "-q", "-s", "ours", "side")
	s.troops("push").exits(0).shows(`^troops: 2 nodes: 2 deployed in `)
	v.at(t, s, nodes, s.must(s.repo, "git", "rev-parse", "HEAD"))
}

func togetherCancel(t *testing.T, s *station, v *invariants, nodes []*testnode.Node) {
	before := s.deployed(nodes[0])
	gated := s.commit(map[string]string{"deploy.py": hosts(nodes, alone+gate)})
	s.troops("push", "--no-wait").exits(0).shows(`^troops: 2 nodes: 2 started in `)
	follower := s.troops("push", "--host", nodes[0].Name)
	follower.sees("at work")
	status := s.troops("status", "--host", nodes[0].Name).exits(0)
	m := regexp.MustCompile(`running: .*: run ([0-9A-Z]{26})`).FindStringSubmatch(status.stdout.String())
	if m == nil {
		t.Fatalf("no run in\n%s", status.said())
	}
	p := s.troops("cancel", m[1]).exits(0)
	p.shows(`^troops: ` + nodes[0].Name + `: run ` + m[1] + `: cancelled by ubuntu \(\S+\)$`)
	p.lacks(nodes[1].Name)
	follower.exits(1).shows(`\* failed in deploy: cancelled by ubuntu \(\S+\)`)
	nodes[0].Run(t, "flock -n /run/alone true") // what the run started is gone by now; the run itself tidies up
	s.idle(nodes[0])
	v.at(t, s, nodes[:1], before)
	open(t, nodes[1]) // the other node's run is its own
	v.at(t, s, nodes[1:], gated)
	head := s.commit(map[string]string{"deploy.py": hosts(nodes, alone)})
	s.troops("push").exits(0)
	v.at(t, s, nodes, head)
}

// togetherTaken leaves a node with a run that works, one that waits for it, and one that takes the
// place of that: nobody who follows is needed for any.
func togetherTaken(t *testing.T, s *station, v *invariants, nodes []*testnode.Node) {
	n := nodes[0]
	here := []string{"push", "--no-wait", "--host", n.Name}
	first := s.commit(map[string]string{"deploy.py": hosts(nodes, alone+gate)})
	s.troops(here...).exits(0).shows(`^troops: 1 node: 1 started in `)
	s.commit(map[string]string{"deploy.py": hosts(nodes, alone), "o": "1"})
	s.troops(here...).exits(0).shows(`^troops: 1 node: 1 started in `)
	later := s.commit(map[string]string{"o": "2"})
	p := s.troops(here...).exits(0)
	p.shows(`^troops: 1 node: 1 started in `)
	m := regexp.MustCompile(`started run ([0-9A-Z]{26})`).FindStringSubmatch(p.stdout.String())
	if m == nil {
		t.Fatalf("no run in\n%s", p.said())
	}
	tail := s.troops("tail", "--run", m[1], "--host", n.Name)
	open(t, n)
	tail.exits(0).shows(`\* waiting for run [0-9A-Z]{26} of `+first[:12]+` by ubuntu \(\S+\), since `, `\| at work$`)
	v.at(t, s, nodes[:1], later)
	if history := n.Run(t, "troops node history"); !strings.Contains(history, "gave way to") {
		t.Errorf("the node's history:\n%s", history)
	}
	s.troops("push").exits(0).shows(`^troops: 2 nodes: 1 deployed, 1 current in `)
	v.at(t, s, nodes, later)
}

func togetherAsked(t *testing.T, s *station, v *invariants, nodes []*testnode.Node) {
	s.must(s.repo, "git", "config", "troops.confirm", "true")
	head := s.commit(map[string]string{"m": "1"})
	p := s.terminal(s.SSHConfig, false, "push")
	p.answers(1, "no\n")
	if screen := p.ends(2, 1); !strings.Contains(screen, "troops: 2 nodes get 1 commit (") || !strings.Contains(p.stderr.String(), "nothing was deployed") {
		t.Errorf("the screen shows\n%s\n%s", screen, p.said())
	}
	p = s.terminal(s.SSHConfig, false, "push")
	p.answers(1, "yes\n")
	p.ends(0, 1)
	p.shows(`^troops: 2 nodes: 2 deployed in `)
	s.terminal(s.SSHConfig, false, "push", "--host", nodes[0].Name).ends(0, 0)
	s.must(s.repo, "git", "config", "--unset", "troops.confirm")

	for _, answer := range []string{"no", "yes"} {
		p = s.terminal(s.SSHConfig, false, "push", "--force", head+"^")
		p.answers(1, answer+"\n")
		want, code := head, 2
		if answer == "yes" {
			want, code = s.must(s.repo, "git", "rev-parse", head+"^"), 0
		}
		if screen := p.ends(code, 1); !strings.Contains(screen, "troops: 2 nodes lose 1 commit, from "+head[:7]+" on: ") {
			t.Errorf("the screen shows\n%s", screen)
		}
		v.at(t, s, nodes, want)
	}
}
