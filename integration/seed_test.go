package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// seed are two sections of the document that troops grew from, word for word.
const seed = "testdata/seed.rst"

// seedDocument is what that document has its reader type, and where it says the node's key is.
type seedDocument struct {
	admit, repository, deployPy, requirements, commit, push, remote string // blocks
	key                                                             string // path
}

func readSeed(t *testing.T) seedDocument {
	t.Helper()
	text, err := os.ReadFile(seed)
	if err != nil {
		t.Fatal(err)
	}
	b := literalBlocks(string(text))
	key := regexp.MustCompile("``(/var/lib/troops/ssh/\\S+)``").FindStringSubmatch(string(text))
	if len(b) != 7 || key == nil {
		t.Fatalf("%s has %d literal blocks, want 7, and names the key %q", seed, len(b), key)
	}
	return seedDocument{b[0], b[1], b[2], b[3], b[4], b[5], b[6], key[1]}
}

// literalBlocks are the blocks of reStructuredText that follow on "::", without their tab.
func literalBlocks(text string) (blocks []string) {
	in := false
	for line := range strings.Lines(text) {
		code, indented := strings.CutPrefix(line, "\t")
		switch {
		case indented && in:
			blocks[len(blocks)-1] += code
		case strings.TrimSpace(line) == "":
			if in && blocks[len(blocks)-1] != "" {
				blocks[len(blocks)-1] += "\n"
			}
		default:
			if in = strings.HasSuffix(line, "::\n"); in {
				blocks = append(blocks, "")
			}
		}
	}
	for i, b := range blocks {
		blocks[i] = strings.TrimRight(b, "\n") + "\n"
	}
	return blocks
}

// TestSeedDocument makes nodes of ten machines that have nothing of troops, at once, and then does
// what the document says as it stands there, for push and for pull, with stock git and ssh.
func TestSeedDocument(t *testing.T) {
	t.Parallel()
	doc := readSeed(t)
	s := &station{Kit: testnode.New(t), t: t, kind: asRoot}
	s.repo = s.Dir
	nodes := s.Start(t, testnode.Options{Names: []string{"shellbox-1.example.com", "shellbox-2.example.com"}, Apt: true, Files: pydebianadmin(t)})
	nodes = append(nodes, s.Start(t, testnode.Options{Names: testnode.Names("n-%d.example.com", 10)[2:]})...)
	bootstrap := []string{"bootstrap"}
	for _, n := range nodes {
		n.Run(t, "! getent group troops && ! ls -d /var/lib/troops /etc/sudoers.d/troops /usr/local/bin/troops 2>/dev/null")
		bootstrap = append(bootstrap, n.Name)
	}
	s.troops(bootstrap...).exits(0).shows(`^troops: 10 of 10 hosts are nodes like this: 10 changed, 0 as they were$`)

	s.types(doc.admit)
	s.types(doc.repository)
	s.repo = filepath.Join(s.Dir, "deploy") // the reader's shell is there now
	s.write("deploy.py", doc.deployPy)
	s.write("requirements.txt", doc.requirements)
	s.types(doc.commit)
	if said := s.types(doc.push); !strings.Contains(said, "Setting up tmux ") || !strings.Contains(said, "[new branch]      master -> master") {
		t.Errorf("the push shows no run:\n%s", said)
	}
	nodes[0].Run(t, "tmux -V")
	nodes[1].Run(t, "! dpkg-query -W tmux")
	s.troops("push").exits(0).shows(`^shellbox-2\.example\.com \| Setting up tmux `, `^troops: 2 nodes: 1 deployed, 1 current in `)

	seedPull(t, s, doc, nodes[0])
	bootstrapsAgain(t, s, bootstrap, nodes)
}

// types has a shell on the workstation do a block, and returns all that it shows.
func (s *station) types(block string) string {
	s.t.Helper()
	return s.must(s.repo, "sh", "-e", "-c", block)
}

