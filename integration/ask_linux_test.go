package integration

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"troops/integration/testnode"
)

// question ends what troops asks about host keys.
const question = "and go on? [yes/no] "

// slowKeys is what may be printed before, on a machine that is busy.
const slowKeys = "troops: waiting for the keys of hosts that are not known yet ...\n"

// atTerminal is a program whose terminal somebody sits at.
type atTerminal struct {
	*process
	keyboard *os.File
	screen   testnode.Transcript
	read     sync.WaitGroup
}

// terminal starts troops on a terminal of its own. Its output goes there, too, where mixed.
func (s *station) terminal(config string, mixed bool, args ...string) *atTerminal {
	s.t.Helper()
	master, slave := openPTY(s.t)
	p := &atTerminal{keyboard: master}
	p.process = &process{t: s.t, cmd: exec.CommandContext(s.t.Context(), troopsBinary(s.t), append([]string{"-F", config}, args...)...)}
	p.cmd.Dir, p.cmd.Env = s.repo, s.Env()
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, &p.stdout, &p.stderr
	if mixed {
		p.cmd.Stdout, p.cmd.Stderr = slave, slave
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := p.cmd.Start()
	slave.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	p.read.Go(func() { io.Copy(&p.screen, master) }) // until nobody has the terminal any more
	s.t.Cleanup(func() { p.read.Wait(); master.Close() })
	return p
}

// openPTY makes a pseudo-terminal.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// answers waits for the question number n and types an answer.
func (p *atTerminal) answers(n int, answer string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for size := int64(1); strings.Count(p.screen.String(), question) < n; size = int64(len(p.screen.String())) + 1 {
		if err := p.screen.WaitSize(ctx, size); err != nil {
			p.t.Fatalf("no question %d: %v\n%s\n%s", n, err, p.screen.String(), p.said())
		}
	}
	if got := strings.ReplaceAll(p.stdout.String(), slowKeys, ""); got != "" {
		p.t.Errorf("before question %d is answered, there is output:\n%s", n, got)
	}
	if _, err := io.WriteString(p.keyboard, answer); err != nil {
		p.t.Fatal(err)
	}
}

// ends waits for the end, with an exit code and after so many questions, and gives the screen.
func (p *atTerminal) ends(code, questions int) string {
	p.t.Helper()
	p.exits(code)
	p.read.Wait()
	screen := strings.ReplaceAll(p.screen.String(), "\r\n", "\n")
	if got := strings.Count(screen, question); got != questions {
		p.t.Fatalf("%d questions, want %d\n%s\n%s", got, questions, screen, p.said())
	}
	return screen
}

// unknown is a configuration that knows no host key: file is where they go.
func (s *station) unknown(file, more string) (config string) {
	s.t.Helper()
	text, err := os.ReadFile(s.SSHConfig)
	if err != nil {
		s.t.Fatal(err)
	}
	changed := strings.NewReplacer("UserKnownHostsFile "+s.KnownHosts, "UserKnownHostsFile "+file, "StrictHostKeyChecking yes", "StrictHostKeyChecking ask").Replace(string(text))
	config = file + ".config"
	if err := os.WriteFile(config, []byte(more+changed), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return config
}

// listed is a node's line in a list of keys.
func (s *station) listed(n *testnode.Node, what string) string {
	s.t.Helper()
	name := fmt.Sprintf("[%s]:%d", n.Addr, testnode.Port)
	out := s.must(s.Dir, "ssh-keygen", "-l", "-F", name, "-f", s.KnownHosts)
	fields := strings.Fields(out[strings.LastIndex(out, "\n")+1:])
	fingerprint := fields[len(fields)-1]
	return fmt.Sprintf("  %s (%s)  ssh-ed25519  %s\n", what, name, fingerprint)
}

func TestHostKeysAreAskedAboutOnce(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: []string{"web-1.example.com", "web-2.example.com", "inner.example.com", "gate.example.com"}})
	web1, web2, inner, gate := nodes[0], nodes[1], nodes[2], nodes[3]
	s.commit(map[string]string{"deploy.py": hosts(nodes[:3], "")})
	known := filepath.Join(s.Dir, "new_hosts")
	config := s.unknown(known, "Host inner.example.com\n\tProxyJump gate.example.com\n")
	nothingDeployed := func() {
		t.Helper()
		for _, n := range nodes[:3] {
			if got := s.deployed(n); got != "" {
				t.Errorf("%s has %s", n.Name, got)
			}
		}
	}

	p := s.terminal(config, false, "push")
	p.answers(1, "perhaps\nno\n")
	screen := p.ends(2, 1)
	list := s.listed(gate, "jump host gate.example.com") + s.listed(web1, "web-1.example.com         ") + s.listed(web2, "web-2.example.com         ")
	for _, part := range []string{"3 hosts are not known yet", "Accepted keys go to " + known, "Add these 3 keys " + question, "Please type yes or no: "} {
		if !strings.Contains(screen, part) {
			t.Errorf("the screen lacks %q", part)
		}
	}
	if compact := strings.Join(strings.Fields(screen), " "); !strings.Contains(compact, strings.Join(strings.Fields(list), " ")) {
		t.Errorf("the screen lacks\n%s", list)
	}
	if !strings.Contains(p.stderr.String(), "the host keys were not accepted: nothing was deployed") || strings.ReplaceAll(p.stdout.String(), slowKeys, "") != "" {
		t.Errorf("said\n%s", p.said())
	}
	if _, err := os.Stat(known); err == nil {
		t.Error("keys were added after a no")
	}
	nothingDeployed()

	// What is behind the jump host makes a second round.
	p = s.terminal(config, false, "push")
	p.answers(1, "yes\n")
	p.answers(2, "no\n")
	if screen = p.ends(2, 2); !strings.Contains(screen, s.listed(inner, "inner.example.com")) || strings.Count(screen, "SHA256:") != 4 {
		t.Errorf("the screen is\n%s", screen)
	}
	nothingDeployed()

	// The first round's keys are kept. Nothing is printed before the answer.
	p = s.terminal(config, true, "push")
	p.answers(1, "yes\n")
	screen = p.ends(0, 1)
	before, after, _ := strings.Cut(screen, question)
	if strings.Count(before, "SHA256:") != 1 || strings.Contains(before, " * ") || !strings.Contains(after, "3 nodes: 3 deployed in ") {
		t.Errorf("the screen is\n%s", screen)
	}
	s.terminal(config, false, "push").ends(0, 0)
	if t.Failed() {
		t.Logf("the last screen:\n%s", screen)
	}
}

