package integration

import (
	"strings"
	"testing"

	"troops/integration/testnode"
)

// startSshd starts a node's sshd again, in a shell, once the one that was killed has ended: while that
// dies it holds the port, which the new one asks for but once.
const startSshd = `/usr/bin/python3 -c "import os, select; select.select([os.pidfd_open($(cat /run/sshd.pid))], [], [])" 2>/dev/null; ` +
	`setsid env -i PATH="$PATH" /usr/sbin/sshd -D -e -f /etc/ssh-node/sshd_config </dev/null >/dev/null 2>&1 &`

// reboot ends every process of a node at once, as a power cut does, and starts sshd again. The
// files stay, with the lock's among them, but for what waits in /run.
const reboot = `kill -9 -1; rm -f /run/hang; ` + startSshd

// TestReboot lets a node reboot in the middle of a run: it is never taken for a good one, the
// lock's file holds nobody up, and the next push or pull deploys the commit.
func TestReboot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		cut  rebooted
	}{
		{"push", rebooted{kind: asRoot}},
		{"push, " + asOwnUser.name, rebooted{kind: asOwnUser}},
		{"pull", rebooted{kind: asRoot, pulls: true}},
		{"push, pip at work", rebooted{kind: asRoot, pip: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.cut.try(t)
		})
	}
}

// rebooted is a node that reboots.
type rebooted struct {
	kind  kind
	pulls bool // the commit is pulled, else pushed
	pip   bool // while the virtualenv is made, else while deploy.py works

	*station
	n *testnode.Node
}

// deliver begins to bring the last commit to the node.
func (r *rebooted) deliver() *process {
	if !r.pulls {
		return r.troops("push")
	}
	r.must(r.repo, "git", "push", "-q", r.n.Name+":/srv/deploy.git", "master")
	return r.troops("pull")
}

func (r rebooted) try(t *testing.T) {
	k := r.kind
	r.station = newStation(t)
	r.station.kind = k
	nodes := r.nodes(testnode.Options{Names: []string{"reboots.example.com"}, Files: pydebianadmin(t)})
	r.n = nodes[0]
	makeGates(t, r.n)
	r.n.Run(t, "mkfifo /run/hang && git init -q --bare /srv/deploy.git && chown -R ubuntu: /srv/deploy.git && git config --system --add safe.directory '*'")
	k.run(t, r.n, "git --git-dir="+k.repo()+" remote add origin file:///srv/deploy.git")
	old := r.commit(map[string]string{"deploy.py": hosts(nodes, "pass\n")})
	r.deliver().exits(0)
	v := &invariants{checked: map[string]bool{}}
	v.at(t, r.station, nodes, old)

	files := map[string]string{"deploy.py": hosts(nodes, "print('at work', flush=True)\n"+gate)}
	phase := "deploy"
	if r.pip {
		phase = "venv"
		files["requirements.txt"], files["slow/pyproject.toml"], files["slow/slow.py"] = "./slow\n", slowProject, slowBackend
	}
	head := r.commit(files)
	p := r.deliver()
	if r.pip {
		r.n.Run(t, "exec 3>/run/hang;"+reboot) // the fifo can be opened once pip's child reads it
	} else {
		p.sees("at work")
		r.n.Run(t, reboot)
	}
	p.exits(1).shows(`^reboots\.example\.com \* failed in `+phase+`: the run was interrupted on the node `, `^troops: 1 node: 1 failed in `)
	p.lacks(`deployed in [0-9.]+m?s$`)
	r.n.Run(t, "flock -n "+k.dir+"/lock true")
	v.at(t, r.station, nodes, old)
	r.troops("status").exits(0).shows(`interrupted`)
	if history := k.node(t, r.n, "history"); !strings.Contains(history, "interrupted") {
		t.Errorf("the node's history:\n%s", history)
	}
	if r.pulls {
		if out := k.node(t, r.n, "pull 2>&1"); !strings.Contains(out, "has failed once, last at ") {
			t.Errorf("a pull by timer says\n%s", out)
		}
	}

	p = r.deliver()
	p.sees("at work")
	open(t, r.n)
	p.exits(0).shows(`^troops: 1 node: 1 deployed in `)
	v.at(t, r.station, nodes, head)
	r.n.Run(t, "cd "+k.dir+"/venvs && test $(find . -maxdepth 1 -type l | wc -l) = $(ls -d *-*/ | wc -l)") // nothing of the one that pip worked at
}
