package nodeside

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// A log that cannot grow is no reason to stop a deployment, but one to call it failed in the end:
// the next push, or pull, deploys the commit again.
func TestLogFull(t *testing.T) {
	n := newTestNode(t)
	oid := n.commit("deploy", "#!/bin/sh\nyes 0123456789 | head -c 2000000\necho end >end\n")
	out, err := n.pushLimited()
	r := n.runs()[oid]
	want := "run " + r.Run + " failed in log: deploy itself ended well, but its log is not whole (" + r.LogError + "): push again once that is mended"
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("git push: %v\n%s", err, out[max(0, len(out)-2000):])
	}
	if r.State != wire.Failed || r.Phase != "log" || r.ExitCode != 0 || !strings.Contains(r.LogError, "bytes of output are missing: ") || n.tip("refs/heads/master") != "" {
		t.Errorf("record %+v", r)
	}
	if _, err := os.Stat(filepath.Join(n.l.checkout(r.Run), "end")); err != nil {
		t.Errorf("the deployment did not come to its end: %v", err)
	}
	if _, followed := n.follow(r.Run); followed.LogBytes != r.LogBytes {
		t.Errorf("followed to %d of %d bytes", followed.LogBytes, r.LogBytes)
	}
	n.mustPush("master")
	if n.tip("refs/heads/master") != oid {
		t.Error("pushed again, and not deployed")
	}
	// A deployment that failed has failed for that.
	oid = n.commit("deploy", "#!/bin/sh\nyes 0123456789 | head -c 2000000\nexit 7\n")
	_, err = n.pushLimited()
	if r := n.runs()[oid]; err == nil || r.State != wire.Failed || r.Phase != "deploy" || r.ExitCode != 7 || r.Error != "" || r.LogError == "" {
		t.Errorf("record %+v, %v", r, err)
	}
}

// A log that is only cut for its length is no fault of the node's.
func TestLogTooLong(t *testing.T) {
	n := newTestNode(t)
	dir, alive, err := runlog.Create(n.l.Runs(), wire.Result{Run: ulid.Make().String(), State: wire.Running})
	n.check(err)
	defer alive.Close()
	n.check(os.Truncate(dir.Log(), runlog.MaxLog))
	w, err := runlog.OpenWriter(dir)
	n.check(err)
	fmt.Fprintln(w.Stream(wire.Stdout), "too much")
	r := &run{l: n.l, dir: dir, log: w}
	if err := r.keepLog(); err != nil || r.rec.LogBytes < runlog.MaxLog || r.rec.LogError != "9 bytes of output are missing: the log of a run may have 256 MiB" {
		t.Errorf("record %+v, %v", r.rec, err)
	}
}

// pushLimited pushes while no file of the node may be longer than 256 or 512 KiB.
func (n *testNode) pushLimited() (out string, err error) {
	n.Helper()
	b, err := n.command("sh", "-c", "ulimit -f 512; exec git push '"+n.l.Repo()+"' master").CombinedOutput()
	return string(b), err
}