func TestHostKeyQuestionIsLeft(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: []string{"web.example.com"}})
	s.commit(map[string]string{"deploy.py": hosts(nodes, "")})
	known := filepath.Join(s.Dir, "new_hosts")
	config := s.unknown(known, "")
	for key, code := range map[string]int{"\x03": 130, "\x04": 2, "\n": 2} { // Ctrl-C, end of file
		p := s.terminal(config, false, "push")
		p.answers(1, key)
		p.ends(code, 1)
	}

	// Nobody can answer: not with BatchMode, and not without a terminal.
	batch := s.terminal(s.unknown(filepath.Join(s.Dir, "batch"), "BatchMode yes\n"), false, "push")
	batch.ends(1, 0)
	piped := s.start(troopsBinary(t), "-F", config, "push")
	piped.exits(1)
	for _, p := range []*process{batch.process, piped} {
		p.shows(`^web\.example\.com \* unreachable: .*host key of .* is not known \(ssh-ed25519 SHA256:.*connect once with .ssh web\.example\.com., or add the output of .ssh-keyscan .* to /`)
	}
	if _, err := os.Stat(known); err == nil || s.deployed(nodes[0]) != "" {
		t.Errorf("known_hosts: %v, deployed %q", err, s.deployed(nodes[0]))
	}

	// An ssh in a ProxyCommand has no terminal to ask on, where it would spoil the output.
	proxied := s.unknown(filepath.Join(s.Dir, "proxied"), fmt.Sprintf("Host web.example.com\n\tProxyCommand /usr/bin/ssh -F %s -W %%h:%%p web.example.com\n", config))
	alone := s.terminal(proxied, false, "push")
	if screen := alone.ends(1, 0); screen != "" {
		t.Errorf("on the screen:\n%s", screen)
	}
	alone.shows(`^web\.example\.com \* unreachable: .*ProxyCommand ended .*it said: .*Host key verification failed`)

	// The ssh program reads what was accepted here.
	p := s.terminal(config, false, "push", "--transport", "openssh")
	p.answers(1, "yes\n")
	p.ends(0, 1)
}
