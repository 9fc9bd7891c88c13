package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"troops/integration/simnode"
)

// troopsProgram is the troops that is measured.
var troopsProgram string

// TestMain plays this program's other roles, which it starts by its own path.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		exit(roles[os.Args[1]](os.Args[2:]))
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "troops-bench-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	troopsProgram = filepath.Join(dir, "troops")
	if out, err := exec.Command("go", "build", "-o", troopsProgram, "troops/cmd/troops").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "bench: building troops: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	return &machine{dir: t.TempDir(), troops: troopsProgram, out: t.Output()}
}

// run measures a scenario.
func (m *machine) run(t *testing.T, s scenario) *measured {
	t.Helper()
	got, err := m.scenario(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *got)
	return got
}

// TestFleet pushes to 200 simulated nodes. How long it takes decides nothing.
func TestFleet(t *testing.T) {
	const nodes, memory = 200, 150 << 20
	got := newMachine(t).run(t, scenario{nodes: nodes, work: simnode.Work{Lines: lines}})
	if want := nodes * lines; got.Lines != want {
		t.Errorf("%d lines are shown, want %d", got.Lines, want)
	}
	if got.packs != 1 {
		t.Errorf("git pack-objects was run %d times", got.packs)
	}
	if got.RSS > memory {
		t.Errorf("troops took %d MB of memory, want at most %d", got.RSS>>20, memory>>20)
	}
}

// TestFirstPush sends a large repository to ten nodes: one pack, and not in memory for each.
func TestFirstPush(t *testing.T) {
	const nodes, size, memory = 10, 20 << 20, 100 << 20
	got := newMachine(t).run(t, scenario{nodes: nodes, first: size, work: simnode.Work{Lines: 1}})
	if got.Lines != nodes || got.packs != 1 {
		t.Errorf("%d lines of %d nodes are shown, git pack-objects was run %d times", got.Lines, nodes, got.packs)
	}
	if got.RSS > memory {
		t.Errorf("troops or git took %d MB of memory, want at most %d", got.RSS>>20, memory>>20)
	}
}

// TestFlood has a node print until nine others have printed all of theirs: these can only end
// if it does not hold them up.
func TestFlood(t *testing.T) {
	const nodes, quiet = 10, 20
	got := newMachine(t).run(t, scenario{nodes: nodes, work: simnode.Work{Lines: quiet, Pause: time.Millisecond, Flood: 1}})
	if want := (nodes - 1) * quiet; got.Lines != want || got.Waits.Count != want {
		t.Errorf("%d lines are shown, %d with a time, want %d", got.Lines, got.Waits.Count, want)
	}
}

// TestBulk loses none of what nodes print into a file.
func TestBulk(t *testing.T) {
	const nodes, size = 5, 4 << 20
	got := newMachine(t).run(t, scenario{nodes: nodes, plain: true, work: simnode.Work{Bytes: size}})
	if got.output < nodes*size {
		t.Errorf("the file has %d bytes, the nodes printed %d", got.output, nodes*size)
	}
}

// TestAccount counts everything that a command prints, and ends what it leaves behind.
func TestAccount(t *testing.T) {
	m := newMachine(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	script := fmt.Sprintf(`echo '%[1]s1'; echo 'a %[1]s2 b %[1]s3'
		(trap '' TERM HUP; exec sleep 1000) & echo $! >%[2]s; exit 3`, marker, pidFile)
	u, out, err := m.measure(t.Context(), command{dir: m.dir, args: []string{"sh", "-c", script}})
	if err != nil {
		t.Fatal(err)
	}
	if u.Exit != 3 || u.Lines != 3 || u.First == 0 || u.First > u.Last || u.Opening > u.First || u.RSS == 0 || u.CPU == 0 {
		t.Errorf("usage: %+v", *u)
	}
	if b, err := os.ReadFile(out); err != nil || !strings.HasPrefix(string(b), marker+"1\na ") {
		t.Errorf("output %q, %v", b, err)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("process %d, which the command left behind: %v", pid, err)
	}
	if _, _, err := m.measure(t.Context(), command{dir: m.dir, args: []string{"/no/such/program"}}); err == nil {
		t.Error("no error for a program that does not exist")
	}
}

func TestScenarioThatFails(t *testing.T) {
	m := newMachine(t)
	m.troops = "/bin/false"
	if _, err := m.scenario(t.Context(), scenario{nodes: 1}); err == nil || !strings.Contains(err.Error(), "exit code 1") {
		t.Errorf("error %v", err)
	}
}

func TestTable(t *testing.T) {
	tab := &table{}
	tab.row("", "wall")
	tab.row("troops", seconds(1500*time.Millisecond))
	want := "|        | wall   |\n|--------|--------|\n| troops | 1.50 s |\n"
	if got := tab.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestServeSaysWhyItCannot(t *testing.T) {
	if err := serve([]string{"-dir", t.TempDir(), "-nodes", "0"}); err == nil {
		t.Error("no error for no nodes")
	}
	if _, err := simulate(t.Context(), simnode.Options{Dir: t.TempDir()}); err == nil {
		t.Error("no error from a process that ended")
	} else if ee := (*exec.ExitError)(nil); !errors.As(err, &ee) {
		t.Errorf("error %v", err)
	}
}
