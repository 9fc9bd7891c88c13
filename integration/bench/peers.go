package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// width is how many hosts the programs reach at once that have to be told.
const width = 32

// plainRepo is the path of a node's bare repository with a post-receive hook of its own.
const plainRepo = "/srv/bench.git"

// peer is a program that is measured beside troops.
type peer struct {
	name    string
	needs   []string // programs without which it cannot run
	command command
}

// peers are the programs to compare with. What reaches hosts only with a command has them fetch
// the commit from a git daemon of the workstation and run the same hook.
func peers(hosts []string, hostFile, sshConfig, fabric, fetch string) []peer {
	list := strings.Join(hosts, ",")
	// Tried again where the daemon's queue is full: it is short, and Fabric comes from all nodes at once.
	fetch = fmt.Sprintf("git --git-dir=%s fetch -q %s +master:master", plainRepo, fetch)
	run := fmt.Sprintf("{ %[1]s || %[1]s || %[1]s; } && exec sh %[2]s/hooks/post-receive", fetch, plainRepo)
	n := fmt.Sprint(width)
	return []peer{
		{"xargs -P32 git push", []string{"xargs"}, command{
			stdin: hostFile,
			args:  []string{"xargs", "-P", n, "-I{}", "git", "push", "-q", "{}:" + plainRepo, "HEAD:master"},
		}},
		{"clush", []string{"clush"}, command{args: []string{"clush", "-f", n, "-w", list, run}}},
		{"pssh", []string{"parallel-ssh"}, command{args: []string{"parallel-ssh", "-p", n, "-t", "0", "-i", "-h", hostFile, run}}},
		{"pdsh", []string{"pdsh"}, command{args: []string{"pdsh", "-R", "ssh", "-l", "ubuntu", "-f", n, "-w", list, run}}},
		{"Fabric ThreadingGroup", []string{"/usr/bin/python3"}, command{args: []string{"/usr/bin/python3", fabric, sshConfig, run, list}}},
		{"ansible", []string{"ansible"}, command{args: []string{"ansible", "all", "-i", hostFile, "-f", n, "-m", "shell", "-a", run}}},
	}
}

// fabricProgram runs a command on all hosts at once, each in a thread.
const fabricProgram = `import sys
from fabric import Config, ThreadingGroup
path, command, hosts = sys.argv[1:]
ThreadingGroup(*hosts.split(','), config=Config(runtime_ssh_path=path)).run(command, in_stream=False)
`

// peerEnv is what peers need besides the workstation's environment.
var peerEnv = []string{"ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3", "ANSIBLE_LOCALHOST_WARNING=0"}

// missing says what a peer lacks here, or nothing.
func (p peer) missing() string {
	for _, name := range p.needs {
		if _, err := exec.LookPath(name); err != nil {
			return name + " is not installed"
		}
	}
	if p.command.args[0] == "/usr/bin/python3" {
		if err := exec.Command("/usr/bin/python3", "-c", "import fabric").Run(); err != nil {
			return "python3-fabric is not installed"
		}
	}
	return ""
}

// writeLines writes a file of lines.
func writeLines(path string, lines []string) error {
	return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}
