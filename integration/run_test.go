package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"troops/integration/testnode"
	"troops/nodeside/wire"
)

// TestLive shows that a line is on the workstation's screen while the run that printed it goes on.
func TestLive(t *testing.T) {
	s := newStation(t)
	n := s.nodes(testnode.Options{Names: []string{"live.example.com"}})[0]
	makeGates(t, n)
	const lines = 40
	deploy := fmt.Sprintf(`
import time
def wait():
    with open('/run/gate') as gate:
        gate.read()

for i in range(%d):
    print('line', i, 'printed at', time.time())
    wait()
print('half a line, ', end='')
wait()
print('and its end')
`, lines)
	s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, deploy)})
	p := s.troops("push")
	var took []time.Duration
	for i := range lines {
		// The run waits at its gate until the line is on the screen: that it is shown live is
		// shown by coming to the end at all.
		p.sees(fmt.Sprintf(" | line %d printed at ", i))
		seen := time.Now()
		m := regexp.MustCompile(fmt.Sprintf(`line %d printed at ([0-9.]+)`, i)).FindStringSubmatch(p.stdout.String())
		at, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, seen.Sub(time.UnixMicro(int64(at*1e6))))
		open(t, n)
	}
	open(t, n)
	p.exits(0).shows(`^live\.example\.com \| half a line, and its end$`)
	slices.Sort(took)
	t.Logf("from print to screen, %d lines: median %v, longest %v", lines, took[lines/2], took[lines-1])
}

// TestRunOutlivesClient kills the workstation's half in the middle of a run's output: a run
// that prints through a hook hangs for ever then, once 64 KiB are in the pipe that nobody reads.
func TestRunOutlivesClient(t *testing.T) {
	const half = 12_000 // lines of more than 100 bytes: above 1 MB before and after the kill
	deploy := fmt.Sprintf(`
def talk(begin):
    for i in range(begin, begin + %d):
        print(f'line {i} ' + 'x' * 100)

talk(0)
`+gate+`
talk(%[1]d)
`, half)
	for _, tt := range []struct {
		name  string
		push  func(s *station, n *testnode.Node) *process
		shown func(p *process) *testnode.Transcript
	}{
		{
			"troops push",
			func(s *station, _ *testnode.Node) *process { return s.troops("push") },
			func(p *process) *testnode.Transcript { return &p.stdout },
		},
		{
			"git push",
			func(s *station, n *testnode.Node) *process {
				return s.start("git", "push", n.Name+":"+repoPath, "master")
			},
			func(p *process) *testnode.Transcript { return &p.stderr },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStation(t)
			n := s.nodes(testnode.Options{Names: []string{"kill.example.com"}})[0]
			makeGates(t, n)
			head := s.commit(map[string]string{"deploy.py": hosts([]*testnode.Node{n}, deploy)})

			p := tt.push(s, n)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := tt.shown(p).WaitSize(ctx, 1<<20); err != nil {
				t.Fatalf("%v\n%s", err, p.said())
			}
			if err := p.kill(); err != nil {
				t.Fatal(err)
			}
			if code := p.wait(); code != -1 {
				t.Fatalf("exit code %d after kill -9", code)
			}
			open(t, n)
			idle(t, n)

			run := n.Run(t, "echo /var/lib/troops/runs/*")
			res, err := wire.ParseResult(n.ReadFile(t, run+"/record.json"))
			if err != nil || res.State != wire.OK || res.LogError != "" {
				t.Errorf("record: %+v, %v", res, err)
			}
			checkLog(t, n.ReadFile(t, run+"/log"), 2*half)
			if got := s.deployed(n); got != head {
				t.Errorf("the branch is at %q, want %s", got, head)
			}
			nothingRuns(t, n)
			s.troops("push").exits(0).shows(`^kill\.example\.com \* current`)
		})
	}
}

