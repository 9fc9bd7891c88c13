package integration

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

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
			early: true, pulls: []string{failed(`fetch: .*remote origin: .*No space left on device.*: make room on the node \(df -h, df -i\)`)},
		}, {
			name: "disk full while making the virtualenv", harm: fill(4 << 10), heal: unfill,
			files: map[string]string{"requirements.txt": "PyDebianAdmin\n# another key\n"},
			shows: []string{failed("venv: "), `^victim\.example\.com [!|] .*No space left on device`},
		}, {
			name: "disk full while logging", harm: fill(2 << 10), heal: unfill + " && rm /run/end", cut: true,
			deploy: "for i in range(50000): print('x' * 100)\n    open('/run/end', 'w').close()",
			shows: []string{
				failed(`log: deploy\.py itself ended well, but its log is not whole \([0-9]+ bytes of output are missing: .*no space left on device\): push again once that is mended: make room on the node \(df -h, df -i\)`),
				`^victim\.example\.com \* [0-9]+ bytes of output are missing here: .*no space left on device`,
			},
		}, {
			name: "no inode left", heal: fmt.Sprintf(remount, "nr_inodes=0"),
			early: true, pulls: []string{failed(`fetch: .*o space left on device: make room on the node \(df -h, df -i\)`)},
			harm:  fmt.Sprintf(remount, "nr_inodes=$(($(df --output=iused /var/lib/troops | tail -1) + 3))"),
			shows: []string{failed(`push: .*did not take the pack: .*disk is full, or has no inode left \(df -h and df -i there\)`), `^victim\.example\.com \| .*unable to create .*No space left on device`},
		}, {
			name: "read-only file system", harm: fmt.Sprintf(remount, "ro"), heal: fmt.Sprintf(remount, "rw"),
			shows: []string{failed(`push: .*did not take the pack: .*or its repository not writable`)},
			early: true, pulls: []string{failed(`fetch: .*read-only file system: look on the node why it is mounted read-only \(dmesg\)`)},
		},
	}
}

// venvFaults are of pip and of what it makes.
func venvFaults() []fault {
	faults := []fault{
		{
			name: "pip fails", harm: "mv /srv/wheels /srv/gone", heal: "mv /srv/gone /srv/wheels",
			files: map[string]string{"requirements.txt": "PyDebianAdmin\n# one more key\n"},
			shows: []string{failed("venv: exit code 1"), "No matching distribution found for PyDebianAdmin"},
		}, {
			// The limit counts from the beginning of the virtualenv: wherever that has come to by then, it
			// does not end.
			name: "pip hangs", harm: "mkfifo /run/hang && git config --system troops.venvTimeout 8s",
			heal:  "rm /run/hang && git config --system --unset troops.venvTimeout",
			files: map[string]string{"requirements.txt": "PyDebianAdmin\n./slow\n", "slow/pyproject.toml": slowProject, "slow/slow.py": slowBackend},
			shows: []string{failed(`venv: .*no virtualenv within 8s.*, on the node: git config --system troops\.venvTimeout 1h`)},
		},
	}
	for _, damage := range []struct{ name, harm string }{
		{"virtualenv without its python", "find /var/lib/troops/venvs -path '*/bin/python*' -delete"},
		{"virtualenv of another program", "for v in /var/lib/troops/venvs/*-*; do ln -sf /bin/false $v/bin/python; done"},
		{"virtualenv half made", "find /var/lib/troops/venvs -name site-packages -prune -exec rm -r {} +"},
		{"python upgraded", pythonUpgrade},
	} {
		faults = append(faults, fault{
			name: damage.name, harm: damage.harm, deployed: true,
			shows: []string{`^victim\.example\.com .*virtualenv: making one`}, next: []string{`virtualenv: unchanged$`},
		})
	}
	return faults
}

// slowProject and slowBackend are a package of the repository that pip builds, which takes for
// ever where there is a fifo for that. What waits is a child of pip's child.
const (
	slowProject = "[build-system]\nrequires = []\nbuild-backend = 'slow'\nbackend-path = ['.']\n"
	slowBackend = `import os, subprocess, zipfile

def build_wheel(directory, *args, **kwargs):
    if os.path.exists('/run/hang'):
        subprocess.run(['cat', '/run/hang'])
    name = 'slow-1-py3-none-any.whl'
    with zipfile.ZipFile(os.path.join(directory, name), 'w') as wheel:
        wheel.writestr('slow-1.dist-info/METADATA', 'Metadata-Version: 2.1\nName: slow\nVersion: 1\n')
        wheel.writestr('slow-1.dist-info/WHEEL', 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr('slow-1.dist-info/RECORD', '')
    return name
`
)

// pythonUpgrade has python3 say that it is another one: of the machine's own there is only one.
const pythonUpgrade = `printf '%s\n' '#!/bin/sh' '/usr/bin/python3 "$@" | sed "s/\"version\": \"[0-9.]*/&9/"' >/usr/local/bin/python3 && chmod +x /usr/local/bin/python3`

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
    os.system('''kill -9 $(pgrep sshd); ` + startSshd + `''')
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

// noise is text that no packing makes smaller than half of n.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		fmt.Fprintf(&b, "%016x\n", r.Uint64())
	}
	return b.String()
}
