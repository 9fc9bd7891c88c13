package integration

import (
	"fmt"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// TestOrdinaryUsersGetNothing tries on a node what somebody may not who has a login there and is
// not in group troops, and looks at what sudo grants to who is.
func TestOrdinaryUsersGetNothing(t *testing.T) {
	s := newStation(t)
	n := s.nodes(testnode.Options{Names: []string{"shared.example.com"}})[0]
	s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, "print('the secret')\n")})
	s.troops("push").exits(0)
	n.Run(t, "useradd --no-create-home mallory && useradd --no-create-home --groups troops member")

	if out := n.Run(t, "su -s /bin/bash mallory -c 'id -un && cat /etc/hostname && troops --version'"); !strings.HasPrefix(out, "mallory\n") {
		t.Fatalf("mallory is %s", out)
	}

	before := n.Run(t, state)
	for _, c := range []struct{ what, script string }{
		{"read a log", "cat /var/lib/troops/runs/*/log"},
		{"list runs", "ls /var/lib/troops/runs"},
		{"read a record by its name", "cat /var/lib/troops/runs/$RUN/record.json"},
		{"read the repository", "git -c safe.directory='*' --git-dir=" + repoPath + " log"},
		{"write the repository", "touch " + repoPath + "/refs/heads/mine"},
		{"write an object", "touch " + repoPath + "/objects/mine"},
		{"change the configuration", "echo >> " + repoPath + "/config"},
		{"read the configuration", "cat " + repoPath + "/config"},
		{"change a hook", "echo >> " + repoPath + "/hooks/proc-receive"},
		{"hold the lock", "flock -n /var/lib/troops/lock true"},
		{"hold the queue's lock", "flock -n /var/lib/troops/queue.lock true"},
		{"read the node's key", "cat /var/lib/troops/ssh/id_ed25519"},
		{"read a checkout", "cat /var/lib/troops/checkouts/$RUN/deploy.py"},
		{"use a virtualenv", "ls /var/lib/troops/venvs/"},
		{"start a run by sudo", "sudo -n /usr/local/bin/troops node start </dev/null"},
		{"start a run without sudo", "echo '{}' | troops node start"},
		{"do a run", "troops node run $RUN"},
		{"cancel a run", "troops node cancel $RUN"},
		{"see the history", "troops node history"},
		{"see a log", "troops node log"},
		{"see the status", "troops node status"},
		{"follow a run", "timeout 10 troops node attach $RUN 0 | grep secret"},
		{"follow all runs", "timeout 10 troops node tail --once | grep secret"},
		{"push", "git -c safe.directory='*' push " + repoPath + " HEAD:master"},
		{"make it a node again", "troops node init"},
	} {
		// The shell's own exit code tells: the directories may not even be entered.
		out := n.Run(t, "RUN=$(basename /var/lib/troops/runs/*); export RUN; su -s /bin/bash mallory -c "+quote(c.script)+" 2>&1; echo exit $?")
		if strings.HasSuffix(strings.TrimSpace(out), "exit 0") || strings.Contains(out, "secret") {
			t.Errorf("an ordinary user could %s:\n%s", c.what, out)
		}
	}
	if after := n.Run(t, state); after != before {
		t.Errorf("something changed:\n%s\nbefore:\n%s", after, before)
	}

	grants := n.Run(t, "sudo -l -U member")
	if want := "(root) NOPASSWD: /usr/local/bin/troops node start"; strings.Count(grants, "(root)") != 1 || !strings.Contains(grants, want) {
		t.Errorf("sudo grants a member of group troops\n%s\nwant just %s", grants, want)
	}
	for _, args := range []string{"node run x", "node start --dir /tmp", "node start x", "--dir /tmp node start", "node init", "push"} {
		if out := n.Run(t, "su -s /bin/bash member -c "+quote("sudo -n /usr/local/bin/troops "+args)+" 2>&1; echo exit $?"); !strings.Contains(out, "a password is required") {
			t.Errorf("sudo lets a member of group troops do troops %s:\n%s", args, out)
		}
	}
	for _, command := range []string{"log", "tail --once"} {
		if out := n.Run(t, "su -s /bin/bash member -c 'troops node "+command+"'"); !strings.Contains(out, "the secret") {
			t.Errorf("a member of group troops sees by %s\n%s", command, out)
		}
	}
	if out := n.Run(t, "su -s /bin/bash member -c 'troops node status --text'"); !strings.Contains(out, ", as "+n.Name) || !strings.Contains(out, ": deployed\n") {
		t.Errorf("a member of group troops sees the status\n%s", out)
	}
}

