package deployment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// variant makes the requirements others than before, without a package to install.
func (n *node) variant(i int) {
	n.next()
	n.files(map[string]string{"requirements.txt": fmt.Sprintf("# %d\n", i)})
}

func TestDamagedVenvIsMadeAgain(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"deploy.py": "import troops\n"})
	for name, damage := range map[string]func(venv string) error{
		"python gone":     func(v string) error { return os.Remove(filepath.Join(v, "bin", "python")) },
		"python dangling": func(v string) error { return relink(filepath.Join(v, "bin", "python3"), "/nowhere") },
		"other program":   func(v string) error { return relink(filepath.Join(v, "bin", "python"), "/bin/false") },
		"directory gone":  os.RemoveAll,
		"directory empty": func(v string) error { return errors.Join(os.RemoveAll(v), os.Mkdir(v, 0o755)) },
		"lib gone":        func(v string) error { return os.RemoveAll(filepath.Join(v, "lib")) },
		"module gone": func(v string) error {
			site, err := sitePackages(v)
			return errors.Join(err, os.RemoveAll(filepath.Join(site, "troops")))
		},
		"link to elsewhere": func(v string) error { return relink(v[:strings.LastIndexByte(v, '-')], "../checkout") },
	} {
		first := n.venv()
		if err := damage(first); err != nil {
			t.Fatal(err)
		}
		n.next()
		n.deploy()
		if n.noted("unchanged") {
			t.Errorf("%s: reused", name)
		}
		n.next()
		if again := n.venv(); again == first || !n.noted("unchanged") {
			t.Errorf("%s: not reused after it was made again", name)
		}
		if _, err := os.Stat(first); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the damaged one is still there: %v", name, err)
		}
	}
}

// TestDamagedInTheSameRun makes a virtualenv twice under one name.
func TestDamagedInTheSameRun(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"deploy.py": "import troops\n"})
	if err := os.Remove(filepath.Join(n.venv(), "pyvenv.cfg")); err != nil {
		t.Fatal(err)
	}
	n.deploy()
}

func relink(name, target string) error { return errors.Join(os.Remove(name), os.Symlink(target, name)) }

func TestPrune(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"deploy.py": ""})
	var venvs []string
	old := time.Now().Add(-time.Hour)
	for i := range KeepVenvs + 1 {
		n.variant(i)
		venvs = append(venvs, n.venv())
		used := old.Add(time.Duration(i) * time.Minute)
		if err := os.Chtimes(filepath.Join(venvs[i], venvLock), used, used); err != nil {
			t.Fatal(err)
		}
	}
	n.variant(1)
	if n.venv() != venvs[1] { // used again: not the oldest any more
		t.Fatal("not reused")
	}
	lock := inUse(venvs[2])
	if lock == nil {
		t.Fatal("a virtualenv cannot be held")
	}
	write(t, filepath.Join(n.Spec.Venvs, "README"), "not a virtualenv")
	write(t, filepath.Join(n.Spec.Venvs, deadName+"1", "x"), "left by a run that died")
	n.variant(100)
	last := n.venv()
	want := append([]string{last}, venvs[1:]...) // without the one in use it would be venvs[3] that is the fifth
	if got := n.dirs(); !slices.Equal(got, sorted(want)) {
		t.Errorf("with one in use: kept %q\nwant %q", got, sorted(want))
	}
	lock.Close()
	n.variant(101)
	want = []string{venvs[1], venvs[4], venvs[5], last, n.venv()}
	if got := n.dirs(); !slices.Equal(got, sorted(want)) {
		t.Errorf("kept %q\nwant %q", got, sorted(want))
	}
	if got := n.entries(); len(got) != 2*len(want)+1 || !slices.Contains(got, "README") {
		t.Errorf("entries %q, want one link for each virtualenv, and README", got)
	}
}

