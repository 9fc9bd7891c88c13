//go:build linux

package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"troops/integration/testnode"
)

// TestTransportsThroughJumpHosts reaches a node that only its jump hosts can, two in a row.
func TestTransportsThroughJumpHosts(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: []string{"far.example.com", "jump.example.com", "gate.example.com"}})
	far, jumps := nodes[0], []*testnode.Node{nodes[2], nodes[1]}
	makeGates(t, far)
	config := behind(s, far, jumps...)
	for _, w := range waysWith(s, config) {
		t.Run(w.name, func(t *testing.T) {
			s.t = t
			leftThroughJumps(t, s, w, far, jumps)
		})
	}
	t.Run("ControlMaster", func(t *testing.T) {
		s.t = t
		dir := tmpDir(t)
		path := filepath.Join(dir, "config")
		s.must(s.Dir, "sh", "-c", `(printf 'Match originalhost far.example.com\n\tControlPath %s/cm\nMatch all\n' "$1"; cat "$2") >"$3"`, "sh", dir, config, path)
		userMaster(t, path, dir, far.Name)
		leftThroughJumps(t, s, way{args: []string{"-F", path}, want: "the ControlMaster at " + dir + "/cm"}, far, nil)
	})
	t.Run("ControlMaster of a jump host", func(t *testing.T) {
		s.t = t
		dir := tmpDir(t)
		path := filepath.Join(dir, "config")
		s.must(s.Dir, "sh", "-c", `(printf 'Host jump.example.com\n\tControlPath %s/cm\nHost *\n' "$1"; cat "$2") >"$3"`, "sh", dir, config, path)
		master := userMaster(t, path, dir, jumps[1].Name)
		jumps[0].Run(t, "kill -STOP $(cat /run/sshd.pid)") // nobody else gets through
		defer jumps[0].Run(t, "kill -CONT $(cat /run/sshd.pid)")
		leftThroughJumps(t, s, way{args: []string{"-F", path}, want: "native"}, far, nil)
		if err := master.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("the user's master is gone: %v", err)
		}
	})
}

// leftThroughJumps pushes, has the run shown live, leaves it, and looks for what is left of it
// here and at the jump hosts.
func leftThroughJumps(t *testing.T, s *station, w way, far *testnode.Node, jumps []*testnode.Node) {
	t.Helper()
	s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{far}, "print('begun', flush=True)\n"+gate+"print('done')\n")})
	tmp := tmpDir(t)
	p := w.push(s, tmp)
	p.sees(" | begun\n")
	p.leaves()
	p.shows(`^` + far.Name + ` \* connected: ` + w.want + `$`)
	nothingLeft(t, tmp)
	tmp = tmpDir(t)
	p = w.push(s, tmp)
	p.sees(" | begun\n")
	open(t, far)
	p.exits(0).shows(` \| done$`)
	nothingLeft(t, tmp)
	for _, n := range jumps {
		nothingRuns(t, n)
	}
}

// TestTransportFallsBackToSSH has a key in the user's agent that signs only for whoever shows
// it which hosts it goes to, as ssh does: what we cannot, ssh is then left to, at jump hosts too.
func TestTransportFallsBackToSSH(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: []string{"far.example.com", "gate.example.com"}})
	far, jump := nodes[0], nodes[1]
	makeGates(t, far)
	sock := filepath.Join(tmpDir(t), "agent")
	startAgent(t, sock)
	key := fmt.Sprintf("Host *\n\tIdentityAgent %s\n\tIdentitiesOnly no\n", sock)
	direct := withConfig(s, key)
	config := behind(s, far, jump)
	secret := filepath.Join(tmpDir(t), "key") // where no configuration finds it
	if err := os.Rename(s.Key, secret); err != nil {
		t.Fatal(err)
	}
	addConstrained := func(hosts ...string) {
		args := []string{"-q", "-H", s.KnownHosts}
		for _, h := range hosts {
			args = append(args, "-h", fmt.Sprintf("[%s]:%d", h, testnode.Port))
		}
		s.must(s.Dir, "env", append([]string{"SSH_AUTH_SOCK=" + sock, "ssh-add"}, append(args, secret)...)...)
	}
	const why = "ssh, for a key of the agent that signs for ssh only"
	addConstrained(far.Addr)
	leftThroughJumps(t, s, way{args: []string{"-F", direct}, want: why}, far, nil)

	// Forced, the native transport says what it could not do.
	s.commit(nil)
	s.start(troopsBinary(t), "-F", direct, "push", "--transport", "native").exits(1).shows(`\* unreachable: .*the agent did not sign`)

	// The key is not for the jump host: both have tried, and both say so.
	base, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	through := filepath.Join(tmpDir(t), "config")
	if err := os.WriteFile(through, append([]byte(key), base...), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(troopsBinary(t), "-F", through, "push").exits(1).shows(`\* unreachable: .*; then ssh, used for a key of the agent that signs for ssh only, said .*Permission denied`)
	addConstrained(jump.Addr, "inner-far")
	leftThroughJumps(t, s, way{args: []string{"-F", through}, want: why}, far, []*testnode.Node{jump})
}

