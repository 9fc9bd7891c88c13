package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// fault is something that goes wrong on one of two nodes while both are deployed to.
type fault struct {
	name     string
	harm     string            // script on the node, before the push
	heal     string            // takes it back: the only thing that anybody has to do
	files    map[string]string // of the commit, beside deploy.py
	deploy   string            // of deploy.py on that node
	deployed bool              // in spite of it
	cut      bool              // the log may end early
	shows    []string          // lines of the push
}

// faulty are the two nodes, which go through all faults.
type faulty struct {
	*station
	victim, other *testnode.Node
	invariants    invariants
}

// fill leaves so many KiB of the node's disk.
func fill(leave int) string {
	return fmt.Sprintf("free=$(df --output=avail -k /var/lib/troops | tail -1); head -c $(((free - %d) * 1024)) /dev/zero >/var/lib/troops/filler", leave)
}

const (
	unfill  = "rm /var/lib/troops/filler"
	remount = "mount -o remount,%s /var/lib/troops"
)

// pattern of the victim's last line.
func failed(how string) string { return `^victim\.example\.com \* failed in ` + how }

// diskFaults are of the node's file system.
func diskFaults() []fault {
	return []fault{
		{
			name: "disk full while unpacking", harm: fill(300), heal: unfill,
			files: map[string]string{"big": noise(2 << 20)},
			shows: []string{failed(`push: .*disk is full`)},
		}, {
			name: "disk full while making the virtualenv", harm: fill(4 << 10), heal: unfill,
			files: map[string]string{"requirements.txt": "PyDebianAdmin\n# another key\n"},
			shows: []string{failed("venv: "), `^victim\.example\.com [!|] .*No space left on device`},
		}, {
			name: "disk full while logging", harm: fill(2 << 10), heal: unfill + " && rm /run/end", cut: true,
			deploy: "for i in range(50000): print('x' * 100)\n    open('/run/end', 'w').close()",
			shows: []string{
				failed(`log: deploy\.py itself ended well, .* [0-9]+ bytes of output are missing: .*no space left on device: make room on the node \(df -h, df -i\) and push again`),
				`^victim\.example\.com \* [0-9]+ bytes of output are missing here: .*no space left on device`,
			},
		}, {
			name: "no inode left", heal: fmt.Sprintf(remount, "nr_inodes=0"),
			harm:  fmt.Sprintf(remount, "nr_inodes=$(($(df --output=iused /var/lib/troops | tail -1) + 3))"),
			shows: []string{failed(`push: .*did not take the pack: .*disk is full, or has no inode left \(df -h and df -i there\)`), `^victim\.example\.com \| .*unable to create .*No space left on device`},
		}, {
			name: "read-only file system", harm: fmt.Sprintf(remount, "ro"), heal: fmt.Sprintf(remount, "rw"),
			shows: []string{failed(`push: .*did not take the pack: .*or its repository not writable`)},
		},
	}
}

// venvFaults are of pip and of what it makes.
func venvFaults() []fault {
	return []fault{
		{
			name: "pip fails", harm: "mv /srv/wheels /srv/gone", heal: "mv /srv/gone /srv/wheels",
			files: map[string]string{"requirements.txt": "PyDebianAdmin\n# one more key\n"},
			shows: []string{failed("venv: exit code 1"), "No matching distribution found for PyDebianAdmin"},
		}, {
			name: "virtualenv without its python", harm: "find /var/lib/troops/venvs -path '*/bin/python*' -delete", deployed: true,
			shows: []string{`^victim\.example\.com .*virtualenv: making one`},
		}, {
			name: "virtualenv half made", harm: "find /var/lib/troops/venvs -name site-packages -prune -exec rm -r {} +", deployed: true,
			shows: []string{`^victim\.example\.com .*virtualenv: making one`},
		},
	}
}

