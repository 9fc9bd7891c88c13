//go:build linux

package integration

import (
	"fmt"
	"regexp"
	"syscall"
	"testing"

	"troops/integration/testnode"
)

// TestTransports deploys to a real node by each way to reach it: lines are shown while the run
// goes on, none is lost, its exit code arrives, and nothing is left behind, neither at its end
// nor when the user has left it.
func TestTransports(t *testing.T) {
	s := newStation(t)
	n := s.nodes(testnode.Options{Names: []string{"way.example.com"}})[0]
	makeGates(t, n)
	dir := tmpDir(t)
	config := withConfig(s, "ControlPath "+dir+"/cm\n")
	ways := append(waysWith(s, withConfig(s, "")), way{name: "ControlMaster", args: []string{"-F", config}, want: "the ControlMaster at " + dir + "/cm"})
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			s.t = t
			if w.name == "ControlMaster" {
				userMaster(t, config, dir, n.Name)
			}
			failsAfterMuch(t, s, n, w)
			isLeft(t, s, n, w)
			if w.name != "ControlMaster" {
				nothingRuns(t, n)
			}
		})
	}
}

// failsAfterMuch pushes what says much, which is shown live and whole, and then fails.
func failsAfterMuch(t *testing.T, s *station, n *testnode.Node, w way) {
	t.Helper()
	const lines = 20_000
	s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, fmt.Sprintf(
		"import sys\nprint('begun', flush=True)\n%sfor i in range(%d): print('line', i, 'x' * 80)\nsys.exit(7)\n", gate, lines))})
	tmp := tmpDir(t)
	p := w.push(s, tmp)
	p.sees(" | begun\n") // the run waits
	open(t, n)
	p.exits(1).shows(`^`+n.Name+` \* connected: `+w.want+`$`, ` \* failed in deploy: exit code 7`)
	shown := regexp.MustCompile(`(?m)^\S+ \| line (\d+) x{80}$`).FindAllStringSubmatch(p.stdout.String(), -1)
	if len(shown) < lines {
		t.Fatalf("%d of %d lines are shown", len(shown), lines)
	}
	for i, m := range shown[:lines] { // after that the summary has the last ones again
		if m[1] != fmt.Sprint(i) {
			t.Fatalf("line %s instead of %d", m[1], i)
		}
	}
	nothingLeft(t, tmp)
}

// isLeft pushes what does not end, and leaves it; the run goes on.
func isLeft(t *testing.T, s *station, n *testnode.Node, w way) {
	t.Helper()
	head := s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, "print('begun', flush=True)\n"+gate)})
	tmp := tmpDir(t)
	p := w.push(s, tmp)
	p.sees(" | begun\n")
	p.leaves()
	nothingLeft(t, tmp)
	open(t, n)
	idle(t, n)
	if got := s.deployed(n); got != head {
		t.Errorf("the branch is at %s, want %s", got, head)
	}
	tmp = tmpDir(t)
	w.push(s, tmp).exits(0).shows(`^` + n.Name + ` \* current`)
	nothingLeft(t, tmp)
}

