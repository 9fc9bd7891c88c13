package nodeside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"troops/nodeside/wire"
)

// smallDisk is a node on a disk of 3 MiB, which needs root.
func smallDisk(t *testing.T) *testNode {
	t.Helper()
	if os.Geteuid() != 0 {
		if ci := os.Getenv("CI"); ci != "" && ci != "false" {
			t.Fatal("needs root, to mount a small disk")
		}
		t.Skip("needs root, to mount a small disk")
	}
	n := &testNode{TB: t, work: filepath.Join(t.TempDir(), "work")}
	disk := t.TempDir()
	n.check(unix.Mount("tmpfs", disk, "tmpfs", 0, "size=3m"))
	t.Cleanup(func() { n.check(unix.Unmount(disk, 0)) })
	n.l = LayoutAt(filepath.Join(disk, "node"))
	n.init()
	t.Cleanup(n.endRuns)
	n.git("init", "-q", "-b", "master", n.work)
	return n
}

// A deployment that fills the node's disk by its output fails for that in the end, which is
// recorded with the way out, and with room again all is as ever. [TestLogFull] shows the log's part
// without root.
func TestDiskFull(t *testing.T) {
	n := smallDisk(t)
	oid := n.commit("deploy", "#!/bin/sh\nyes 0123456789 | head -c 5000000\necho end\n")
	if out, err := n.push("master"); err == nil {
		t.Errorf("git push:\n%s", out)
	}
	r := n.runs()[oid]
	if r.State != wire.Failed || r.Phase != "log" || !strings.Contains(r.Error, "no space left on device): push again once that is mended: make room on the node (df -h, df -i)") || n.tip("refs/heads/master") != "" {
		t.Errorf("record %+v", r)
	}
	n.lockFree()
	n.commit("deploy", "#!/bin/sh\n")
	if out, err := n.push("master"); err == nil {
		t.Errorf("a push to a full disk:\n%s", out)
	}
	n.check(os.Truncate(n.l.run(r.Run).Log(), 0))
	n.mustPush("master")
}

// A deployment that fills the disk by other means than its output has deployed: there is room for
// the branch to move and for the record.
func TestDiskFilled(t *testing.T) {
	n := smallDisk(t)
	oid := n.commit("deploy", "#!/bin/sh\n! head -c 5000000 /dev/zero 2>/dev/null >filler\n")
	n.mustPush("master")
	if r := n.runs()[oid]; r.State != wire.OK || r.LogError != "" || n.tip("refs/heads/master") != oid {
		t.Errorf("record %+v", r)
	}
}
