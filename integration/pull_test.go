package integration

import (
	"fmt"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// TestPull is the seed document's "The pull deployment model" on real machines: a node that
// deploys as root pulls by ssh from a machine that only has git, called by cron, then by a
// workstation whose user is a member of group troops.
func TestPull(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	repos := s.Start(t, testnode.Options{Names: []string{"repos.example.com"}})[0]
	nodes := s.nodes(testnode.Options{Names: []string{"shellbox-1.example.com"}})
	node := nodes[0]
	oid := s.commit(map[string]string{"deploy.py": hosts(nodes, "print('one')\n")})
	s.must(s.repo, "ssh", "repos", "git", "init", "-q", "--bare", "deploy.git")
	s.must(s.repo, "git", "push", "-q", "repos:deploy.git", "master")

	cron := node.Run(t, `sed -n 's/^[0-9-]*\/5 \* \* \* \* root //p' /etc/cron.d/troops`)
	if out := node.Run(t, cron); cron == "" || out != "" || s.deployed(node) != "" {
		t.Errorf("without remotes %q said %q", cron, out)
	}
	url := fmt.Sprintf("ssh://ubuntu@%s:%d/home/ubuntu/deploy.git", repos.Addr, testnode.Port)
	s.must(s.repo, "ssh", "ubuntu@shellbox-1", "git", "--git-dir="+repoPath, "remote", "add", "origin", url)
	s.troops("pull").exits(1).shows(`no remote could be fetched from: remote origin: .*Permission denied`)
	key := s.must(s.repo, "ssh", "ubuntu@shellbox-1", "troops", "node", "key")
	repos.Run(t, "echo '"+key+"' >>/home/ubuntu/.ssh/authorized_keys")

	if out := node.Run(t, cron); out != "" {
		t.Errorf("cron would mail %q", out)
	}
	if at := s.deployed(node); at != oid {
		t.Errorf("%s is deployed, not %s", at, oid)
	}
	s.troops("pull").exits(0).shows("1 current")
	oid = s.commit(map[string]string{"deploy.py": hosts(nodes, "print('two')\n")})
	s.must(s.repo, "git", "push", "-q", "repos:deploy.git", "master")
	s.troops("pull").exits(0).shows(`^shellbox-1\S* \* pulled `+oid[:12]+` from origin$`, `^shellbox-1\S* \| two$`, "1 deployed")

	// What root has fetched is no hindrance to those who push.
	oid = s.commit(map[string]string{"deploy.py": hosts(nodes, "print('three')\n")})
	s.must(s.repo, "git", "push", node.Name+":"+repoPath, "master")
	if at := s.deployed(node); at != oid {
		t.Errorf("%s is deployed, not %s", at, oid)
	}
	if by := node.Run(t, "cd /var/lib/troops/runs && cat */record.json"); !strings.Contains(by, `"by":"pull"`) || !strings.Contains(by, `"by":"ubuntu (`) {
		t.Errorf("who pulled: %s", by)
	}
	pushDuringPull(t, s, node, cron)
	node.Run(t, "git --git-dir="+repoPath+" fsck")
	idle(t, node)
}

// pushDuringPull pushes while the run of a pull goes on: the same commit follows it, a later one
// waits and is told for whom.
func pushDuringPull(t *testing.T, s *station, node *testnode.Node, cron string) {
	makeGates(t, node)
	nodes := []*testnode.Node{node}
	pulled := s.commit(map[string]string{"deploy.py": hosts(nodes, "print('at work', flush=True)\n"+gate)})
	s.must(s.repo, "git", "push", "-q", "repos:deploy.git", "master")
	node.Run(t, "("+cron+") </dev/null >/run/cron.out 2>&1 &")
	node.Run(t, "until grep -l '\"running\"' /var/lib/troops/runs/*/record.json; do sleep 0.1; done")
	same := s.troops("push")
	same.sees("at work")
	later := s.commit(map[string]string{"deploy.py": hosts(nodes, "print('later')\n")})
	waits := s.troops("push")
	waits.sees("waiting for run ")
	s.troops("status").exits(0).shows(`^    running: ` + pulled[:7] + ` in deploy, by pull, for `)
	open(t, node)
	same.exits(0).shows(`\* following run [0-9A-Z]{26} of `+pulled[:12]+` by pull, since .* which is there already$`, `^troops: 1 node: 1 deployed in `)
	waits.exits(0).shows(`\* waiting for run [0-9A-Z]{26} of `+pulled[:12]+` by pull, since `, `\| later$`)
	if at := s.deployed(node); at != later {
		t.Errorf("%s is deployed, not %s", at, later)
	}
}