// startAgent starts ssh-agent at a socket, and ends it with the test.
func startAgent(t *testing.T, sock string) {
	t.Helper()
	agent := exec.Command("ssh-agent", "-D", "-a", sock)
	out, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { agent.Process.Kill(); agent.Wait() })
	if _, err := out.Read(make([]byte, 64)); err != nil { // it prints its variables once it listens
		t.Fatal(err)
	}
}

// TestTransportsForwardNothing has a configuration that asks for all that troops never does,
// and shows by ssh itself that it does ask.
func TestTransportsForwardNothing(t *testing.T) {
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: []string{"far.example.com", "gate.example.com"}})
	far, jump := nodes[0], nodes[1]
	makeGates(t, far)
	sock, marks := filepath.Join(tmpDir(t), "agent"), tmpDir(t)
	startAgent(t, sock)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	config := behind(s, far, jump)
	// There is a sign of each: on the node while it goes on, or here.
	signs := fmt.Sprintf("ls -d /tmp/ssh-*/agent.* /tmp/remote; (exec 3<>/dev/tcp/127.0.0.1/%d) && echo forwarded; ps -eo tty=,args= | grep '^pts'; true", port)
	hostile := fmt.Sprintf("ForwardAgent %s\nRemoteForward %d 127.0.0.1:1\nPermitLocalCommand yes\nLocalCommand touch %s/local-%%n\nRemoteCommand touch /tmp/remote; %s\nRequestTTY force\n"+
		"ControlMaster auto\nControlPath %[3]s/cm-%%n\nControlPersist yes\n", sock, port, marks, signs)
	base, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, append([]byte(hostile), base...), 0o600); err != nil {
		t.Fatal(err)
	}
	local := func() []string {
		found, err := filepath.Glob(marks + "/*")
		if err != nil {
			t.Fatal(err)
		}
		return found
	}

	said := s.must(s.Dir, "/usr/bin/ssh", "-F", config, "-o", "ControlPersist=no", far.Name)
	for _, sign := range []string{"/agent.", "/tmp/remote", "forwarded", "pts/"} {
		if !strings.Contains(said, sign) {
			t.Errorf("ssh shows no %s: %s", sign, said)
		}
	}
	if len(local()) < 2 {
		t.Errorf("ssh has left %v here", local())
	}
	for _, host := range []string{far.Name, jump.Name} {
		exec.Command("/usr/bin/ssh", "-F", config, "-O", "exit", host).Run() // whichever lives
	}
	far.Run(t, "rm -rf /tmp/remote /tmp/ssh-*")
	for _, f := range local() {
		os.Remove(f)
	}
	nothingRuns(t, far)
	nothingRuns(t, jump)

	for _, w := range waysWith(s, config)[:3] { // what a program does that runs for each command, it does for git, too
		t.Run(w.name, func(t *testing.T) {
			s.t = t
			s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{far}, "print('begun', flush=True)\n"+gate)})
			tmp := tmpDir(t)
			p := w.push(s, tmp)
			p.sees(" | begun\n")
			if said := far.Run(t, "{ "+signs+"; } 2>/dev/null"); said != "" {
				t.Errorf("on the node: %s", said)
			}
			open(t, far)
			p.exits(0).shows(`^` + far.Name + ` \* connected: ` + w.want + `$`)
			nothingLeft(t, tmp)
			if w.name != "GIT_SSH_COMMAND" && len(local()) > 0 { // there ssh itself goes through the jump host
				t.Errorf("here: %v", local())
			}
		})
	}
}

// TestDialsAreLeft leaves a push whose host is being reached still.
func TestDialsAreLeft(t *testing.T) {
	s := newStation(t)
	dir := tmpDir(t)
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	s.commit(map[string]string{"roles.toml": "[all]\nhosts = ['stuck.example.com']\n"})
	stuck := fmt.Sprintf("sh -c 'echo here >%s; exec sleep 1000'", fifo)
	ways := waysWith(s, withConfig(s, fmt.Sprintf("Host stuck.example.com\n\tProxyCommand %s\n", stuck)))
	for _, w := range append(ways, way{name: "stuck program", env: []string{"GIT_SSH_COMMAND=case $1 in -G) exit 64;; esac; echo here >" + fifo + "; sleep 1000; :"}}) {
		t.Run(w.name, func(t *testing.T) {
			s.t = t
			tmp := tmpDir(t)
			p := w.push(s, tmp)
			if b, err := os.ReadFile(fifo); err != nil || string(b) != "here\n" {
				t.Fatalf("%q, %v", b, err)
			}
			p.leaves()
			nothingLeft(t, tmp)
		})
	}
}
