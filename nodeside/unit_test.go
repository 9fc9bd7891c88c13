package nodeside

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sys/unix"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

func TestPrune(t *testing.T) {
	n := newTestNode(t)
	oid := n.commit("deploy", deployNothing)
	n.mustPush("HEAD:refs/heads/master")
	n.lockFree()
	n.wasAt(-decade) // older than those below
	base := time.Now().Add(-time.Hour)
	var ids []string // oldest first; names say the opposite of the times
	for i := range KeepRuns + 5 {
		ms := uint64(1e12) + uint64(KeepRuns-i)
		id := ulid.MustNew(ms, zeros{}).String()
		ids = append(ids, id)
		r := wire.Result{Run: id, Commit: oid, State: wire.OK, Queued: base.Add(time.Duration(i) * time.Second)}
		if i == 1 {
			r.State = wire.Running // not ended, as it seems
		}
		_, alive, err := runlog.Create(n.l.Runs(), r)
		n.check(err)
		n.check(alive.Close())
		n.git("--git-dir="+n.l.Repo(), "update-ref", wire.RunRefPrefix+id, oid)
		n.check(os.Mkdir(n.l.checkout(id), 0o700))
	}
	n.git("--git-dir="+n.l.Repo(), "update-ref", wire.RunRefPrefix+"unknown", oid)
	n.check(n.l.prune(t.Context(), ids[0])) // it runs in the oldest, as after the clock was set back
	exists := func(path string) bool { _, err := os.Lstat(path); return err == nil }
	for i, id := range ids {
		rank := len(ids) - 1 - i
		kept := i <= 1
		if got, want := exists(string(n.l.run(id))), kept || rank < KeepRuns; got != want {
			t.Errorf("run %d is there: %v", i, got)
		}
		if got, want := n.tip(wire.RunRefPrefix+id) != "", kept || rank < KeepRefs; got != want {
			t.Errorf("ref of run %d is there: %v", i, got)
		}
		if got, want := exists(n.l.checkout(id)), kept || rank < KeepCheckouts-2; got != want {
			t.Errorf("checkout of run %d is there: %v", i, got)
		}
	}
	if n.tip(wire.RunRefPrefix+"unknown") != "" {
		t.Error("a ref of no run is kept")
	}
}

func TestOutdated(t *testing.T) {
	now := time.Now()
	all := make(map[runlog.Dir]wire.Result)
	add := func(name string, age time.Duration, bytes int64) {
		all[runlog.Dir(name)] = wire.Result{Run: name, State: wire.OK, Queued: now.Add(-age), LogBytes: bytes}
	}
	gone := func() string {
		var names []string
		for _, d := range outdated(all, ranks(all, "", now), now) {
			names = append(names, string(d))
		}
		return strings.Join(names, " ")
	}
	for i := range KeepLast + 2 { // a01 is the newest
		add(fmt.Sprintf("a%02d", i+1), KeepAge+time.Duration(i)*time.Hour, 1)
	}
	if got := gone(); got != "a11 a12" {
		t.Errorf("of old runs %q go", got)
	}
	add("a00", 0, KeepBytes+1)
	if got := gone(); got != "a01 a02 a03 a04 a05 a06 a07 a08 a09 a10 a11 a12" {
		t.Errorf("beside a log that is too long %q go", got)
	}
	clear(all)
	add("b1", 0, KeepBytes/2)
	add("b2", time.Hour, KeepBytes/2)
	add("b3", 2*time.Hour, 1)
	if got := gone(); got != "b3" {
		t.Errorf("of long logs %q go", got)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestLaunchers(t *testing.T) {
	n := newTestNode(t)
	alive, err := os.Create(filepath.Join(t.TempDir(), "alive"))
	n.check(err)
	defer alive.Close()
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"fails", []string{"sh", "-c", "exit 3"}, "ended at once: exit status 3"},
		{"is missing", []string{"/nonexistent"}, "no such file"},
		// As systemd-run does: another program that becomes the run, with its files.
		{"becomes another", []string{"sh", "-c", `exec sh -c "$0"`, `flock -n 3 && printf 1 >&4 && exec sleep 60`}, ""},
	} {
		pid, err := launchBy(t.Context(), n.l, test.args, alive)
		if test.want != "" {
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		n.check(err)
		if session, err := unix.Getsid(pid); err != nil || session != pid {
			t.Errorf("%s: process %d has session %d, %v", test.name, pid, session, err)
		}
		p, err := os.FindProcess(pid)
		n.check(err)
		n.check(p.Kill())
		p.Wait()
	}
}

// A run is started by a push; what looks like a start by hand is refused before it does anything.
func TestRunByHand(t *testing.T) {
	n := newTestNode(t)
	n.commit("deploy", deployNothing)
	n.mustPush("master")
	exe, err := os.Executable()
	n.check(err)
	id := n.runs()[n.git("rev-parse", "HEAD")].Run
	for arg, want := range map[string]string{id: "not by hand", "../x": "is no run", goodRun: "no such file"} {
		out, err := exec.Command(exe, "node", "--dir", n.l.Dir, "run", arg).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v: %s", arg, err, out)
		}
	}
}

