package nodeside

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"troops/gitcli"
	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// The test's binary is troops as well, as far as a node needs it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "node" {
		if err := nodeMain(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "troops:", err)
			syscall.Exit(1)
		}
		syscall.Exit(0) // not os.Exit, where the race detector sleeps for a second
	}
	os.Exit(m.Run())
}

func nodeMain(args []string) error {
	ctx := context.Background()
	l := LayoutAt("")
	if len(args) > 1 && args[0] == "--dir" {
		l, args = LayoutAt(args[1]), args[2:]
	}
	switch {
	case len(args) == 2 && args[0] == "hook":
		return HookProcReceive(ctx, l, os.Stdin, os.Stdout, os.Stderr)
	case len(args) == 1 && args[0] == "start":
		return Start(ctx, l, os.Stdin, os.Stdout)
	case len(args) == 2 && args[0] == "run":
		return Run(ctx, l, args[1])
	case len(args) == 3 && args[0] == "attach":
		return Attach(ctx, l, args[1], 0, strings.NewReader(""), os.Stdout)
	}
	if len(args) == 3 && args[0] == "cancel" {
		return Cancel(ctx, l, args[1], args[2], os.Stdout)
	}
	return fmt.Errorf("no such command: %q", args)
}

// patience is for what never takes long: a test that waits for so long has failed.
const patience = 60 * time.Second

// testNode is a node without root, and a repository to push from.
type testNode struct {
	testing.TB
	l    Layout
	work string
	out  bytes.Buffer // of init
}

func newTestNode(t testing.TB) *testNode {
	t.Helper()
	dir := t.TempDir()
	n := &testNode{TB: t, l: LayoutAt(filepath.Join(dir, "node")), work: filepath.Join(dir, "work")}
	n.init()
	// Runs outlive the test's processes; none may outlive its directory.
	t.Cleanup(func() { n.endRuns() })
	n.git("-C", dir, "init", "-q", "-b", "master", n.work)
	return n
}

func (n *testNode) init() {
	n.Helper()
	n.out.Reset()
	exe, err := os.Executable()
	n.check(err)
	n.check(Init(n.Context(), InitOptions{Dir: n.l.Dir, Binary: exe, Out: &n.out}))
}

