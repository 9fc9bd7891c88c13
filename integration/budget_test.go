package integration

import (
	"regexp"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// TestFailureBudget has two of ten nodes dead, one in each of the first two waves.
func TestFailureBudget(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: testnode.Names("n-%d.example.com", 10)})
	byName := make(map[string]*testnode.Node)
	for _, n := range nodes {
		byName[n.Name] = n
	}
	next := func() { s.commit(map[string]string{"deploy.py": hosts(nodes, "print('deployed')\n")}) }
	waves := []string{"push", "--waves", "2,4,100%"}
	next()
	plan := s.troops(append(waves, "--dry-run")...).exits(0)
	m := regexp.MustCompile(`(?m)^troops: wave [12] of 3: 2 nodes \((\S+), (\S+)\)$`).FindAllStringSubmatch(plan.stdout.String(), -1)
	if len(m) != 2 {
		t.Fatalf("no waves in\n%s", plan.said())
	}
	dead := []*testnode.Node{byName[m[0][2]], byName[m[1][1]]}
	for _, n := range dead {
		n.Run(t, "kill $(cat /run/sshd.pid)")
	}
	// The dead one may be known as such before the other node of its wave is begun: that one is then not.
	for _, c := range []struct {
		args string
		exit int
		want string
	}{
		{"--waves 2,4,100% --max-fail 0", 3, "(1 deployed, )?1 unreachable, [89] not started"},
		{"--waves 2,4,100%", 3, "(1 deployed, )?1 unreachable, [89] not started"},
		{"--waves 2,4,100% --max-fail 1", 3, "[12] deployed, 2 unreachable, [67] not started"},
		{"--waves 2,4,100% --max-fail 10%", 3, "[12] deployed, 2 unreachable, [67] not started"},
		{"--waves 2,4,100% --max-fail 19.99%", 3, "[12] deployed, 2 unreachable, [67] not started"},
		{"--waves 2,4,100% --max-fail 20%", 1, "8 deployed, 2 unreachable"},
		{"--max-fail 2", 1, "8 deployed, 2 unreachable"},
		{"", 1, "8 deployed, 2 unreachable"},
	} {
		next()
		s.troops(append([]string{"push"}, strings.Fields(c.args)...)...).exits(c.exit).shows(`^troops: 10 nodes: ` + c.want + ` in `)
	}
	// Without waves the whole fleet is one: what was begun goes on, what was not is not begun.
	for _, fail := range []string{"0", "1", "10%"} {
		next()
		p := s.troops("push", "--parallel", "1", "--max-fail", fail).exits(3)
		p.shows(map[string]string{"0": `^troops: 10 nodes: (\d deployed, )?1 unreachable, \d not started in `}[fail], ` \d (node|nodes) not started: the rollout was stopped, [12] failed \(--max-fail `+fail+`\)`)
		if fail != "0" {
			p.shows(`^troops: 10 nodes: (\d deployed, )?2 unreachable`)
		}
	}
	// Once they are back, the same push reaches just those that were left.
	for _, n := range dead {
		n.Run(t, "env -i PATH=$PATH /usr/sbin/sshd -E /run/sshd.log -f /etc/ssh-node/sshd_config")
	}
	s.troops("push").exits(0).shows(`^troops: 10 nodes: \d+ deployed(, \d current)? in `)
	s.troops("push").exits(0).shows(`^troops: 10 nodes: 10 current in `)
}

// TestUnknownOutcome loses a node for good while it works.
func TestUnknownOutcome(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: []string{"lost.example.com", "well.example.com"}})
	makeGates(t, nodes...)
	s.commit(map[string]string{"deploy.py": hosts(nodes, "print('at work on', troops.hostname(), flush=True)\n"+gate)})
	p := s.troops("push", "--reconnect", "1s")
	p.sees("at work on " + nodes[0].Name)
	p.sees("at work on " + nodes[1].Name)
	nodes[0].Run(t, "kill -KILL $(pgrep -x sshd)")
	open(t, nodes[1])
	p.exits(4).shows(`^troops: 2 nodes: 1 deployed, 1 unknown in `, `^lost\S+ +\* unknown: .*\(run [0-9A-Z]{26}\); push again to follow it`)
	open(t, nodes[0])
	idle(t, nodes[0])
}