func TestFailure(t *testing.T) {
	r := func(s wire.State, phase string, code int, signal, text string) wire.Result {
		return wire.Result{Run: "R", State: s, Phase: phase, ExitCode: code, Signal: signal, Error: text, Other: goodOID}
	}
	for _, test := range []struct {
		r    wire.Result
		want string
	}{
		{r(wire.OK, "deploy", 0, "", ""), ""},
		{r(wire.Current, "", 0, "", ""), ""},
		{r(wire.Failed, "deploy", 7, "", ""), "run R exited 7"},
		{r(wire.Failed, "deploy", 0, "killed", "x"), "run R was ended by a signal in deploy: killed"},
		{r(wire.Failed, "venv", 1, "", "pip exited 1"), "run R failed in venv: pip exited 1"},
		{r(wire.Failed, "", 0, "", "no lock"), "run R failed: no lock"},
		{r(wire.Superseded, "", 0, "", ""), "run R gave way to 0123456789ab"},
		{r(wire.Refused, "", 0, "", "merge first"), "merge first"},
		{r(wire.Interrupted, "deploy", 0, "", "x"), "run R was interrupted"},
	} {
		if got := failure(test.r); got != test.want {
			t.Errorf("%+v: %q, want %q", test.r, got, test.want)
		}
	}
}

// A client that reads nothing is left, whether the processes above the hook tell or not.
func TestClientBlocked(t *testing.T) {
	for _, test := range []struct {
		name string
		gone bool
		want string
	}{{"gone", true, "connection is lost"}, {"stopped", false, "was not read for"}} {
		t.Run(test.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			defer w.Close()
			c, err := newClient(w)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.gone = func() bool { return test.gone }
			c.slice, c.patience = time.Millisecond, 20*time.Millisecond
			err = c.write(make([]byte, 1<<20)) // more than a pipe takes
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v", err)
			}
			if err := c.write([]byte("x")); !errors.Is(err, errGone) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestClientLines(t *testing.T) {
	var out bytes.Buffer
	c, err := newClient(&out)
	if err != nil {
		t.Fatal(err)
	}
	var log []byte
	for _, f := range []struct {
		k wire.Kind
		s string
	}{{wire.Phase, "deploy"}, {wire.Stdout, "a\nno line feed"}, {wire.Note, "a note\x1b"}, {wire.Stderr, "err"}, {wire.Kind('z'), "unknown"}, {wire.Stdout, "\n"}, {wire.Note, "end"}} {
		log = wire.AppendFrame(log, f.k, []byte(f.s))
	}
	if err := c.Frames(log); err != nil {
		t.Fatal(err)
	}
	want := "troops: phase deploy\na\nno line feed\ntroops: a note\nerr\ntroops: end\n"
	if out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
	if err := c.Frames([]byte("garbage")); !errors.Is(err, wire.ErrFrame) {
		t.Errorf("garbage: %v", err)
	}
}

func TestHeartbeat(t *testing.T) {
	now := time.Unix(1000, 0)
	var out bytes.Buffer
	s := &frameSink{out: &out, now: func() time.Time { return now }, last: now}
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, ""}, {wire.HeartbeatInterval - 1, ""}, {1, "0005h"}, {time.Second, ""}, {wire.HeartbeatInterval, "0005h"}} {
		now = now.Add(step.after)
		out.Reset()
		if err := s.Idle(); err != nil || out.String() != step.want {
			t.Errorf("after %v: %q, %v", step.after, &out, err)
		}
	}
}

// attach may be called before the run exists, and ends when nobody listens.
func TestAttachEarly(t *testing.T) {
	n := newTestNode(t)
	oid := n.commit("deploy", "#!/bin/sh\necho hi\n")
	id := ulid.Make().String()
	r, w := io.Pipe()
	attached := make(chan error, 1)
	go func() { attached <- Attach(t.Context(), n.l, id, 0, strings.NewReader(""), w); w.Close() }()
	preface := make([]byte, len(wire.Preface))
	_, err := io.ReadFull(r, preface)
	n.check(err)
	n.mustPush("-o", wire.OptionBranch+"refs/heads/master", oid+":"+wire.RunRefPrefix+id)
	var rest []byte
	n.await("the result", func() (err error) { rest, err = io.ReadAll(r); return err })
	if text, r := decode(t, append(preface, rest...)); !strings.Contains(text, "hi\n") || r.State != wire.OK {
		t.Errorf("%q, %+v", text, r)
	}
	n.check(<-attached)
	r, w = io.Pipe()
	r.Close()
	if err := Attach(t.Context(), n.l, id, 0, strings.NewReader(""), w); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("to nobody: %v", err)
	}
	if err := Attach(t.Context(), n.l, "../../x", 0, strings.NewReader(""), io.Discard); err == nil {
		t.Error("follows what is no run")
	}
}

func TestLineage(t *testing.T) {
	name, parent := process(os.Getpid())
	if parent != os.Getppid() || name == "" {
		t.Errorf("this process is %q, child of %d", name, parent)
	}
	if _, parent := process(1 << 30); parent != 0 {
		t.Errorf("a process that is none has parent %d", parent)
	}
	now := parents()
	if len(now) < 2 || now.changed() {
		t.Errorf("lineage %v", now)
	}
	if !append(now[:len(now)-1:len(now)-1], 1<<30).changed() {
		t.Error("another parent is not seen")
	}
}

func TestTrustedBy(t *testing.T) {
	for _, test := range []struct{ user, claim, want string }{
		{"ubuntu", "", "ubuntu"}, {"ubuntu", "ubuntu", "ubuntu"}, {"ubuntu", "tv@laptop", "ubuntu (tv@laptop)"},
		{"ubuntu", strings.Repeat("x", 199), "ubuntu"},
	} {
		if got := trustedBy(test.user, test.claim); got != test.want {
			t.Errorf("%q, %q: %q", test.user, test.claim, got)
		}
	}
}