// checkLog checks that a run's log is whole: its frames hold lines 0 to n-1.
func checkLog(t *testing.T, log []byte, n int) {
	t.Helper()
	var out strings.Builder
	r := wire.NewReader(bytes.NewReader(log))
	for {
		f, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("log: %v", err)
		}
		if f.Kind == wire.Stdout {
			out.Write(f.Payload)
		}
	}
	lines := strings.Split(out.String(), "\n")
	if len(lines) != n+1 || lines[n] != "" {
		t.Fatalf("the log has %d lines, want %d", len(lines)-1, n)
	}
	for i, line := range lines[:n] {
		if !strings.HasPrefix(line, fmt.Sprintf("line %d x", i)) {
			t.Fatalf("line %d of the log: %q", i, line)
		}
	}
}

// nothingRuns waits until a node has no process but those that it had when it started. There
// is no event for the end of a process that one does not know, so it looks for 10 s.
func nothingRuns(t *testing.T, n *testnode.Node) {
	t.Helper()
	n.Run(t, `
others() { ps -eo pid=,ppid=,args= | grep -v -e '^ *1 ' -e '/usr/sbin/sshd -D' -e "^ *$$ " -e " $$ "; }
for try in $(seq 100); do
	others >/tmp/others || exit 0
	sleep 0.1
done
cat /tmp/others
exit 1`)
}

// TestRequirements shows that pip runs when the requirements change and only then, and that a
// failed deployment moves nothing and is tried again.
func TestRequirements(t *testing.T) { eachKind(t, testRequirements) }

func testRequirements(t *testing.T, k kind) {
	s := newStation(t)
	s.kind = k
	n := s.nodes(testnode.Options{Names: []string{"web.example.com"}, Files: pydebianadmin(t)})[0]
	deploy := hosts([]*testnode.Node{n}, `
import os, sys, pydebianadmin
with open('/var/tmp/runs', 'a') as runs:
    runs.write('run\n')
print('round %d')
if os.path.exists('/etc/broken'):
    print('it broke', file=sys.stderr)
    sys.exit(7)
`)
	round := func(i int) map[string]string {
		return map[string]string{"deploy.py": fmt.Sprintf(deploy, i), "requirements.txt": "PyDebianAdmin\n"}
	}
	runs := func() string { return n.Run(t, "wc -l </var/tmp/runs") }

	s.commit(round(1))
	s.troops("push").exits(0).shows(`\| round 1$`, `(?i)successfully installed pydebianadmin`)

	// Without its source pip could not install anything: it must not be asked.
	n.Run(t, "mv /srv/wheels /srv/gone")
	good := s.commit(round(2))
	p := s.troops("push").exits(0)
	p.shows(`\| round 2$`)
	p.lacks(`(?i)pydebianadmin`, `(?i)\bpip\b`)

	n.Run(t, "touch /etc/broken")
	bad := s.commit(round(3))
	for try := 3; try <= 4; try++ {
		p := s.troops("push").exits(1)
		p.shows(`^web\.example\.com ! it broke$`, `^web\.example\.com \* failed in deploy: exit code 7`, `^troops: 1 node: 1 failed`)
		if got := s.deployed(n); got != good {
			t.Errorf("after a failure the branch is at %s, want %s", got, good)
		}
		if got := runs(); got != fmt.Sprint(try) {
			t.Errorf("deploy.py ran %s times, want %d", got, try)
		}
	}
	n.Run(t, "rm /etc/broken")
	s.troops("push").exits(0).shows(`\| round 3$`)
	if got := s.deployed(n); got != bad {
		t.Errorf("after the repair the branch is at %s, want %s", got, bad)
	}

	// Other requirements do ask pip, which fails, and the error tells whose it is.
	s.commit(map[string]string{"requirements.txt": "PyDebianAdmin\nno-such-thing\n"})
	s.troops("push").exits(1).shows(`^web\.example\.com \* failed in venv: exit code 1`, `No matching distribution found for`)
	if got := s.deployed(n); got != bad {
		t.Errorf("after pip failed the branch is at %s, want %s", got, bad)
	}
	nothingRuns(t, n)
}
