package integration

import (
	"os"
	"path"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// kind is a way to have a node on a machine.
type kind struct {
	name string
	dir  string // the node's
	user string // who deploys there
}

var (
	asRoot = kind{"root", "/var/lib/troops", "root"}
	// asOwnUser is a node of somebody who has a login and nothing else.
	asOwnUser = kind{"own user", "/home/ubuntu/deploy", "ubuntu"}
)

// eachKind runs a test for either kind of node: they behave the same.
func eachKind(t *testing.T, test func(*testing.T, kind)) {
	for _, k := range []kind{asRoot, asOwnUser} {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

func (k kind) repo() string { return k.dir + "/repo/main.git" }

// command is what the one who deploys types in a shell there to get a command of the node.
func (k kind) command(args string) string {
	if k.user == "root" {
		return "troops node " + args
	}
	return "./troops node --dir " + path.Base(k.dir) + " " + args
}

// run has the one who deploys run a shell script on the node, as logged in there.
func (k kind) run(t *testing.T, n *testnode.Node, script string) string {
	t.Helper()
	return n.Run(t, "su - "+k.user+" -c "+quote(script))
}

// node has the one who deploys run a command of the node's, and returns what it prints.
func (k kind) node(t *testing.T, n *testnode.Node, args string) string {
	t.Helper()
	return k.run(t, n, k.command(args))
}

// idle waits until no run holds the node's lock.
func (s *station) idle(n *testnode.Node) {
	s.t.Helper()
	n.Run(s.t, "flock "+s.kind.dir+"/lock true")
}

// ownNodes starts machines whose user makes a node of the own account, as docs/without-root.md
// has it. Sudo and group troops are not there.
func (s *station) ownNodes(o testnode.Options) []*testnode.Node {
	s.t.Helper()
	nodes := s.Start(s.t, o)
	for _, n := range nodes {
		n.Run(s.t, "rm /etc/sudoers.d/90-ubuntu; ! getent group troops; ! test -e /usr/local/bin/troops")
		s.must(s.repo, "sh", "-c", "ssh "+n.Name+" 'cat >troops && chmod 755 troops' <"+quote(troopsBinary(s.t)))
		for _, want := range []string{"made /home/ubuntu/deploy/repo/main.git\n", "nothing to change"} {
			if out := s.must(s.repo, "ssh", n.Name, "./troops", "node", "init", "--dir", "deploy"); !strings.Contains(out, want) {
				s.t.Errorf("node init said\n%s\nwant %q", out, want)
			}
		}
	}
	s.must(s.repo, "git", "config", "troops.nodePath", "deploy/repo/main.git")
	return nodes
}

// TestKinds does with either kind of node what people do in a day.
func TestKinds(t *testing.T) { eachKind(t, testKind) }

func testKind(t *testing.T, k kind) {
	s := newStation(t)
	s.kind = k
	nodes := s.nodes(testnode.Options{Names: []string{"day.example.com"}})
	n := nodes[0]
	makeGates(t, n)
	who := "import getpass, os\nprint('I am', getpass.getuser(), 'at', os.environ['HOME'], 'in', os.path.dirname(os.getcwd()))\n"
	isWho := "I am " + k.user + " at " + map[string]string{"root": "/root", "ubuntu": "/home/ubuntu"}[k.user] + " in " + k.dir + "/checkouts"

	first := s.commit(map[string]string{"deploy.py": hosts(nodes, who)})
	if out := s.must(s.repo, "git", "push", n.Name+":"+s.repoPath(), "master"); !strings.Contains(out, "remote: "+isWho) || s.deployed(n) != first {
		t.Errorf("git push said\n%s", out)
	}
	second := s.commit(map[string]string{"more": "x"})
	s.troops("push").exits(0).shows(`^day\S* \| `+isWho+`$`, `^troops: 1 node: 1 deployed in `)
	s.troops("push").exits(0).shows(`^day\S* \* current`)
	s.troops("status").exits(0).shows(`\bcurrent at ` + second[:7])

	s.commit(map[string]string{"deploy.py": hosts(nodes, "raise SystemExit(7)\n")})
	s.troops("push").exits(1).shows(`^day\S* \* failed in deploy: exit code 7`)
	if out := s.start("git", "push", n.Name+":"+s.repoPath(), "master").exits(1).said(); !strings.Contains(out, "exited 7") {
		t.Errorf("git push said\n%s", out)
	}
	if at := s.deployed(n); at != second {
		t.Errorf("after a failure the branch is at %s, want %s", at, second)
	}
	s.troops("status").exits(0).shows(`exited 7|exit code 7`)

	s.commit(map[string]string{"deploy.py": hosts(nodes, "print('at work', flush=True)\n"+gate)})
	s.troops("push", "--no-wait").exits(0).shows(`^troops: 1 node: 1 started in `)
	follower := s.troops("push")
	follower.sees("at work")
	id := path.Base(path.Dir(k.run(t, n, "grep -l '\"running\"' "+k.dir+"/runs/*/record.json")))
	s.troops("cancel", id).exits(0)
	follower.exits(1).shows(`cancelled`)
	s.troops("status").exits(0).shows(`cancelled`)

	last := s.commit(map[string]string{"deploy.py": hosts(nodes, who)})
	s.troops("push").exits(0)
	if at := s.deployed(n); at != last {
		t.Errorf("%s is deployed, not %s", at, last)
	}
	s.troops("doctor").exits(0)
	s.troops("tail", "--no-follow").exits(0).shows(`^day\S* \| ` + isWho + `$`)
	for args, want := range map[string][]string{
		"history":   {"OUTCOME", "exited 7", "cancelled", "deployed"},
		"log":       {"| " + isWho},
		"log " + id: {"| at work", "cancelled"},
		"key":       {"ssh-ed25519 "},
	} {
		out := k.run(t, n, k.command(args)+" || test $? = 1")
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("node %s: no %q in\n%s", args, w, out)
			}
		}
	}
	v := &invariants{commits: []string{last}, checked: map[string]bool{}}
	v.hold(t, s, n)
	// All of it is the user's own, and nothing is outside of its place.
	if others := n.Run(t, "find "+k.dir+" ! -user "+k.user); k.user != "root" && others != "" {
		t.Errorf("not %s's:\n%s", k.user, others)
	}
	if k.user != "root" {
		if out := k.run(t, n, documentedCron(t)); out != "" {
			t.Errorf("cron would mail %q", out)
		}
		n.Run(t, "! test -e /var/lib/troops && ! test -e /etc/sudoers.d/troops && ! test -e /etc/cron.d/troops && ! test -e /etc/gitconfig")
	}
}

// documentedCron is the command that the documentation has people put into their crontab.
func documentedCron(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/without-root.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), "*/5 * * * * ")
	command, _, ended := strings.Cut(after, "\n")
	if !ok || !ended {
		t.Fatal("docs/without-root.md has no line for cron")
	}
	return command
}

// repoPath is how the workstation writes the path of the nodes' repository.
func (s *station) repoPath() string {
	if s.kind.user == "root" {
		return s.kind.repo()
	}
	return "deploy/repo/main.git" // below the home directory
}
