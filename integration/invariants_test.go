package integration

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"troops/integration/testnode"
	"troops/nodeside/wire"
)

// invariants are what holds on a node after any fault, whatever came of the deployment. What
// they cannot see here are exit codes, the results of other nodes and whether the next
// deployment works: [fault.try] looks at those.
type invariants struct {
	commits []string        // the branch is at one of them
	cut     bool            // a log may be short, if its record says so
	checked map[string]bool // runs whose log has been looked at, by node and id
}

// at is [invariants.hold] for nodes whose branch has to be at one of the commits.
func (v *invariants) at(t *testing.T, s *station, nodes []*testnode.Node, commits ...string) {
	t.Helper()
	v.commits = commits
	for _, n := range nodes {
		v.hold(t, s, n)
	}
}

// hold fails the test for each invariant that does not hold on n.
func (v *invariants) hold(t *testing.T, s *station, n *testnode.Node) {
	t.Helper()
	dir, git := s.kind.dir, "git --git-dir="+s.kind.repo()
	s.idle(n)
	nothingRuns(t, n)
	if at := s.deployed(n); !slices.Contains(v.commits, at) {
		t.Errorf("%s: the branch is at %q, which is none of %q", n.Name, at, v.commits)
	}
	for _, c := range []struct{ what, script string }{
		{"the branch names no commit", git + " cat-file commit refs/heads/master >/dev/null"},
		{"the repository is damaged", "out=$(" + git + " fsck --strict --no-dangling 2>&1) && test -z \"$out\" || { echo \"$out\"; exit 1; }"},
		{"the lock is held", "flock -n " + dir + "/lock true"},
		{"a half-made run is left", "! ls -d " + dir + "/runs/.new-* 2>/dev/null"},
	} {
		if out, err := n.Exec(t.Context(), c.script); err != nil {
			t.Errorf("%s: %s: %v\n%s", n.Name, c.what, err, out)
		}
	}
	for _, id := range strings.Fields(n.Run(t, "ls "+dir+"/runs")) {
		if !v.checked[n.Name+id] {
			v.checked[n.Name+id] = true
			v.log(t, n, dir+"/runs/"+id)
		}
	}
}

// log checks that the log of a run, which has this directory, is whole, up to its last byte.
func (v *invariants) log(t *testing.T, n *testnode.Node, run string) {
	t.Helper()
	r, err := wire.ParseResult(n.ReadFile(t, run+"/record.json"))
	if err != nil {
		t.Errorf("%s: record of run %s: %v", n.Name, run, err)
		return
	}
	log := n.ReadFile(t, run+"/log")
	if r.State.Final() && int64(len(log)) != r.LogBytes {
		t.Errorf("%s: the log of run %s (%s) has %d bytes, its record says %d", n.Name, run, r.State, len(log), r.LogBytes)
	}
	if r.LogError != "" && !v.cut {
		t.Errorf("%s: the log of run %s (%s): %s", n.Name, run, r.State, r.LogError)
	}
	frames := wire.NewReader(bytes.NewReader(log))
	for {
		if _, err := frames.Next(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s: the log of run %s (%s) is torn: %v", n.Name, run, r.State, err)
			return
		}
	}
}