// TestTransportIsForced has the option, the variable and git's configuration force a
// transport, in this order.
func TestTransportIsForced(t *testing.T) {
	s := newStation(t)
	n := s.nodes(testnode.Options{Names: []string{"way.example.com"}})[0]
	s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, "")})
	push := func(code int, env string, more ...string) *process {
		return s.start("env", append([]string{env, troopsBinary(t), "-F", s.SSHConfig, "-v", "push"}, more...)...).exits(code)
	}
	by := `^way\.example\.com \* connected: `
	openssh, native := by+`ssh, for the transport openssh$`, by+`native$`
	push(0, "TROOPS_TRANSPORT=").shows(native)
	push(0, "TROOPS_TRANSPORT=openssh").shows(openssh)
	s.must(s.repo, "git", "config", "troops.transport", "openssh")
	push(0, "TROOPS_TRANSPORT=").shows(openssh)
	push(0, "TROOPS_TRANSPORT=native").shows(native)
	push(0, "TROOPS_TRANSPORT=openssh", "--transport", "auto").shows(native)
	s.must(s.repo, "git", "config", "troops.transport", "rsh")
	push(2, "TROOPS_TRANSPORT=")
	push(0, "TROOPS_TRANSPORT=", "--transport", "native").shows(native)
	push(2, "TROOPS_TRANSPORT=", "--transport", "rsh")

	// Native is that whatever git is told; a program that fails is named.
	push(0, "GIT_SSH_COMMAND=false", "--transport", "native").shows(native)
	s.must(s.repo, "git", "config", "--unset", "troops.transport")
	s.start("env", "GIT_SSH_COMMAND=false", troopsBinary(t), "push").exits(1).shows(`\* failed in push: .*\(reached by the program of GIT_SSH_COMMAND, a process for each command\)`)
	push(1, "GIT_SSH_COMMAND=/no/such/program").shows(`\* unreachable: .*running the program of GIT_SSH_COMMAND: .*not found`)

	// What kind of program it is goes by what git is told.
	s.must(s.repo, "git", "config", "ssh.variant", "simple")
	command := "GIT_SSH_COMMAND=/usr/bin/ssh -oBatchMode=yes -F " + s.SSHConfig
	simple := by + `the program of GIT_SSH_COMMAND, a process for each command$`
	s.start("env", command, troopsBinary(t), "-v", "push").exits(0).shows(simple)
	s.start("env", command, "GIT_SSH_VARIANT=ssh", troopsBinary(t), "-v", "push").exits(0).shows(by + `the program of GIT_SSH_COMMAND$`)
	push(1, command).shows(`a program of variant "simple" takes no ssh configuration file`)
}

// TestTransportsThatDie has what carries a connection end in the middle of a run.
func TestTransportsThatDie(t *testing.T) {
	s := newStation(t)
	n := s.nodes(testnode.Options{Names: []string{"way.example.com"}})[0]
	makeGates(t, n)
	openssh := waysWith(s, withConfig(s, ""))[1]
	begin := func(t *testing.T, w way, tmp string) *process {
		s.t = t
		s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, "print('begun', flush=True)\n"+gate)})
		p := w.push(s, tmp)
		p.sees(" | begun\n")
		return p
	}
	masterOf := func(t *testing.T, tmp string) int {
		masters := processesWith(t, "cmdline", "\x00-S\x00"+tmp+"/troops-")
		if len(masters) != 1 {
			t.Fatalf("masters: %v", masters)
		}
		return masters[0]
	}
	t.Run("a master", func(t *testing.T) {
		tmp := tmpDir(t)
		p := begin(t, openssh, tmp)
		if err := syscall.Kill(masterOf(t, tmp), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.sees("found again")
		open(t, n)
		p.exits(0).shows(`^way\.example\.com \* lost contact `, `^way\.example\.com \* deployed`)
		nothingLeft(t, tmp)
	})
	t.Run("the user's master", func(t *testing.T) {
		dir, tmp := tmpDir(t), tmpDir(t)
		config := withConfig(s, "ControlPath "+dir+"/cm\n")
		master := userMaster(t, config, dir, n.Name)
		p := begin(t, way{args: []string{"-F", config}}, tmp)
		master.Process.Kill()
		p.sees("found again")
		open(t, n)
		p.exits(0).shows(`^way\.example\.com \* connected: the ControlMaster at `, `^troops: sshx: dialling way\.example\.com: the ControlMaster at .* is not used: .*connection refused$`, `^way\.example\.com \* connected: native$`, `^way\.example\.com \* deployed`)
		nothingLeft(t, tmp)
	})
	t.Run("troops", func(t *testing.T) {
		tmp := tmpDir(t)
		p := begin(t, openssh, tmp)
		master := masterOf(t, tmp)
		p.kill()
		p.wait()
		gone(t, master)
		open(t, n)
		idle(t, n)
		nothingRuns(t, n)
	})
	t.Run("by SIGTERM", func(t *testing.T) {
		tmp := tmpDir(t)
		p := begin(t, openssh, tmp)
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		p.exits(130)
		nothingLeft(t, tmp)
		open(t, n)
		idle(t, n)
	})
}
