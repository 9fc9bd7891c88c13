//go:build linux

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"troops/integration/testnode"
)

// way is one way to reach nodes: how to call troops, and what it says about it with -v.
type way struct {
	name string
	env  []string
	args []string // before push
	more []string // after it
	want string   // a pattern
	git  string   // core.sshCommand
}

// waysWith are all ways to reach nodes by an ssh configuration.
func waysWith(s *station, config string) []way {
	s.t.Helper()
	simple := filepath.Join(filepath.Dir(config), "corp-ssh")
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in -*) exit 64;; esac\nexec /usr/bin/ssh -F '%s' -o BatchMode=yes \"$@\"\n", config)
	if err := os.WriteFile(simple, []byte(script), 0o755); err != nil {
		s.t.Fatal(err)
	}
	f, command := []string{"-F", config}, "/usr/bin/ssh -F "+config
	return []way{
		{name: "native", args: f, more: []string{"--transport", "native"}, want: "native"},
		{name: "openssh", args: f, more: []string{"--transport", "openssh"}, want: "ssh, for the transport openssh"},
		{name: "GIT_SSH_COMMAND", env: []string{"GIT_SSH_COMMAND=" + command}, want: "the program of GIT_SSH_COMMAND"},
		{name: "core.sshCommand", git: command, want: `the program of core\.sshCommand`},
		{name: "GIT_SSH", env: []string{"GIT_SSH=" + simple}, want: "the program of GIT_SSH, a process for each command"},
	}
}

// push starts a push by a way. Whatever it leaves behind, below tmp or as a process, can be
// told by tmp, which is its directory for temporary files.
func (w way) push(s *station, tmp string) *process {
	s.t.Helper()
	s.must(s.repo, "sh", "-c", `git config --unset-all core.sshCommand; [ -z "$1" ] || git config core.sshCommand "$1"`, "sh", w.git)
	args := append([]string{"TMPDIR=" + tmp}, w.env...)
	args = append(append(append(args, troopsBinary(s.t)), w.args...), "-v", "push")
	return s.start("env", append(args, w.more...)...)
}

// interrupt is a Ctrl-C, which a terminal sends to the program and to its children.
func (p *process) interrupt() {
	p.t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
}

// leaves interrupts a push twice, as who does not want to wait for it any more.
func (p *process) leaves() {
	p.t.Helper()
	p.interrupt()
	p.sees("interrupted: no more hosts are started")
	p.interrupt()
	p.exits(130)
}

// tmpDir is a directory with a short path, for sockets.
func tmpDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "troops-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// nothingLeft fails the test where a push has left a file, a socket or a process behind.
func nothingLeft(t *testing.T, tmp string) {
	t.Helper()
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the directory for temporary files: %v, %v", left, err)
	}
	for _, pid := range processesWith(t, "environ", "TMPDIR="+tmp+"\x00") {
		gone(t, pid) // those of ours have ended: a child of theirs may be at it
	}
}

// withConfig writes an ssh configuration: text, then the kit's.
func withConfig(s *station, text string) (path string) {
	s.t.Helper()
	base, err := os.ReadFile(s.SSHConfig)
	if err != nil {
		s.t.Fatal(err)
	}
	path = filepath.Join(tmpDir(s.t), "config")
	if err := os.WriteFile(path, append([]byte(text), base...), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// userMaster starts a ControlMaster as a user would: the configuration has its ControlPath
// below the directory dir.
func userMaster(t *testing.T, config, dir, host string) *exec.Cmd {
	t.Helper()
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Add(dir); err != nil {
		t.Fatal(err)
	}
	master := exec.Command("/usr/bin/ssh", "-F", config, "-M", "-N", host)
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Process.Kill(); master.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		select {
		case e := <-w.Events:
			if e.Has(fsnotify.Create) && !strings.Contains(filepath.Base(e.Name), ".") { // ssh makes it under a longer name first
				return master
			}
		case <-ctx.Done():
			t.Fatal("the user's master made no socket")
		}
	}
}

// processesWith gives the processes in one of whose files below /proc a text stands: cmdline
// or environ, with a NUL between two words.
func processesWith(t *testing.T, file, text string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/" + file)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if line, err := os.ReadFile(f); err == nil && bytes.Contains(line, []byte(text)) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
	}
	return pids
}

// gone waits for the end of a process that is no child of ours.
func gone(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			t.Fatalf("process %d is still there: %q, %v", pid, line, err)
		}
		return
	}
}

// behind has nodes reached through jump hosts only: by a name that those alone can resolve.
func behind(s *station, n *testnode.Node, jumps ...*testnode.Node) (config string) {
	s.t.Helper()
	inner := func(n *testnode.Node) string { return "inner-" + strings.Split(n.Name, ".")[0] }
	known, err := os.ReadFile(s.KnownHosts)
	if err != nil {
		s.t.Fatal(err)
	}
	var text, keys strings.Builder
	for i, next := range append(slices.Clone(jumps), n)[1:] {
		jumps[i].Run(s.t, fmt.Sprintf("echo %s %s >>/etc/hosts", next.Addr, inner(next)))
		fmt.Fprintf(&text, "Host %s\n\tHostName %s\n\tProxyJump %s\n", next.Name, inner(next), jumps[i].Name)
		fmt.Fprintf(&keys, "[%s]:%d ssh-ed25519 %s\n", inner(next), testnode.Port, hostKeyOf(s.t, string(known), next))
	}
	if err := os.WriteFile(s.KnownHosts, append(known, keys.String()...), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return withConfig(s, text.String())
}
