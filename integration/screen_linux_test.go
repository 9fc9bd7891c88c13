package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"troops/integration/testnode"
)

// terminalStops is how long a terminal does not read what is written to it: longer than the node's
// heartbeats may be missed.
const terminalStops = 30 * time.Second

// muchOutput is more than any buffer between a node and a terminal takes.
const muchOutput = `
for i in range(30000):
    print('line', i, 'x' * 100)
`

// TestTerminalThatStops has a terminal read nothing for half a minute, as after Ctrl-S or behind a
// lost connection: the runs end meanwhile, and all of their lines are there afterwards.
func TestTerminalThatStops(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: testnode.Names("web-%d.example.com", 2)})
	s.commit(map[string]string{"deploy.py": hosts(nodes, muchOutput)})
	master, slave := openPTY(t)
	defer master.Close()
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: 200, Row: 40}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), troopsBinary(t), "-F", s.SSHConfig, "push")
	cmd.Dir, cmd.Env = s.repo, append(s.Env(), "TERM=xterm-256color")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err := cmd.Start()
	slave.Close()
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	first := make([]byte, 1)
	if _, err := io.ReadFull(master, first); err != nil {
		t.Fatal(err)
	}
	head := s.must(s.repo, "git", "rev-parse", "HEAD")
	for _, n := range nodes {
		for s.deployed(n) != head {
			if time.Since(begin) > patience {
				t.Fatalf("%s has not deployed while the terminal stands still", n.Name)
			}
			idle(t, n)
		}
	}
	time.Sleep(terminalStops - time.Since(begin)) // that it is so long is what is tested
	rest, _ := io.ReadAll(master)                 // ends with an error when nobody has the terminal any more
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, rest[max(0, len(rest)-2000):])
	}
	text := strings.ReplaceAll(string(first)+string(rest), "\r\n", "\n")
	if !strings.Contains(text, "2 nodes: 2 deployed") {
		t.Errorf("the end is\n%s", text[max(0, len(text)-2000):])
	}
	for _, n := range nodes {
		lines := regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(n.Name)+` \| line (\d+) x{100}$`).FindAllStringSubmatch(plain(text), -1)
		if len(lines) != 30000 {
			t.Errorf("%s has %d lines", n.Name, len(lines))
		}
		for i, m := range lines {
			if m[1] != fmt.Sprint(i) {
				t.Fatalf("%s: line %s instead of %d", n.Name, m[1], i)
			}
		}
	}
}

var sequences = regexp.MustCompile(`\x1b\[[?0-9;]*[A-Za-z]|\r`)

// plain is a terminal's text without the sequences. Where the status is erased a line begins.
func plain(text string) string {
	return sequences.ReplaceAllString(strings.ReplaceAll(text, "\x1b[J", "\n"), "")
}

// TestFullLogDir has the disk full that the logs of hosts go to: the hosts get all, the user is told,
// and what could be kept is there.
func TestFullLogDir(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: testnode.Names("web-%d.example.com", 2)})
	s.commit(map[string]string{"deploy.py": hosts(nodes, muchOutput)})
	dir := filepath.Join(s.Dir, "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	p := s.troops("push", "--log-dir", dir).exits(1)
	p.shows(`^troops: 2 nodes: 2 deployed in `, `^troops: warning: the log of web-\d\.example\.com is not whole: .*no space left on device; the deployment goes on$`)
	if n := strings.Count(p.stdout.String(), "\nweb-"); n < 60000 {
		t.Errorf("%d lines", n)
	}
	if !strings.Contains(p.stderr.String(), "no space left on device") {
		t.Errorf("standard error says %q", p.stderr.String())
	}
	head, kept := s.must(s.repo, "git", "rev-parse", "HEAD"), 0
	var whole strings.Builder
	for i := range 30000 {
		fmt.Fprintf(&whole, "line %d %s\n", i, strings.Repeat("x", 100))
	}
	for _, n := range nodes {
		if got := s.deployed(n); got != head {
			t.Errorf("%s is at %s", n.Name, got)
		}
		text := string(readFile(t, filepath.Join(dir, n.Name+".log")))
		if !strings.HasPrefix(whole.String(), text) {
			t.Errorf("the log of %s begins with %.40q", n.Name, text)
		}
		kept += len(text)
	}
	if kept < 200<<10 {
		t.Errorf("%d bytes are kept", kept)
	}
	s.troops("push", "--log-dir", dir).exits(1).shows(`^troops: 2 nodes: 2 current in `)
}
