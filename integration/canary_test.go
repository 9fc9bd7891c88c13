package integration

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// TestCanary deploys to a fraction of 20 nodes in two roles, promotes, fails, and resumes.
func TestCanary(t *testing.T) {
	s := newStation(t)
	web := s.nodes(testnode.Options{Names: testnode.Names("web-%02d.example.com", 10)})
	db := s.nodes(testnode.Options{Names: testnode.Names("db-%02d.example.com", 10)})
	nodes := append(append([]*testnode.Node{}, web...), db...)
	roles := func(more string) string {
		var names [2][]string
		for i, of := range [][]*testnode.Node{web, db} {
			for _, n := range of {
				names[i] = append(names[i], fmt.Sprintf("%q", n.Name))
			}
		}
		return fmt.Sprintf("import troops\ntroops.define_role('web', hosts=[%s])\ntroops.define_role('db', hosts=[%s])\n%s",
			strings.Join(names[0], ", "), strings.Join(names[1], ", "), more)
	}
	at := func(commit string) (there []*testnode.Node) {
		for _, n := range nodes {
			if s.deployed(n) == commit {
				there = append(there, n)
			}
		}
		return there
	}
	runs := func(n *testnode.Node) string { return n.Run(t, "ls /var/lib/troops/runs") }

	first := s.commit(map[string]string{"deploy.py": roles("print('deployed')\n")})
	p := s.troops("push", "--canary", "10%").exits(0)
	p.shows(`^troops: canary: 2 nodes \(.*(web-.*db-|db-.*web-)`, `^troops: 20 nodes: 2 deployed, 18 not started in `, `^troops: 18 nodes held: promote with troops push \(`)
	canaries := at(first)
	if len(canaries) != 2 || strings.HasPrefix(canaries[0].Name, "db") || !strings.HasPrefix(canaries[1].Name, "db") {
		t.Fatalf("the canaries are %v", canaries)
	}
	s.troops("status").exits(0).shows(`^18 nodes with nothing deployed$`, `^1 node current at .*\n    roles db; .*\n    db-`, `^1 node current at .*\n    roles web; .*\n    web-`)
	s.troops("push").exits(0).shows(`^troops: 20 nodes: 18 deployed, 2 current in `)

	// A canary that fails: nobody else has heard of the commit.
	before := make(map[*testnode.Node]string)
	for _, n := range nodes {
		before[n] = runs(n)
	}
	bad := s.commit(map[string]string{"deploy.py": roles("raise SystemExit(9)\n")})
	s.troops("push", "--canary", "10%").exits(3).shows(
		`^troops: 20 nodes: 2 failed, 18 not started in `, `^troops: 18 nodes not started: the rollout was stopped, [12] failed \(--max-fail 0\)`)
	for _, n := range nodes {
		canary := n == canaries[0] || n == canaries[1]
		if got := s.deployed(n); got != first {
			t.Errorf("%s is at %s", n.Name, got)
		}
		if changed := runs(n) != before[n]; changed != canary {
			t.Errorf("%s: canary %v, new run %v", n.Name, canary, changed)
		}
		if out := n.Run(t, "git --git-dir="+repoPath+" cat-file -e "+bad+" 2>/dev/null && echo there || echo not there"); !canary && strings.TrimSpace(out) != "not there" {
			t.Errorf("%s has the commit", n.Name)
		}
	}

	s.troops("status").exits(0).shows(`^1 node behind by 1 commit, at .*\n    last run: failed of [0-9a-f]+ in deploy, exit code 9, by .*\n    roles web; `, `^9 nodes behind by 1 commit, at .*\n    roles db; `)

	// A deployment that ends well and leaves a canary sick: its check finds that out after the soak.
	sick := s.commit(map[string]string{"deploy.py": roles(`
import os
if not os.environ.get('TROOPS_CHECK'):
    open('/run/sick', 'w').close()
@troops.check(roles=['db'])
def check():
    assert not os.path.exists('/run/sick'), 'sick'
`)})
	s.troops("push", "--waves", "10%,100%", "--soak", "1s").exits(3).shows(
		`^db-\S+ +! AssertionError: sick$`, `^troops: 20 nodes: 1 deployed, 1 failed, 18 not started in `, `^db-\S+ +\* failed in check: exit code 1`)
	if done := at(sick); len(done) != 2 {
		t.Errorf("the sick canary was taken back, or others have it: %v", done)
	}
	s.troops("status").exits(0).shows(`^    last check failed: `)

	// A rollout in waves that is killed is resumed by somebody else, from another clone.
	last := s.commit(map[string]string{"deploy.py": roles("print('mended')\n")})
	killed := s.troops("push", "--waves", "10%,100%", "--soak", "1h")
	killed.sees("waiting 1h0m0s, then looking")
	if err := killed.kill(); err != nil {
		t.Fatal(err)
	}
	killed.wait()
	if done := at(last); len(done) != 2 || done[0] != canaries[0] || done[1] != canaries[1] {
		t.Errorf("after the first wave the commit is at %v", done)
	}
	clone := filepath.Join(s.Dir, "another")
	s.must(s.Dir, "git", "clone", "-q", s.repo, clone)
	out := s.must(clone, troopsBinary(t), "-F", s.SSHConfig, "push", "--waves", "50%,100%")
	for _, want := range []string{`(?m)^troops: wave 1 of 2: 10 nodes `, `(?m)^troops: 20 nodes: 18 deployed, 2 current in `} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no line matches %s\n%s", want, out)
		}
	}
}
