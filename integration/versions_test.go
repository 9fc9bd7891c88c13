package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// edit is a change of the source, by which another troops is built. The text has to be there
// once: a test whose old version is no longer one fails.
type edit struct{ file, old, new string }

// buildWith builds troops from the source with changes, which are laid over the files.
func buildWith(t *testing.T, name string, edits ...edit) string {
	t.Helper()
	dir := t.TempDir()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	replaced := make(map[string]string)
	for _, e := range edits {
		path := filepath.Join(root, e.file)
		from := path
		if replaced[path] != "" {
			from = replaced[path] // another edit of the same file
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), e.old); n != 1 {
			t.Fatalf("%s has %d times %q", e.file, n, e.old)
		}
		replaced[path] = filepath.Join(dir, strings.ReplaceAll(e.file, "/", "+"))
		if err := os.WriteFile(replaced[path], []byte(strings.Replace(string(text), e.old, e.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	file, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, name)
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", file, "-o", binary, "troops/cmd/troops").CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return binary
}

// nextProtocol is troops of a time when the protocol has the next version.
func nextProtocol(t *testing.T) string {
	t.Helper()
	return buildWith(t, "next", edit{"nodeside/wire/version.go", `const Version = "1"`, `const Version = "2"`})
}

// with starts a troops in the repository with the kit's ssh_config.
func (s *station) with(program string, args ...string) *process {
	s.t.Helper()
	return s.start(program, append([]string{"-F", s.SSHConfig}, args...)...)
}

// The words about a node of another version, and what upgrades it.
const (
	older = `its troops is older than this one \(protocol 1, here 2\); upgrade it with (troops bootstrap old\.example\.com)`
	newer = `its troops is newer than this one \(protocol 2, here 1\); upgrade troops here`
)

// TestOtherVersion has a node and a workstation of each of two versions of the protocol. Those
// that differ say what is to be upgraded and leave the node alone; the command that they name
// makes it work.
func TestOtherVersion(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	old, next := troopsBinary(t), nextProtocol(t)
	nodes := s.nodes(testnode.Options{Names: []string{"old.example.com"}})
	nodes = append(nodes, s.Start(t, testnode.Options{Names: []string{"new.example.com"}, Binary: next})...)
	nodes[1].Run(t, "gpasswd -a ubuntu troops")
	for _, c := range []struct {
		program, words string
		left, other    *testnode.Node // by name: the one that it cannot push to
	}{{old, newer, nodes[1], nodes[0]}, {next, older, nodes[0], nodes[1]}} {
		s.commit(map[string]string{"deploy.py": hosts(nodes, "print('deployed')\n")})
		host, before := "--host="+c.left.Name, traces(t, c.left)
		refused := `^` + c.left.Name + ` +\* refused: ` + c.words + `$`
		s.with(c.program, "push", host).exits(1).shows(refused, `^troops: 1 node: 1 refused in `)
		s.with(c.program, "push", "--no-wait", host).exits(1).shows(refused)
		s.with(c.program, "push", "--dry-run", host).exits(1).shows(`^troops: 1 node refused: ` + strings.Replace(c.words, "old\\.example\\.com", "HOST", 1) + `: ` + c.left.Name + `$`)
		s.with(c.program, "pull", host).exits(1).shows(refused)
		s.with(c.program, "tail", host).exits(1).shows(`^` + c.left.Name + ` +\* the node's runs cannot be followed: ` + c.words + `$`)
		s.with(c.program, "status", host).exits(1).shows(strings.Replace(c.words, "old\\.example\\.com", "HOST", 1) + `$`)
		s.with(c.program, "cancel", host, "01ARZ3NDEKTSV4RRFFQ69G5FAV").exits(1)
		s.with(c.program, "doctor", c.left.Name).exits(1).shows(`^  FAIL  repository      its troops is `)
		if after := traces(t, c.left); after != before {
			t.Errorf("%s was changed:\n%s\nbefore\n%s", c.left.Name, after, before)
		}
		// Others are deployed to all the same, and git, which knows no version, deploys there, too.
		s.with(c.program, "push").exits(1).shows(refused, `^troops: 2 nodes: 1 (deployed|current), 1 refused in `)
		s.must(s.repo, "git", "push", "-q", c.left.Name+":"+repoPath, "master")
		s.with(c.program, "push", "--host="+c.other.Name).exits(0).shows("1 current")
	}
	upgraded(t, s, next, nodes)
}

// upgraded follows the advice: the old node gets the next troops by the command that a push names.
func upgraded(t *testing.T, s *station, next string, nodes []*testnode.Node) {
	t.Helper()
	s.commit(map[string]string{"deploy.py": hosts(nodes, "print('deployed again')\n")})
	command := s.advice(next)
	s.with(next, command...).exits(0).shows(`^troops: old\.example\.com: installed troops `, `^troops: old\.example\.com: node init changed 2 more things`)
	s.with(next, append([]string{"-v"}, command...)...).exits(0).shows(`^troops: old\.example\.com: is a node, nothing to change$`)
	if refs := nodes[0].Run(t, "git --git-dir="+repoPath+" for-each-ref --format='%(refname)' 'refs/troops/v*'"); refs != "refs/troops/v2" {
		t.Errorf("it speaks %q", refs)
	}
	s.with(next, "push").exits(0).shows(`^troops: 2 nodes: 1 deployed, 1 current in `)
	s.with(next, "tail", "--no-follow").exits(0).shows(`\| deployed again$`)
}

// advice is the command by which a push says that a node is upgraded, without its first word.
func (s *station) advice(program string) []string {
	s.t.Helper()
	p := s.with(program, "push").exits(1)
	m := regexp.MustCompile(`(?m)^old\.example\.com +\* refused: ` + older + `$`).FindStringSubmatch(p.stdout.String())
	if m == nil {
		s.t.Fatalf("no advice in\n%s", p.said())
	}
	return strings.Fields(m[1])[1:]
}

// traces are the files of a node, down to their times.
func traces(t *testing.T, n *testnode.Node) string {
	t.Helper()
	return n.Run(t, `find /usr/local /var/lib/troops /etc ! -type d -printf '%p %m %U:%G %s %T@ %l\n' | sort`)
}

// TestUpgradeUnderRun upgrades a node, to another version of the protocol even, while a deployment
// works and is followed: it ends by the program that began it, and nobody notices.
func TestUpgradeUnderRun(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	next := nextProtocol(t)
	nodes := s.nodes(testnode.Options{Names: []string{"old.example.com"}})
	makeGates(t, nodes...)
	oid := s.commit(map[string]string{"deploy.py": hosts(nodes, lines("before", 20000)+gate+lines("after", 20000))})
	p := s.troops("push")
	p.sees("before 19999")
	s.with(next, "bootstrap", nodes[0].Name).exits(0).shows(`^troops: old\.example\.com: installed troops `)
	const works = `readlink /proc/$(pgrep -f ' run [0-9A-Z]{26}$')/exe`
	if exe := nodes[0].Run(t, works); exe != "/usr/local/bin/troops (deleted)" {
		t.Errorf("the run is now by %q", exe)
	}
	open(t, nodes[0])
	p.exits(0).shows(`^troops: 1 node: 1 deployed in `)
	p.lacks("lost contact")
	if got := p.said(); p.whole("before") != 20000 || p.whole("after") != 20000 {
		t.Errorf("not all of its output came:\n%s", got)
	}
	v := invariants{commits: []string{oid}, checked: make(map[string]bool)}
	v.hold(t, s, nodes[0])
	// The new program has what the old one wrote; its like deploys there from now on.
	seen := s.with(next, "tail", "--no-follow").exits(0)
	if seen.whole("before") != 20000 || seen.whole("after") != 20000 {
		t.Errorf("not all of the log was shown:\n%s", seen.said())
	}
	s.commit(map[string]string{"deploy.py": hosts(nodes, "print('by the new one')\n")})
	s.troops("push").exits(1).shows(`^old\.example\.com \* refused: ` + newer + `$`)
	s.with(next, "push").exits(0).shows(`\| by the new one$`)
}

// lines is Python that prints numbered lines.
func lines(word string, n int) string {
	return fmt.Sprintf("for i in range(%d): print('%s', i, flush=i == %[1]d - 1)\n", n, word)
}

// whole counts the lines of [lines] that were shown, up to the first that is not in its place.
func (p *process) whole(word string) (n int) {
	for line := range strings.Lines(p.stdout.String()) {
		if strings.HasSuffix(line, fmt.Sprintf("| %s %d\n", word, n)) {
			n++
		}
	}
	return n
}