func (n *testNode) check(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

// env is of the pusher: nothing of the machine's git configuration.
func (n *testNode) env() []string {
	return append(gitcli.CleanEnv(os.Environ()), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com", "LOGNAME=tester")
}

func (n *testNode) command(args ...string) *exec.Cmd {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = n.work, n.env()
	if _, err := os.Stat(n.work); err != nil {
		cmd.Dir = "/"
	}
	return cmd
}

// git runs git in the pusher's repository and returns what it printed.
func (n *testNode) git(args ...string) string {
	n.Helper()
	out, err := n.command(append([]string{"git"}, args...)...).CombinedOutput()
	if err != nil {
		n.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes a commit of files (path, content, ...) and returns its name. A file called
// deploy is executable.
func (n *testNode) commit(files ...string) string {
	n.Helper()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(n.work, files[i])
		n.check(os.MkdirAll(filepath.Dir(path), 0o755))
		mode := os.FileMode(0o644)
		if files[i] == "deploy" {
			mode = 0o755
		}
		n.check(os.WriteFile(path, []byte(files[i+1]), mode))
		n.check(os.Chmod(path, mode))
	}
	n.git("add", "-A")
	n.git("commit", "-q", "--allow-empty", "-m", "test")
	return n.git("rev-parse", "HEAD")
}

// push is stock git's.
func (n *testNode) push(args ...string) (out string, err error) {
	n.Helper()
	cmd := n.command(append([]string{"git", "push", n.l.Repo()}, args...)...)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

func (n *testNode) mustPush(args ...string) string {
	n.Helper()
	out, err := n.push(args...)
	if err != nil {
		n.Fatalf("git push %v: %v\n%s", args, err, out)
	}
	return out
}

func (n *testNode) tip(ref string) string {
	n.Helper()
	tip, err := n.l.tip(n.Context(), ref)
	n.check(err)
	return tip
}

// runs are the records of all runs, by commit.
func (n *testNode) runs() map[string]wire.Result {
	n.Helper()
	all, err := runlog.List(n.l.Runs())
	n.check(err)
	m := make(map[string]wire.Result, len(all))
	for _, r := range all {
		m[r.Commit] = r
	}
	return m
}

// awaitEnd waits until the run's process has ended, and returns its record.
func (n *testNode) awaitEnd(id string) wire.Result {
	n.Helper()
	f, err := os.Open(n.l.run(id).Alive())
	n.check(err)
	defer f.Close()
	n.await("the end of run "+id, func() error { return unix.Flock(int(f.Fd()), unix.LOCK_SH) })
	r, err := n.l.run(id).Record()
	n.check(err)
	return r
}

// await fails the test where f takes too long.
func (n *testNode) await(what string, f func() error) {
	n.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		n.check(err)
	case <-time.After(patience):
		n.Fatalf("waited %v for %s", patience, what)
	}
}

// follow waits for the end of a run by following it.
func (n *testNode) follow(id string) (string, wire.Result) {
	n.Helper()
	var out bytes.Buffer
	n.await("run "+id, func() error { return Attach(n.Context(), n.l, id, 0, strings.NewReader(""), &out) })
	return decode(n.TB, out.Bytes())
}

// decode splits what attach printed into the text of its frames, a line for each note and
// phase, and the result.
func decode(t testing.TB, b []byte) (text string, r wire.Result) {
	t.Helper()
	frames := wire.NewReader(bytes.NewReader(b))
	if noise, err := frames.SkipPreface(); err != nil || len(noise) > 0 {
		t.Fatalf("preface: %q, %v", noise, err)
	}
	var sb strings.Builder
	for {
		f, err := frames.Next()
		if err == io.EOF {
			t.Fatalf("no result after %q", sb.String())
		}
		if err != nil {
			t.Fatal(err)
		}
		switch f.Kind {
		case wire.Stdout, wire.Stderr:
			sb.Write(f.Payload)
		case wire.Note, wire.Phase, wire.Aside:
			fmt.Fprintf(&sb, "[%c %s]\n", f.Kind, f.Payload)
		case wire.Done:
			if r, err = wire.ParseResult(f.Payload); err != nil {
				t.Fatal(err)
			}
			if _, err := frames.Next(); err != io.EOF {
				t.Fatalf("after the result: %v", err)
			}
			return sb.String(), r
		}
	}
}

// start asks for a run as the hook does.
func (n *testNode) start(q Request) (string, error) {
	n.Helper()
	h := &hook{l: n.l, deployed: q.Branch, pushed: pushOptions{host: q.Host, by: q.By}}
	return h.start(n.Context(), command{New: q.Commit, Ref: q.Branch}, q.Run)
}

// fifo makes a named pipe; a deployment that reads it waits until the test opens it.
func (n *testNode) fifo(name string) string {
	n.Helper()
	path := filepath.Join(filepath.Dir(n.l.Dir), name)
	n.check(unix.Mkfifo(path, 0o600))
	return path
}

// open lets whoever reads the fifo go on. It waits until somebody does.
func (n *testNode) open(fifo string) {
	n.Helper()
	n.await("a reader of "+fifo, func() error { return os.WriteFile(fifo, []byte("go\n"), 0) })
}

// reached waits until somebody writes to the fifo.
func (n *testNode) reached(fifo string) {
	n.Helper()
	n.await("a writer of "+fifo, func() error { _, err := os.ReadFile(fifo); return err })
}

// endRuns kills what still lives and waits for it.
func (n *testNode) endRuns() {
	all, _ := runlog.List(n.l.Runs())
	for dir, r := range all {
		f, err := os.Open(dir.Alive())
		if err != nil {
			continue
		}
		if !r.State.Final() && r.Pid > 1 {
			unix.Kill(r.Pid, unix.SIGTERM)
		}
		unix.Flock(int(f.Fd()), unix.LOCK_SH)
		f.Close()
	}
}

// lockFree waits until no run holds the node's lock.
func (n *testNode) lockFree() {
	n.Helper()
	f, err := os.Open(n.l.runLock())
	n.check(err)
	defer f.Close()
	n.await("the node's lock", func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX) })
}
