package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"troops/nodeside/sandbox"
)

// patience is how long a test waits for what must come.
const patience = 60 * time.Second

// terminal is a pseudo-terminal with everything that was printed on it.
type terminal struct {
	master, slave *os.File

	mu      sync.Mutex
	changed *sync.Cond
	text    bytes.Buffer
	ended   bool
	read    sync.WaitGroup
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var perr error
	if err := raw.Control(func(fd uintptr) {
		if perr = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); perr == nil {
			number, perr = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil || perr != nil {
		t.Fatal(err, perr)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{master: master, slave: slave}
	term.changed = sync.NewCond(&term.mu)
	term.read.Go(func() {
		_, _ = io.Copy(term, master) // ends with EIO when the last user of the terminal is gone
		term.end()
	})
	t.Cleanup(func() { slave.Close(); master.Close(); term.read.Wait() })
	return term
}

// Write implements [io.Writer] for what is printed.
func (term *terminal) Write(b []byte) (int, error) {
	term.mu.Lock()
	defer term.mu.Unlock()
	defer term.changed.Broadcast()
	return term.text.Write(b)
}

func (term *terminal) end() {
	term.mu.Lock()
	defer term.mu.Unlock()
	term.ended = true
	term.changed.Broadcast()
}

// await waits until the terminal shows text for the nth time.
func (term *terminal) await(t *testing.T, text string, n int) {
	t.Helper()
	timer := time.AfterFunc(patience, term.end)
	defer timer.Stop()
	term.mu.Lock()
	defer term.mu.Unlock()
	for strings.Count(term.text.String(), text) < n {
		if term.ended {
			t.Fatalf("waited in vain for %q:\n%s", text, term.text.String())
		}
		term.changed.Wait()
	}
}

// shown is everything so far.
func (term *terminal) shown() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.text.String()
}

// start runs troops with the terminal as its own, as a shell does.
func (term *terminal) start(t *testing.T, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(filepath.Join(binDir, "troops"), args...)
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = term.slave, term.slave, term.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // else a test that fails waits for the terminal's last user
	return cmd
}

// lockedFleet is some nodes whose key has the passphrase "open sesame", with a repository to push.
func lockedFleet(t *testing.T) (repo string, env []string) {
	t.Helper()
	dir := t.TempDir()
	fleet, err := sandbox.Start(context.Background(), sandbox.Options{Dir: dir, Binary: filepath.Join(binDir, "troops"), Names: []string{"one", "two", "three"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	repo = filepath.Join(dir, "deployment")
	env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "TERM=dumb", "SSH_ASKPASS=", "SSH_ASKPASS_REQUIRE=", "DISPLAY=", "WAYLAND_DISPLAY=", "CI=", "GITHUB_ACTIONS=", "GITLAB_CI=")
	for _, args := range [][]string{
		{"ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", fleet.KeyFile},
		{"git", "config", "--global", "user.name", "test"},
		{"git", "config", "--global", "user.email", "test@example.com"},
		{"git", "config", "--global", "troops.nodePath", sandbox.RepoPath},
		{"git", "config", "--global", "troops.sshConfig", fleet.SSHConfig},
		{"git", "init", "-q", "-b", "master", repo},
		{"sh", "-c", `cd "$0" && echo 'import troops
troops.define_role("all", hosts=["one", "two", "three"])' >deploy.py && git add . && git commit -q -m 'Say hello.'`, repo},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	return repo, env
}

const passphrasePrompt = "Enter passphrase for key '"

func TestPassphraseOnTheTerminal(t *testing.T) {
	for _, name := range []string{"dumb", "xterm-256color"} { // the latter has a status area
		t.Run(name, func(t *testing.T) { passphraseOnTheTerminal(t, name) })
	}
}

func passphraseOnTheTerminal(t *testing.T, name string) {
	repo, env := lockedFleet(t)
	term := newTerminal(t)
	term.resize(t, 100, 30)
	cmd := term.start(t, repo, append(env, "TERM="+name), "push")
	term.await(t, passphrasePrompt, 1)
	io.WriteString(term.master, "wrong\n")
	term.await(t, passphrasePrompt, 2)
	io.WriteString(term.master, "open sesamX\x7fe\n") // with a slip of the finger
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, term.shown())
	}
	term.await(t, "3 deployed", 1)
	if text := term.shown(); strings.Count(text, passphrasePrompt) != 2 || strings.Contains(text, "wrong") || strings.Contains(text, "sesam") {
		t.Errorf("the terminal shows\n%s", text)
	}
	echoes(t, term)
}

func TestInterruptAtTheQuestion(t *testing.T) {
	repo, env := lockedFleet(t)
	term := newTerminal(t)
	cmd := term.start(t, repo, env, "push")
	term.await(t, passphrasePrompt, 1)
	io.WriteString(term.master, "\x03")
	var ee *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &ee) || ee.ExitCode() != exitInterrupted {
		t.Errorf("%v\n%s", err, term.shown())
	}
	echoes(t, term)
}

// echoes checks that the terminal shows again what is typed.
func echoes(t *testing.T, term *terminal) {
	t.Helper()
	raw, err := term.slave.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var state *unix.Termios
	if cerr := raw.Control(func(fd uintptr) { state, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	if state.Lflag&unix.ECHO == 0 {
		t.Error("the terminal was left without echo")
	}
}

func TestWhoIsAsked(t *testing.T) {
	for _, tt := range []struct {
		env                map[string]string
		preferred, allowed bool
	}{
		{nil, false, false},
		{map[string]string{"DISPLAY": ":0"}, false, true},
		{map[string]string{"WAYLAND_DISPLAY": "w"}, false, true},
		{map[string]string{"SSH_ASKPASS_REQUIRE": "prefer"}, false, false},
		{map[string]string{"SSH_ASKPASS_REQUIRE": "prefer", "DISPLAY": ":0"}, true, true},
		{map[string]string{"SSH_ASKPASS_REQUIRE": "Force"}, true, true},
		{map[string]string{"SSH_ASKPASS_REQUIRE": "never", "DISPLAY": ":0"}, false, false},
	} {
		a := asker{env: func(k string) string { return tt.env[k] }, tty: "/nonexistent"}
		preferred, allowed := a.askpass()
		if preferred != tt.preferred || allowed != tt.allowed || a.can() != tt.allowed {
			t.Errorf("%v: preferred %t, allowed %t, can %t", tt.env, preferred, allowed, a.can())
		}
	}
}