// endFaults are the ways in which deploy.py ends.
func endFaults() []fault {
	faults := []fault{
		{
			name: "killed by SIGKILL", deploy: "import os; os.kill(os.getpid(), 9)",
			shows: []string{failed(`deploy: .*killed.*out of memory\?`)},
		}, {
			name: "killed by SIGSEGV", deploy: "import os; os.kill(os.getpid(), 11)",
			shows: []string{failed(`deploy: .*segmentation fault`)},
		}, {
			name: "sys.exit(None)", deploy: "import sys; sys.exit(None)", deployed: true,
		}, {
			name: "sys.exit('text')", deploy: "import sys; sys.exit('some text')",
			shows: []string{failed("deploy: exit code 1"), `^victim\.example\.com ! some text$`},
		}, {
			name: "reads its input", deploy: "import sys; print('read', repr(sys.stdin.read()))", deployed: true,
			shows: []string{`^victim\.example\.com \| read ''$`},
		}, {
			name: "leaves a child with its output open", deployed: true, heal: "kill $(cat /run/child)",
			deploy: "import subprocess; open('/run/child', 'w').write(str(subprocess.Popen(['sleep', '1000']).pid))",
			shows:  []string{`^victim\.example\.com .*left processes behind that keep its output open`},
		}, {
			name: "restarts sshd and cuts all connections", deployed: true, deploy: `
    import os
    os.system("kill -9 $(pgrep sshd); setsid env -i PATH=$PATH /usr/sbin/sshd -D -e -f /etc/ssh-node/sshd_config </dev/null >/dev/null 2>&1 &")
    print('after the restart')`,
			shows: []string{`^victim\.example\.com \* lost contact `, `^victim\.example\.com \| after the restart$`},
		},
	}
	for _, code := range []int{1, 2, 255} {
		faults = append(faults, fault{
			name: fmt.Sprintf("exit code %d", code), deploy: fmt.Sprintf("import sys; sys.exit(%d)", code),
			shows: []string{failed(fmt.Sprintf("deploy: exit code %d", code))},
		})
	}
	return faults
}

// TestFaults lets things go wrong on a node, and looks after each whether anything is lost,
// damaged or left, and whether the next push works once the fault itself is gone.
func TestFaults(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	names := []string{"victim.example.com", "other.example.com"}
	nodes := s.nodes(testnode.Options{Names: names, DiskLimit: "256m", Files: pydebianadmin(t)})
	f := &faulty{station: s, victim: nodes[0], other: nodes[1], invariants: invariants{checked: map[string]bool{}}}
	f.invariants.commits = []string{f.healthy()}
	s.troops("push").exits(0)
	for _, fault := range append(append(diskFaults(), venvFaults()...), endFaults()...) {
		t.Run(fault.name, func(t *testing.T) { s.t = t; fault.try(t, f) })
	}
}

// healthy makes a commit that deploys well everywhere.
func (f *faulty) healthy() string {
	return f.commit(map[string]string{"deploy.py": f.script("pass"), "requirements.txt": "PyDebianAdmin\n", "big": ""})
}

// script is a deploy.py that does something on the victim only.
func (f *faulty) script(deploy string) string {
	return hosts([]*testnode.Node{f.victim, f.other}, "if troops.hostname() == '"+f.victim.Name+"':\n    "+deploy+"\n")
}

// try does the fault and checks all eight invariants.
func (fault fault) try(t *testing.T, f *faulty) {
	old := f.deployed(f.victim)
	if fault.deploy == "" {
		fault.deploy = "pass"
	}
	files := map[string]string{"deploy.py": f.script(fault.deploy)}
	for name, text := range fault.files {
		files[name] = text
	}
	head := f.commit(files)
	if fault.harm != "" {
		f.victim.Run(t, fault.harm)
	}
	p := f.troops("push")
	code, want, counts := p.wait(), 1, `1 deployed, 1 failed`
	if fault.deployed {
		want, counts = 0, `2 deployed`
	}
	if code != want {
		t.Errorf("exit code %d, want %d\n%s", code, want, p.said())
	}
	p.shows(append(fault.shows, `^troops: 2 nodes: `+counts+` in `)...)
	if fault.heal != "" {
		f.victim.Run(t, fault.heal)
	}
	v := &f.invariants
	v.cut = fault.cut
	v.commits = []string{old}
	if fault.deployed {
		v.commits = []string{head}
	}
	v.hold(t, f.station, f.victim)
	v.commits = []string{head}
	v.hold(t, f.station, f.other)
	// Nothing by hand: the next push deploys.
	v.commits, v.cut = []string{f.healthy()}, false
	f.troops("push").exits(0).shows(`^troops: 2 nodes: 2 deployed in `)
	v.hold(t, f.station, f.victim)
	v.hold(t, f.station, f.other)
}

// noise is text that no packing makes smaller than half of n.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%016x\n", r.Uint64())
	}
	return b.String()
}
