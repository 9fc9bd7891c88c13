package integration

import (
	"strings"
	"testing"

	"troops/integration/testnode"
)

// reboot ends every process of a node at once, as a power cut does, and starts sshd again. The
// files stay, with the lock's among them.
const reboot = `kill -9 -1; setsid env -i PATH="$PATH" /usr/sbin/sshd -D -e -f /etc/ssh-node/sshd_config </dev/null >/dev/null 2>&1 &`

// TestReboot lets a node reboot in the middle of a run: it is never taken for a good one, the
// lock's file holds nobody up, and the next push deploys the commit.
func TestReboot(t *testing.T) { eachKind(t, testReboot) }

func testReboot(t *testing.T, k kind) {
	s := newStation(t)
	s.kind = k
	n := s.nodes(testnode.Options{Names: []string{"reboots.example.com"}})[0]
	nodes := []*testnode.Node{n}
	makeGates(t, n)
	old := s.commit(map[string]string{"deploy.py": hosts(nodes, "pass\n")})
	s.troops("push").exits(0)
	v := &invariants{commits: []string{old}, checked: map[string]bool{}}
	v.hold(t, s, n)

	head := s.commit(map[string]string{"deploy.py": hosts(nodes, "print('at work', flush=True)\n"+gate)})
	p := s.troops("push")
	p.sees("at work")
	n.Run(t, reboot)
	p.exits(1).shows(`^reboots\.example\.com \* failed in deploy: the run was interrupted on the node `, `^troops: 1 node: 1 failed in `)
	p.lacks(`deployed in [0-9.]+m?s$`)
	n.Run(t, "flock -n "+k.dir+"/lock true")
	v.hold(t, s, n)
	s.troops("status").exits(0).shows(`interrupted`)
	if history := k.node(t, n, "history"); !strings.Contains(history, "interrupted") {
		t.Errorf("the node's history:\n%s", history)
	}

	p = s.troops("push")
	p.sees("at work")
	open(t, n)
	p.exits(0).shows(`^troops: 1 node: 1 deployed in `)
	v.commits = []string{head}
	v.hold(t, s, n)
}
