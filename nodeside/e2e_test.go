package nodeside

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

func TestPushDeploys(t *testing.T) {
	n := newTestNode(t)
	oid := n.commit("deploy", "#!/bin/sh\necho out of $TROOPS_COMMIT\necho err >&2\nls\n", "a/b", "x")
	out := n.mustPush("master")
	for _, want := range []string{"remote: out of " + oid, "remote: err", "troops: phase checkout", "troops: phase deploy", "remote: deploy", oid[:12] + " deployed", "master -> master"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if got := n.tip("refs/heads/master"); got != oid {
		t.Errorf("branch is at %q, want %q", got, oid)
	}
	if got := n.tip(wire.DeployedRef); got != oid {
		t.Errorf("%s is at %q, want %q", wire.DeployedRef, got, oid)
	}
	r := n.runs()[oid]
	if r.State != wire.OK || r.Phase != "deploy" || r.By != "tester" || r.Branch != "refs/heads/master" || r.LogBytes == 0 || r.Ended.IsZero() {
		t.Errorf("record %+v", r)
	}
	n.lockFree()
	n.git("--git-dir="+n.l.Repo(), "fsck", "--strict")
}

// A deployment in Python: the virtualenv, the module, its report.
func TestPushPython(t *testing.T) {
	n := newTestNode(t)
	oid := n.commit("deploy.py", "import troops\ntroops.define_role('web', hosts=['h-1'])\nprint(troops.hostname(), sorted(troops.roles))\n")
	out := n.mustPush("-o", wire.OptionHost+"h-1", "master")
	if !strings.Contains(out, "remote: h-1 ['web']") {
		t.Errorf("roles are not in\n%s", out)
	}
	if r := n.runs()[oid]; !r.Reported || fmt.Sprint(r.Roles) != "[web]" || r.Host != "h-1" {
		t.Errorf("record %+v", r)
	}
}

func TestFailedPush(t *testing.T) {
	n := newTestNode(t)
	reason := regexp.MustCompile(`! \[remote rejected\] master -> master \(troops: run [0-9A-Z]{26} exited 7\)`)
	first := n.commit("deploy", "#!/bin/sh\necho attempt\nexit 7\n")
	for range 2 { // a failed commit is tried again by the next push
		out, err := n.push("master")
		if err == nil || !reason.MatchString(out) || !strings.Contains(out, "remote: attempt") {
			t.Fatalf("git push: %v\n%s", err, out)
		}
		if tip := n.tip("refs/heads/master"); tip != "" {
			t.Fatalf("the branch is at %s after a failed run", tip)
		}
	}
	if r := n.runs()[first]; r.State != wire.Failed || r.ExitCode != 7 || r.Phase != "deploy" || r.Error != "" {
		t.Errorf("record %+v", r)
	}
	good := n.commit("deploy", "#!/bin/sh\n")
	n.mustPush("master")
	n.commit("deploy", "#!/bin/sh\nkill -KILL $$\n")
	out, err := n.push("master")
	if err == nil || !strings.Contains(out, "was ended by a signal in deploy: killed)") {
		t.Errorf("git push: %v\n%s", err, out)
	}
	if tip := n.tip("refs/heads/master"); tip != good {
		t.Errorf("the branch is at %s after a failed run, want %s", tip, good)
	}
}

func TestNothingToDeploy(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"neither", "README", "failed in checkout: the commit has neither deploy.py nor an executable file deploy"},
		{"not executable", "deploy", "deploy is not executable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newTestNode(t)
			n.commit(test.file, "hello\n")
			n.git("update-index", "--chmod=-x", test.file)
			n.git("commit", "-q", "--allow-empty", "-m", "mode")
			out, err := n.push("master")
			if err == nil || !strings.Contains(out, test.want) {
				t.Errorf("git push: %v\n%s", err, out)
			}
		})
	}
}

// numbered prints lines up to last, the first megabyte before it waits for the gate.
func numbered(gate string, last int) string {
	return fmt.Sprintf(`#!/bin/sh
awk 'BEGIN { for (i = 1; i <= 16384; i++) printf "%%063d\n", i }'
read go < %s
awk 'BEGIN { for (i = 16385; i <= %d; i++) printf "%%063d\n", i }'
`, gate, last)
}

func checkNumbered(t *testing.T, text string, last int) {
	t.Helper()
	i := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") {
			continue
		}
		if i++; line != fmt.Sprintf("%063d\n", i) {
			t.Fatalf("line %d of the log is %q", i, line)
		}
	}
	if i != last {
		t.Fatalf("%d lines in the log, want %d", i, last)
	}
}

// pushUntil starts a push, and returns when a megabyte of its output has come. Every
// process of the push has family's write end: it is read to its end when all are gone.
func (n *testNode) pushUntil() (push *os.Process, rest io.ReadCloser, family *os.File) {
	n.Helper()
	family, w, err := os.Pipe()
	n.check(err)
	cmd := n.command("git", "push", n.l.Repo(), "master")
	cmd.ExtraFiles = []*os.File{w}
	pipe, err := cmd.StderrPipe()
	n.check(err)
	n.check(cmd.Start())
	w.Close()
	n.await("a megabyte of output", func() error {
		_, err := io.CopyN(io.Discard, pipe, 1<<20)
		return err
	})
	n.Cleanup(func() { cmd.Process.Kill(); cmd.Wait(); family.Close() })
	return cmd.Process, pipe, family
}