// state is what there is of a node's files, and the modes and owners, without what reading changes.
const state = `find /var/lib/troops -printf '%p %m %u %g %s\n' | sort; git --git-dir=` + repoPath + ` for-each-ref`

// quote makes s a word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// TestEnvironmentOfThePusher has a pusher who sets variables that change what programs do, on
// the node's side of ssh: sudo and the run pass none of them on.
func TestEnvironmentOfThePusher(t *testing.T) {
	s := newStation(t)
	n := s.nodes(testnode.Options{Names: []string{"env.example.com"}})[0]
	tricks := []string{
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=alias.x", "GIT_CONFIG_VALUE_0=!touch /run/tricked", "GIT_EXEC_PATH_EXTRA=/tmp/evil",
		"GIT_TEMPLATE_DIR=/tmp/evil", "GIT_SSH_COMMAND=/tmp/evil/sh", "PYTHONPATH=/tmp/evil", "PYTHONSTARTUP=/tmp/evil/start.py", "PYTHONINSPECT=1",
		"PIP_INDEX_URL=http://127.0.0.1:1/", "PIP_CONFIG_FILE=/tmp/evil/pip.conf", "LD_LIBRARY_PATH=/tmp/evil", "BASH_ENV=/tmp/evil/env.sh",
		"ENV=/tmp/evil/env.sh", "TROOPS_HOSTNAME=other", "TROOPS_CHECK=1", "TROOPS_ROLES=evil", "TMPDIR=/tmp/evil", "HOME=/tmp/evil", "SUDO_COMMAND=x",
	}
	n.Run(t, "mkdir /tmp/evil && echo 'touch /run/tricked' >/tmp/evil/env.sh && echo 'open(\"/run/tricked\", \"w\")' | tee /tmp/evil/troops.py /tmp/evil/start.py >/tmp/evil/sitecustomize.py && chmod -R a+rX /tmp/evil")
	head := s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, "import os\nfor k, v in sorted(os.environ.items()): print('env', k + '=' + v)\nprint('module', troops.__file__)\n")})
	var set []string
	for _, v := range tricks {
		set = append(set, quote(v))
	}
	out := s.must(s.repo, "git", "push", "--receive-pack", "env "+strings.Join(set, " ")+` sh -c 'env >/tmp/seen; exec git-receive-pack "$0"'`, n.Name+":"+repoPath, "master")
	if got := s.deployed(n); got != head {
		t.Fatalf("the branch is at %s\n%s", got, out)
	}
	if !strings.Contains(out, "env PATH=") || !strings.Contains(out, "module /var/lib/troops/venvs/") {
		t.Fatalf("the run printed\n%s", out)
	}
	seen := n.Run(t, "cat /tmp/seen") + "\n"
	for _, v := range tricks {
		if !strings.Contains(seen, v+"\n") {
			t.Errorf("%s was not even set\n%s", v, seen)
		}
		name, value, _ := strings.Cut(v, "=")
		if strings.Contains(out, fmt.Sprintf("env %s=%s", name, value)) {
			t.Errorf("%s reached deploy.py", v)
		}
	}
	if strings.Contains(out, "/tmp/evil") {
		t.Errorf("the run was told of /tmp/evil:\n%s", out)
	}
	n.Run(t, "! test -e /run/tricked")
	if out := s.troops("status", "--host", n.Name).exits(0); !strings.Contains(out.stdout.String(), "current at") {
		t.Errorf("status says\n%s", out.said())
	}
}
