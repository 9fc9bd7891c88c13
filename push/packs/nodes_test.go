package packs

import (
	"context"
	"slices"
	"testing"

	"troops/push/gitwire"
)

// realNode is a kind of node.
type realNode struct {
	name    string
	prepare func(l *lab, c []gitwire.OID) // makes the bare repository "node"
	format  string
}

func realNodes() []realNode {
	clone := func(args ...string) func(l *lab, c []gitwire.OID) {
		return func(l *lab, c []gitwire.OID) {
			args := append([]string{"clone", "-q", "--bare"}, args...)
			l.git("", append(args, "file://"+l.path("old"), "node")...)
		}
	}
	empty := func(l *lab, c []gitwire.OID) {
		l.git("", "init", "-q", "--bare", "--object-format="+c[0].Format(), "node")
	}
	return []realNode{
		{"behind", clone(), gitwire.SHA1},
		{"empty", empty, gitwire.SHA1},
		{"sha256", clone(), gitwire.SHA256},
		{"empty sha256", empty, gitwire.SHA256},
		{"shallow", clone("--depth=1"), gitwire.SHA1},
		{"has it under another name", func(l *lab, c []gitwire.OID) {
			clone()(l, c)
			l.git("work", "push", "-q", "../node", string(c[len(c)-1])+":refs/heads/other")
		}, gitwire.SHA1},
		{"alternates", func(l *lab, c []gitwire.OID) {
			empty(l, c)
			l.write("node/objects/info/alternates", l.path("old/objects")+"\n")
		}, gitwire.SHA1},
		{"diverged", func(l *lab, c []gitwire.OID) {
			clone()(l, c)
			l.git("", "clone", "-q", "node", "hotfix")
			l.commitIn("hotfix", "file", "hotfix\n")
			l.git("hotfix", "push", "-q", "origin", "HEAD")
		}, gitwire.SHA1},
	}
}

// TestRealNodes: every kind of node takes the pack that is made for it.
func TestRealNodes(t *testing.T) {
	for _, n := range realNodes() {
		t.Run(n.name, func(t *testing.T) {
			l := newLab(t, n.format)
			c := l.commits(4)
			l.git("", "clone", "-q", "--bare", "work", "old")
			// The last commit brings back the first one's content: a node that has the history
			// has these objects, a shallow one has not.
			l.git("work", "checkout", "-q", string(c[0]), "file")
			l.git("work", "commit", "-q", "-m", "revert")
			c = append(c, l.rev("work", "HEAD"))
			l.git("work", "repack", "-q", "-a", "-d", "--write-bitmap-index")
			n.prepare(l, c)
			s := l.open("work")
			if s.ObjectFormat() != n.format {
				t.Errorf("object format %s", s.ObjectFormat())
			}
			if rep := l.push(s, "node", "refs/heads/main", c[4]); !rep.OK() {
				t.Fatalf("push: %v", rep.Err())
			}
			if got := l.rev("node", "refs/heads/main"); got != c[4] {
				t.Errorf("node is at %s, want %s", got, c[4])
			}
			l.git("node", "fsck", "--connectivity-only")
		})
	}
}

// TestShallowNodeBehindItsCut: what the node would need as a base lies behind its cut, so it gets
// everything.
func TestShallowNodeBehindItsCut(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	c := l.commits(3)
	l.git("", "clone", "-q", "--bare", "--depth=1", "file://"+l.path("work"), "node")
	l.git("work", "checkout", "-q", "-b", "side", string(c[0]))
	l.commit("other", "other\n")
	l.git("work", "checkout", "-q", "main")
	l.git("work", "merge", "-q", "--no-edit", "side")
	s := l.open("work")
	if rep := l.push(s, "node", "refs/heads/main", l.rev("work", "HEAD")); !rep.OK() {
		t.Errorf("push: %v", rep.Err())
	}
}

func TestShallowWorkstation(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	c := l.commits(3)
	l.git("", "clone", "-q", "--bare", "work", "node")
	l.git("", "clone", "-q", "--depth=1", "file://"+l.path("work"), "cut")
	want := l.commitIn("cut", "file", "new\n")
	s := l.open("cut")
	if sh := s.Shallow(); !slices.Equal(sh, []gitwire.OID{c[2]}) {
		t.Errorf("shallow %v, want %v", sh, c[2])
	}
	if rep := l.push(s, "node", "refs/heads/main", want); !rep.OK() {
		t.Fatalf("push: %v", rep.Err())
	}
	l.git("node", "fsck", "--connectivity-only")
}

// TestPartialClone: nothing is fetched to find out what is there.
func TestPartialClone(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	l.git("work", "config", "uploadpack.allowFilter", "true")
	l.git("work", "config", "uploadpack.allowAnySHA1InWant", "true")
	c := l.commits(2)
	l.git("", "clone", "-q", "--filter=blob:none", "file://"+l.path("work"), "part")
	later := l.commit("file", "later\n")
	s := l.open("part")
	if !s.Partial() || len(s.Shallow()) > 0 {
		t.Errorf("partial %t, shallow %v", s.Partial(), s.Shallow())
	}
	for oid, want := range map[gitwire.OID]bool{c[0]: true, c[1]: true, later: false} {
		if got, err := s.Has(context.Background(), oid); got != want || err != nil {
			t.Errorf("Has(%s) = %t, %v, want %t", oid, got, err, want)
		}
	}
	l.git("", "init", "-q", "--bare", "node")
	if rep := l.push(s, "node", "refs/heads/main", c[1]); !rep.OK() { // fetches blobs, which is its job
		t.Errorf("push: %v", rep.Err())
	}
}