// The most important property (faults.md F1): a hook that prints for a client that is dead
// blocks for ever once the pipe is full. The run must not notice.
func TestClientKilled(t *testing.T) {
	const lines = 3 << 14
	n := newTestNode(t)
	gate := n.fifo("gate")
	oid := n.commit("deploy", numbered(gate, lines))
	push, _, family := n.pushUntil()
	n.check(push.Kill())
	// The hook and receive-pack leave while the run goes on, which has nothing of theirs.
	n.await("the end of the hook", func() error { _, err := io.ReadAll(family); return err })
	r := n.runs()[oid]
	if r.State != wire.Running {
		t.Fatalf("record %+v", r)
	}
	n.open(gate)
	text, r := n.follow(r.Run)
	if r.State != wire.OK {
		t.Errorf("record %+v", r)
	}
	checkNumbered(t, text, lines)
	info, err := os.Stat(n.l.run(r.Run).Log())
	n.check(err)
	if info.Size() != r.LogBytes || r.LogError != "" {
		t.Errorf("the log has %d bytes, the record says %d, %q", info.Size(), r.LogBytes, r.LogError)
	}
	n.lockFree()
	if tip := n.tip("refs/heads/master"); tip != oid {
		t.Errorf("the branch is at %q", tip)
	}
	if out := n.mustPush("master"); !strings.Contains(out, "Everything up-to-date") {
		t.Errorf("the next push:\n%s", out)
	}
}

// A suspended workstation (F2) holds back its own output only.
func TestClientStopped(t *testing.T) {
	const lines = 3 << 14
	n := newTestNode(t)
	gate := n.fifo("gate")
	oid := n.commit("deploy", numbered(gate, lines))
	push, rest, _ := n.pushUntil()
	n.check(push.Signal(syscall.SIGSTOP))
	n.open(gate)
	text, r := n.follow(n.runs()[oid].Run)
	if r.State != wire.OK {
		t.Errorf("record %+v", r)
	}
	checkNumbered(t, text, lines)
	n.lockFree()
	n.check(push.Signal(syscall.SIGCONT))
	n.await("the end of the push", func() error {
		b, err := io.ReadAll(rest)
		if want := fmt.Sprintf("%063d", lines); !bytes.Contains(b, []byte(want)) {
			t.Error("the push has lost the end of its output")
		}
		return err
	})
}

func TestAttachOffsets(t *testing.T) {
	n := newTestNode(t)
	oid := n.commit("deploy", "#!/bin/sh\nfor i in 1 2 3 4 5 6 7; do echo line $i; echo err $i >&2; done\n")
	n.mustPush("master")
	id := n.runs()[oid].Run
	log, err := os.ReadFile(n.l.run(id).Log())
	n.check(err)
	starts := map[int]bool{len(log): true}
	for at := 0; at < len(log); {
		starts[at] = true
		size, err := wire.FrameLen(log[at:])
		n.check(err)
		at += size
	}
	for offset := range len(log) + 2 {
		var out bytes.Buffer
		err := Attach(t.Context(), n.l, id, int64(offset), strings.NewReader(""), &out)
		if !starts[offset] {
			if !errors.Is(err, runlog.ErrOffset) {
				t.Errorf("offset %d: %v", offset, err)
			}
			continue
		}
		n.check(err)
		want := wire.Preface + string(log[offset:])
		if got := out.String(); !strings.HasPrefix(got, want) || !strings.Contains(got[len(want):], `"state":"ok"`) {
			t.Errorf("offset %d: %q", offset, got)
		}
	}
}

func TestHostname(t *testing.T) {
	n := newTestNode(t)
	n.commit("deploy", "#!/bin/sh\necho host=$TROOPS_HOSTNAME\n")
	if text, _ := n.follow(n.pushRun("HEAD", wire.OptionHost+"ubuntu@shellbox-1.example.com:2222", wire.OptionBy+"tv@laptop")); !strings.Contains(text, "host=shellbox-1.example.com\n") {
		t.Errorf("by option: %q", text)
	}
	oid := n.commit("x", "y")
	if out := n.mustPush("master"); !strings.Contains(out, "host=shellbox-1.example.com") {
		t.Errorf("kept:\n%s", out)
	}
	if r := n.runs()[oid]; r.Host != "shellbox-1.example.com" || r.By != "tester" {
		t.Errorf("record %+v", r)
	}
	n.check(os.WriteFile(filepath.Join(n.l.Dir, "hostname"), []byte("bad name\n"), 0o600))
	n.commit("x", "z")
	if out := n.mustPush("master"); strings.Contains(out, "host=bad") {
		t.Errorf("a name that is none is used:\n%s", out)
	}
}