// dirs lists the virtualenvs that are directories.
func (n *node) dirs() []string {
	var out []string
	for _, name := range n.entries() {
		if venvName.MatchString(name) {
			out = append(out, filepath.Join(n.Spec.Venvs, name))
		}
	}
	return sorted(out)
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

func TestConcurrentBuilds(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"deploy.py": "import troops\n"})
	const builds = 4
	var wg sync.WaitGroup
	errs := make(chan error, builds)
	for i := range builds {
		s := n.Spec
		s.Run, s.Note, s.ReportFile = fmt.Sprintf("RUN%d", i), nil, ""
		wg.Go(func() {
			venv, err := EnsureVenv(t.Context(), s)
			if err == nil {
				_, _, err = Deploy(t.Context(), s, venv)
			}
			errs <- err
		})
	}
	wg.Wait()
	for range builds {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	n.variant(1)
	n.venv() // prunes those that lost
	if got := n.dirs(); len(got) != 2 {
		t.Errorf("left: %q", got)
	}
}

// hangingBackend builds no wheel: it says who it is and waits at a gate.
const hangingBackend = `import os
def build_wheel(*args, **kwargs):
    with open(os.environ['HOME'] + '/started', 'w') as f:
        f.write(str(os.getpgrp()))
    open(os.environ['HOME'] + '/gate').read()
`

// hangingNode is a node on which pip tells the fifo started its process group, and
// then waits for ever.
func hangingNode(t *testing.T) (n *node, started string) {
	n = withFoo(t)
	n.files(map[string]string{
		"requirements.txt": "foo\n./hang\n", "hang/pyproject.toml": pyproject, "hang/backend.py": hangingBackend,
	})
	fifo(t, filepath.Join(getEnv(n.Spec.Env, "HOME"), "gate"))
	return n, fifo(t, filepath.Join(getEnv(n.Spec.Env, "HOME"), "started"))
}

func fifo(t *testing.T, name string) string {
	t.Helper()
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// receive waits for what somebody writes into a fifo; the test fails if done tells of
// an end before that.
func receive(t *testing.T, fifo string, done <-chan error) string {
	t.Helper()
	got := make(chan string, 1)
	go func() {
		b, _ := os.ReadFile(fifo)
		got <- string(b)
	}()
	select {
	case s := <-got:
		return s
	case err := <-done:
		os.WriteFile(fifo, nil, 0) // lets the reader go
		t.Fatalf("ended before it wrote to %s: %v", filepath.Base(fifo), err)
	}
	return ""
}

// TestKilledBuild kills a process while its pip is at work, and deploys again.
func TestKilledBuild(t *testing.T) {
	t.Parallel()
	n, started := hangingNode(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TROOPS_TEST_BUILD="+n.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	group, err := strconv.Atoi(receive(t, started, done))
	if err != nil || group < 2 {
		t.Fatalf("group %d, %v", group, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-done
	if err := syscall.Kill(-group, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	left := n.dirs()
	if len(left) != 1 {
		t.Fatalf("the build that died left %q", left)
	}
	n.next()
	n.files(map[string]string{"requirements.txt": "foo\n"})
	n.deploy()
	if now := n.dirs(); len(now) != 1 || now[0] == left[0] {
		t.Errorf("virtualenvs %q, want one other than %q", now, left)
	}
}

// buildForTest is the process that TestKilledBuild kills.
func buildForTest(dir string) int {
	s := Spec{
		Checkout: filepath.Join(dir, "checkout"), Venvs: filepath.Join(dir, "venvs"), Run: "KILLED",
		Env: setEnv(CleanEnv(), "HOME", filepath.Join(dir, "home")), Stderr: os.Stderr,
	}
	if _, err := EnsureVenv(context.Background(), s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestCancelledBuild ends a build's context while pip is at work.
func TestCancelledBuild(t *testing.T) {
	t.Parallel()
	n, started := hangingNode(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := EnsureVenv(ctx, n.Spec)
		done <- err
	}()
	group, err := strconv.Atoi(receive(t, started, done))
	if err != nil || group < 2 {
		t.Fatalf("group %d, %v", group, err)
	}
	reason := errors.New("somebody's reason")
	cancel(reason)
	if err := <-done; !errors.Is(err, reason) || !strings.Contains(err.Error(), "pip install: stopped: ") {
		t.Errorf("error %v", err)
	}
	if left := n.entries(); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	if err := syscall.Kill(-group, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("processes of pip are still there: %v", err)
	}
	if _, err := EnsureVenv(ctx, n.Spec); !errors.Is(err, reason) {
		t.Errorf("with an ended context: %v", err)
	}
}
