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
	"strconv"
	"syscall"
	"testing"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"troops/integration/testnode"
)

// TestTransports pushes to a real node by each transport, with the real ssh program.
func TestTransports(t *testing.T) {
	s := newStation(t)
	n := s.nodes(testnode.Options{Names: []string{"way.example.com"}})[0]
	makeGates(t, n)
	commit := func(t *testing.T, more string) {
		s.t = t
		s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, "print('begun', flush=True)\n"+more+"print('done')\n")})
	}
	push := func(env []string, args ...string) *process {
		args = append(append(env, troopsBinary(s.t)), args...)
		return s.start("env", args...)
	}
	withConfig := []string{"-F", s.SSHConfig, "-v", "push"}
	simple := filepath.Join(s.Dir, "corp-ssh")
	script := fmt.Sprintf("#!/bin/sh\ncase $1 in -*) exit 64;; esac\nexec /usr/bin/ssh -F '%s' -o BatchMode=yes \"$@\"\n", s.SSHConfig)
	if err := os.WriteFile(simple, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	command := "/usr/bin/ssh -F " + s.SSHConfig
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"native", nil, withConfig, "native"},
		{"openssh", nil, append(withConfig, "--transport", "openssh"), "ssh, for the transport openssh"},
		{"variable", []string{"TROOPS_TRANSPORT=openssh"}, withConfig, "ssh, for the transport openssh"},
		{"GIT_SSH_COMMAND", []string{"GIT_SSH_COMMAND=" + command}, []string{"-v", "push"}, "the program of GIT_SSH_COMMAND"},
		{"GIT_SSH", []string{"GIT_SSH=" + simple}, []string{"-v", "push"}, "the program of GIT_SSH, a process for each command"},
		{"native all the same", []string{"GIT_SSH_COMMAND=false"}, append(withConfig, "--transport", "native"), "native"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			commit(t, "")
			push(tt.env, tt.args...).exits(0).shows(`^way\.example\.com \* connected: `+tt.want+`$`, `^way\.example\.com \| done$`)
		})
	}
	t.Run("core.sshCommand", func(t *testing.T) {
		commit(t, "")
		s.must(s.repo, "git", "config", "core.sshCommand", command)
		push(nil, "-v", "push").exits(0).shows(`^way\.example\.com \* connected: the program of core\.sshCommand$`)
		s.must(s.repo, "git", "config", "core.sshCommand", "false")
		push(nil, "push").exits(1).shows(`the program of core\.sshCommand`)
		s.must(s.repo, "git", "config", "--unset", "core.sshCommand")
		push(nil, "push", "--transport", "rsh").exits(2)
	})
	t.Run("a master dies during the run", func(t *testing.T) {
		commit(t, gate)
		p := push([]string{"TMPDIR=" + s.Dir}, append(withConfig, "--transport", "openssh")...)
		p.sees("| begun")
		masters := processesWith(t, "-S\x00"+s.Dir+"/troops-")
		if len(masters) != 1 {
			t.Fatalf("masters: %v", masters)
		}
		if err := syscall.Kill(masters[0], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.sees("found again")
		open(t, n)
		p.exits(0).shows(`^way\.example\.com \* lost contact `, `^way\.example\.com \| done$`)
	})
	t.Run("the user's master dies during the run", func(t *testing.T) {
		commit(t, gate)
		config, master := userMaster(t, s, n)
		p := push(nil, "-F", config, "-v", "push")
		p.sees("| begun")
		master.Process.Kill()
		p.sees("found again")
		open(t, n)
		p.exits(0).shows(`^way\.example\.com \* connected: the ControlMaster at `, `^way\.example\.com \* connected: native$`, `^way\.example\.com \| done$`)
	})
	t.Run("troops is killed", func(t *testing.T) {
		commit(t, gate)
		p := push([]string{"TMPDIR=" + s.Dir}, append(withConfig, "--transport", "openssh")...)
		p.sees("| begun")
		masters := processesWith(t, "-S\x00"+s.Dir+"/troops-")
		if len(masters) != 1 {
			t.Fatalf("masters: %v", masters)
		}
		p.kill()
		p.wait()
		gone(t, masters[0])
		open(t, n)
		idle(t, n)
	})
}

// userMaster starts a ControlMaster as a user would, and gives the configuration that names it.
func userMaster(t *testing.T, s *station, n *testnode.Node) (config string, master *exec.Cmd) {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "troops-test-") // a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	base, err := os.ReadFile(s.SSHConfig)
	if err != nil {
		t.Fatal(err)
	}
	config = filepath.Join(dir, "config")
	if err := os.WriteFile(config, append([]byte("ControlPath "+dir+"/cm-%C\n"), base...), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Add(dir); err != nil {
		t.Fatal(err)
	}
	master = exec.Command("/usr/bin/ssh", "-F", config, "-M", "-N", n.Name)
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Process.Kill(); master.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		select {
		case e := <-w.Events:
			if filepath.Ext(e.Name) == "" && e.Has(fsnotify.Create) { // ssh makes it under a longer name first
				return config, master
			}
		case <-ctx.Done():
			t.Fatal("the user's master made no socket")
		}
	}
}

// processesWith gives the processes whose arguments, with a NUL between two, hold a text.
func processesWith(t *testing.T, text string) (pids []int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
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
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds())); n != 1 {
		t.Fatalf("process %d is still there: %v", pid, err)
	}
}
