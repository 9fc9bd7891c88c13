package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/charmbracelet/x/vt"
	"golang.org/x/sys/unix"

	"troops/nodeside/sandbox"
)

// gatedFleet is three nodes whose deployment prints a line and waits until open is called for it,
// with a repository to push.
func gatedFleet(t *testing.T, terminal string) (repo string, env []string, open func()) {
	t.Helper()
	dir := t.TempDir()
	names := []string{"one", "two", "three"}
	var gates []*os.File
	for _, name := range names {
		path := filepath.Join(dir, "gate-"+name)
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		gate, err := os.OpenFile(path, os.O_RDWR, 0) // for both ways: nobody waits for the other side
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { gate.Close() })
		gates = append(gates, gate)
	}
	fleet, err := sandbox.Start(context.Background(), sandbox.Options{Dir: dir, Binary: filepath.Join(binDir, "troops"), Names: names})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	repo = filepath.Join(dir, "deployment")
	deploy := `import troops
troops.define_role("all", hosts=["one", "two", "three"])
print("hello \x1b[2J\x1b[?1049h from", troops.hostname())
open("` + dir + `/gate-" + troops.hostname()).readline()
print("goodbye")
`
	open = func() {
		for _, gate := range gates {
			io.WriteString(gate, "go\n")
		}
	}
	t.Cleanup(open) // whatever has happened: the nodes wait for the runs
	env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "TERM="+terminal, "NO_COLOR=1", "CI=", "GITHUB_ACTIONS=", "GITLAB_CI=")
	for _, args := range [][]string{
		{"git", "config", "--global", "user.name", "test"},
		{"git", "config", "--global", "user.email", "test@example.com"},
		{"git", "config", "--global", "troops.nodePath", sandbox.RepoPath},
		{"git", "config", "--global", "troops.sshConfig", fleet.SSHConfig},
		{"git", "init", "-q", "-b", "master", repo},
		{"sh", "-c", `cd "$0" && printf %s "$1" >deploy.py && git add . && git commit -q -m 'Wait.'`, repo, deploy},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	return repo, env, open
}

// resize gives the terminal a size.
func (term *terminal) resize(t *testing.T, width, height uint16) {
	t.Helper()
	raw, err := term.master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) {
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height})
	}); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
}

// remains is what a terminal shows in the end of all that was printed: history and screen.
func (term *terminal) remains(width, height int) (lines []string) {
	screen := vt.NewEmulator(width, height)
	screen.Write([]byte(term.shown()))
	for _, line := range screen.Scrollback().Lines() {
		var b strings.Builder
		for _, c := range line {
			b.WriteString(c.Content)
		}
		lines = append(lines, b.String())
	}
	for line := range strings.SplitSeq(screen.String(), "\n") {
		lines = append(lines, strings.TrimRight(line, " \r"))
	}
	return lines
}

// status is what the status area says while all three nodes are at their gates.
const status = "[0-9]s\\] 3 running"

// TestStatusOnTheTerminal has somebody type beside the status: nothing of it is shown, Enter and
// Ctrl-\ tell the states, and in the end the terminal has lines only, and echoes again.
func TestStatusOnTheTerminal(t *testing.T) {
	repo, env, open := gatedFleet(t, "xterm-256color")
	term := newTerminal(t)
	term.resize(t, 250, 30)
	cmd := term.start(t, repo, env, "push")
	term.await(t, "] 3 running", 1)
	for _, h := range []string{"one", "two", "three"} {
		term.await(t, "from "+h, 1)
	}
	io.WriteString(term.master, "abcde\n")
	term.await(t, "troops: 3 nodes: 3 running, after", 1)
	io.WriteString(term.master, "\x1c")
	term.await(t, "troops: 3 nodes: 3 running, after", 2)
	term.await(t, "running deploy: one three two (3)", 2)
	open()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, term.shown())
	}
	term.await(t, "3 deployed", 1)
	line := regexp.MustCompile(`^((one  |two  |three) [|!*] .*|troops: .*)?$`)
	for _, got := range term.remains(250, 30) {
		if !line.MatchString(got) {
			t.Errorf("the terminal has %q", got)
		}
	}
	if strings.Contains(term.shown(), "abcde") || strings.Contains(term.shown(), "\x1b[2J") {
		t.Errorf("the terminal shows\n%q", term.shown())
	}
	echoes(t, term)
}

// TestStopped has the user stop the program and let it go on: the shell gets a terminal that echoes
// and has no status.
func TestStopped(t *testing.T) {
	repo, env, open := gatedFleet(t, "xterm-256color")
	term := newTerminal(t)
	term.resize(t, 100, 30)
	cmd := term.start(t, repo, env, "push")
	term.await(t, "] 3 running", 1)
	for _, h := range []string{"one", "two", "three"} {
		term.await(t, "from "+h, 1)
	}
	io.WriteString(term.master, "\x1a")
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &ws, syscall.WUNTRACED, nil); err != nil || !ws.Stopped() {
		t.Fatalf("it is not stopped: %v, %v", ws, err)
	}
	term.await(t, "\r\x1b[J\x1b[?2026l", 1) // the status is erased
	echoes(t, term)
	before := len(regexp.MustCompile(status).FindAllString(term.shown(), -1))
	if lines := strings.Join(term.remains(100, 30), "\n"); regexp.MustCompile(status).MatchString(lines) {
		t.Errorf("the status is still there:\n%s", lines)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	term.await(t, "] 3 running", before+1)
	open()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, term.shown())
	}
	term.await(t, "3 deployed", 1)
	echoes(t, term)
}

// TestLeftAtTheTerminal ends the program twice over: the terminal is as it was.
func TestLeftAtTheTerminal(t *testing.T) {
	repo, env, open := gatedFleet(t, "xterm-256color")
	term := newTerminal(t)
	term.resize(t, 60, 20)
	cmd := term.start(t, repo, env, "push")
	term.await(t, "] 3 running", 1)
	for _, h := range []string{"one", "two", "three"} {
		term.await(t, "from "+h, 1)
	}
	io.WriteString(term.master, "\x03")
	term.await(t, "Ctrl-C again", 1)
	io.WriteString(term.master, "\x03")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("%v\n%s", err, term.shown())
	}
	term.await(t, "3 unknown", 1)
	echoes(t, term)
	if lines := strings.Join(term.remains(60, 20), "\n"); regexp.MustCompile(status).MatchString(lines) {
		t.Errorf("the status is still there:\n%s", lines)
	}
	open() // the runs go on: they end before the nodes do
}

// TestDumbTerminal has no status and no sequences, and the terminal's own echo.
func TestDumbTerminal(t *testing.T) {
	repo, env, open := gatedFleet(t, "dumb")
	term := newTerminal(t)
	term.resize(t, 100, 30)
	cmd := term.start(t, repo, env, "push")
	for _, h := range []string{"one", "two", "three"} {
		term.await(t, "from "+h, 1)
	}
	open()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, term.shown())
	}
	term.await(t, "3 deployed", 1)
	if text := term.shown(); strings.Contains(text, "\x1b") || strings.Contains(text, "] 3 running") {
		t.Errorf("the terminal shows\n%q", text)
	}
}