func (s *station) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.repo, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// seedPull sets a node up to pull, from the repository of the document and from a second one, and
// has it deploy by what cron calls.
func seedPull(t *testing.T, s *station, doc seedDocument, node *testnode.Node) {
	t.Helper()
	const repos, mirror = "git@repos.example.com:deploy", "git@mirror.example.com:deploy"
	remotes := s.Start(t, testnode.Options{Names: []string{"repos.example.com", "mirror.example.com"}, Users: []string{"git"}})
	key := s.must(s.repo, "ssh", "ubuntu@shellbox-1", "cat", doc.key)
	for _, h := range remotes {
		s.must(s.repo, "ssh", "git@"+h.Name, "git init -q --bare -b master deploy")
		h.Run(t, "echo '"+key+"' >>/home/git/.ssh/authorized_keys")
		node.Run(t, "echo "+h.Addr+" "+h.Name+" >>/etc/hosts; printf 'Host "+h.Name+"\\n Port 2222\\n' >>/root/.ssh/config")
	}
	s.must(s.repo, "git", "push", "-q", repos, "master")
	// One host key is there beforehand, the other one is accepted when it is first seen.
	known := strings.Replace(s.must(s.repo, "grep", "-F", "["+remotes[0].Addr+"]", s.KnownHosts), remotes[0].Addr, remotes[0].Name, 1)
	node.Run(t, "echo '"+known+"' >>/var/lib/troops/ssh/known_hosts")

	s.types(strings.Replace(doc.remote, "NAME", "office", 1))
	cron := node.Run(t, `sed -n 's/^[0-9-]*\/5 \* \* \* \* root //p' /etc/cron.d/troops`)
	pulls := func(what, want string) {
		t.Helper()
		if out := node.Run(t, cron); cron == "" || out != "" {
			t.Errorf("%s: cron mails %q", what, out)
		}
		if at := s.deployed(node); at != want {
			t.Errorf("%s: %s is deployed, not %s", what, at, want)
		}
	}
	pulls("nothing new", s.must(s.repo, "git", "rev-parse", "HEAD"))
	oid := s.commit(map[string]string{"deploy.py": doc.deployPy + "print('pulled from the office')\n"})
	s.must(s.repo, "git", "push", "-q", repos, "master")
	pulls("one remote", oid)

	s.types(strings.NewReplacer("NAME", "mirror", repos, mirror).Replace(doc.remote))
	oid = s.commit(map[string]string{"deploy.py": doc.deployPy + "print('pulled from the mirror')\n"})
	s.must(s.repo, "git", "push", "-q", mirror, "master")
	pulls("all remotes", oid)
	node.Run(t, "cd /var/lib/troops/ssh && ssh-keygen -F '[mirror.example.com]:2222' -f known_hosts && test $(wc -l <known_hosts) = 2")
	if log := node.Run(t, "troops node log"); !strings.Contains(log, "pulled from the mirror") {
		t.Errorf("the run printed\n%s", log)
	}
	// No pure fast-forward: the branch stays, nothing runs.
	s.must(s.repo, "git", "reset", "-q", "--hard", "HEAD~2")
	s.commit(map[string]string{"deploy.py": doc.deployPy + "print('diverged')\n"})
	s.must(s.repo, "git", "push", "-q", "--force", mirror, "master")
	runs := node.Run(t, "ls /var/lib/troops/runs")
	if out, err := node.Exec(t.Context(), cron); !strings.Contains(string(out), "mirror") {
		t.Errorf("cron does not mail of the mirror: %q, %v", out, err)
	}
	if at, left := s.deployed(node), node.Run(t, "ls /var/lib/troops/runs"); at != oid || left != runs {
		t.Errorf("%s is deployed, not %s; runs:\n%s\nbefore\n%s", at, oid, left, runs)
	}
}

// bootstrapsAgain bootstraps ten nodes of which one was made before there was a second name for
// its key, and then once more: nothing changes, and it says so.
func bootstrapsAgain(t *testing.T, s *station, bootstrap []string, nodes []*testnode.Node) {
	t.Helper()
	nodes[0].Run(t, "rm /var/lib/troops/ssh/id_rsa.pub")
	s.troops(bootstrap...).exits(0).shows(`^troops: shellbox-1\.example\.com: made /var/lib/troops/ssh/id_rsa\.pub$`,
		`^troops: 10 of 10 hosts are nodes like this: 1 changed, 9 as they were$`)
	before := make(map[string]string)
	for _, n := range nodes {
		before[n.Name] = traces(t, n)
	}
	p := s.troops(bootstrap...).exits(0)
	p.shows(`^troops: 10 of 10 hosts are nodes like this: 0 changed, 10 as they were$`)
	for _, n := range nodes {
		p.shows(`^troops: ` + regexp.QuoteMeta(n.Name) + `: is a node, nothing to change$`)
		if after := traces(t, n); after != before[n.Name] {
			t.Errorf("%s has changed:\n%s\nbefore\n%s", n.Name, after, before[n.Name])
		}
	}
}
