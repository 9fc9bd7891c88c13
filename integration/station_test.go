package integration

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"troops/integration/testnode"
)

// patience is how long an event that must come may take, on a machine that is busy.
const patience = 2 * time.Minute

// station is a workstation with a deployment repository.
type station struct {
	*testnode.Kit
	t    *testing.T
	repo string
	kind kind // of its nodes
}

func newStation(t *testing.T) *station {
	t.Helper()
	s := &station{Kit: testnode.New(t), t: t, kind: asRoot}
	s.repo = filepath.Join(s.Dir, "deploy")
	s.must(s.Dir, "git", "init", "-q", s.repo)
	return s
}

// nodes starts troops nodes that user ubuntu may push to.
func (s *station) nodes(o testnode.Options) []*testnode.Node {
	s.t.Helper()
	if s.kind.user != "root" {
		return s.ownNodes(o)
	}
	o.Binary = troopsBinary(s.t)
	nodes := s.Start(s.t, o)
	for _, n := range nodes {
		n.Run(s.t, "gpasswd -a ubuntu troops")
	}
	return nodes
}

// must runs a program that has to succeed and returns its output, trimmed.
func (s *station) must(dir string, name string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, s.Env()
	if name == "ssh" {
		cmd.Path = filepath.Join(s.Bin, "ssh")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit writes files to the repository and commits everything; it returns the commit.
func (s *station) commit(files map[string]string) string {
	s.t.Helper()
	for name, text := range files {
		path := filepath.Join(s.repo, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			s.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			s.t.Fatal(err)
		}
	}
	s.must(s.repo, "git", "add", "-A")
	s.must(s.repo, "git", "commit", "-q", "--allow-empty", "-m", s.t.Name())
	return s.must(s.repo, "git", "rev-parse", "HEAD")
}

// deployed is the commit that a node's deployed branch is at, empty before the first.
func (s *station) deployed(n *testnode.Node) string {
	s.t.Helper()
	line := s.must(s.repo, "git", "ls-remote", n.Name+":"+s.kind.repo(), "refs/heads/master")
	oid, _, _ := strings.Cut(line, "\t")
	return oid
}

const repoPath = "/var/lib/troops/repo/main.git"

// process is a program of the workstation that runs.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout testnode.Transcript
	stderr testnode.Transcript
}

// start starts a program in the repository, with its standard input at its end.
func (s *station) start(name string, args ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, cmd: exec.CommandContext(s.t.Context(), name, args...)}
	p.cmd.Dir, p.cmd.Env = s.repo, s.Env()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = p.kill
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// troops starts troops in the repository with the kit's ssh_config.
func (s *station) troops(args ...string) *process {
	s.t.Helper()
	return s.start(troopsBinary(s.t), append([]string{"-F", s.SSHConfig}, args...)...)
}

// kill is kill -9 of the program and its children: git's ssh is one.
func (p *process) kill() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// wait waits for the end and returns the exit code, -1 after a signal.
func (p *process) wait() int {
	p.t.Helper()
	err := p.cmd.Wait()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		p.t.Fatalf("%q: %v", p.cmd.Args, err)
	}
	return p.cmd.ProcessState.ExitCode()
}

// exits waits for the end; another exit code than want ends the test.
func (p *process) exits(want int) *process {
	p.t.Helper()
	if got := p.wait(); got != want {
		p.t.Fatalf("%q: exit code %d, want %d\n%s", p.cmd.Args[1:], got, want, p.said())
	}
	return p
}

// said is all of the output, shortened for a test's message.
func (p *process) said() string {
	const most = 8 << 10
	text := p.stdout.String()
	if len(text) > most {
		text = text[:most/2] + "\n...\n" + text[len(text)-most/2:]
	}
	return text + p.stderr.String()
}

// sees waits until the program has printed a text to its standard output.
func (p *process) sees(text string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if _, err := p.stdout.Wait(ctx, text); err != nil {
		p.t.Fatalf("%q: %v\n%s", p.cmd.Args[1:], err, p.said())
	}
}

// shows fails the test for each pattern that no line of standard output matches.
func (p *process) shows(patterns ...string) {
	p.t.Helper()
	for _, pattern := range patterns {
		if !regexp.MustCompile(`(?m)` + pattern).MatchString(p.stdout.String()) {
			p.t.Errorf("%q: no line matches %s\n%s", p.cmd.Args[1:], pattern, p.said())
		}
	}
}

// lacks fails the test for each pattern that a line of standard output matches.
func (p *process) lacks(patterns ...string) {
	p.t.Helper()
	for _, pattern := range patterns {
		if m := regexp.MustCompile(`(?m)` + pattern).FindString(p.stdout.String()); m != "" {
			p.t.Errorf("%q: %q matches %s\n%s", p.cmd.Args[1:], m, pattern, p.said())
		}
	}
}

// hosts is a deploy.py that has the nodes in role all, followed by more Python.
func hosts(nodes []*testnode.Node, more string) string {
	var names []string
	for _, n := range nodes {
		names = append(names, "'"+n.Name+"'")
	}
	return "import troops\n\ntroops.define_role('all', hosts=[" + strings.Join(names, ", ") + "])\n\n" + more
}

// gate is Python that waits until the node's gate is opened, for [open]. It gets to the gate
// by a fifo, so nothing is polled on either side.
const gate = `
with open('/run/gate') as gate:
    gate.read()
`

// makeGates gives nodes the gate that deploy.py waits at.
func makeGates(t *testing.T, nodes ...*testnode.Node) {
	t.Helper()
	for _, n := range nodes {
		n.Run(t, "mkfifo /run/gate")
	}
}

// open lets what waits at a node's gate, or will, go on. It returns once that is there.
func open(t *testing.T, n *testnode.Node) {
	t.Helper()
	n.Run(t, "echo go >/run/gate")
}

// idle waits until no run holds the node's lock.
func idle(t *testing.T, n *testnode.Node) {
	t.Helper()
	n.Run(t, "flock /var/lib/troops/lock true")
}
