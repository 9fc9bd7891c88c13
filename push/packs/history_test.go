package packs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"troops/gitcli"
	"troops/push/gitwire"
)

// history is a repository with
//
//	0 - 1 - 2 - 3 ------- m   main
//	     \               /
//	      a - b --------      side
//	           \ h            hotfix, not merged
//	x                         unrelated
func history(l *lab) map[string]gitwire.OID {
	at := make(map[string]gitwire.OID)
	for i, c := range l.commits(4) {
		at[fmt.Sprint(i)] = c
	}
	l.git("work", "checkout", "-q", "-b", "side", string(at["1"]))
	at["a"] = l.commit("side", "a")
	at["b"] = l.commit("side", "b")
	l.git("work", "checkout", "-q", "-b", "hotfix")
	at["h"] = l.commit("hot", "h")
	l.git("work", "tag", "-m", "tag", "v1", string(at["2"]))
	at["v1"] = l.rev("work", "v1")
	at["blob"] = l.rev("work", "main:file")
	l.git("work", "checkout", "-q", "main")
	l.git("work", "merge", "-q", "--no-edit", "side")
	at["m"] = l.rev("work", "HEAD")
	l.git("work", "checkout", "-q", "--orphan", "unrelated")
	at["x"] = l.commit("x", "x")
	at["?"] = gitwire.OID(strings.Repeat("f", 40))
	return at
}

// TestKnown: what the caller knew is not asked of git again, and only that.
func TestKnown(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	at := history(l)
	repo := gitcli.Repo{Dir: l.path("work")}
	layout, err := repo.Layout(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), repo, Known{Layout: layout, Commit: at["3"], Parent: at["2"]})
	if err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("PATH")
	t.Setenv("PATH", l.path("nowhere")) // git cannot be asked
	if got, err := s.Relation(t.Context(), at["2"], at["3"]); err != nil || got != (Relation{Behind, 1, 0}) {
		t.Errorf("the parent: %+v, %v", got, err)
	}
	if f, err := s.frontier(t.Context(), at["3"], []gitwire.OID{at["2"]}, false); err != nil || !slices.Equal(f.edge, []gitwire.OID{at["2"]}) {
		t.Errorf("the parent: %+v, %v", f, err)
	}
	t.Setenv("PATH", path)
	for node, want := range map[string]Relation{"1": {Behind, 2, 0}, "m": {Ahead, 0, 3}, "h": {Diverged, 2, 3}, "?": {}} {
		if got, err := s.Relation(t.Context(), at[node], at["3"]); err != nil || got != want {
			t.Errorf("%s: %+v, %v", node, got, err)
		}
	}
	if got, err := s.Relation(t.Context(), at["2"], at["m"]); err != nil || got.Missing == 1 {
		t.Errorf("of another commit: %+v, %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Has(t.Context(), at["x"]); err == nil {
		t.Error("a closed store still answers")
	}
}

// TestGitCannotStart: the cause is told each time, and what passes is over.
func TestGitCannotStart(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	at := history(l)
	s := l.open("work")
	right := s.objects.command
	s.objects.command = func() *exec.Cmd { cmd := right(); cmd.Dir = l.path("nowhere"); return cmd }
	for range 2 {
		if _, err := s.Has(t.Context(), at["1"]); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error %v", err)
		}
	}
	s.objects.command = right
	if ok, err := s.Has(t.Context(), at["1"]); !ok || err != nil {
		t.Errorf("then: %t, %v", ok, err)
	}
}

func TestRelation(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	at := history(l)
	s := l.open("work")
	tests := []struct {
		node, commit string
		want         Relation
	}{
		{"3", "3", Relation{Equal, 0, 0}},
		{"0", "3", Relation{Behind, 3, 0}},
		{"3", "1", Relation{Ahead, 0, 2}},
		{"3", "b", Relation{Diverged, 2, 2}},
		{"b", "m", Relation{Behind, 3, 0}},
		{"h", "m", Relation{Diverged, 3, 1}},
		{"x", "3", Relation{Diverged, 4, 1}},
		{"v1", "2", Relation{Equal, 0, 0}},
		{"v1", "3", Relation{Behind, 1, 0}},
		{"?", "3", Relation{Unknown, 0, 0}},
		{"blob", "3", Relation{Unknown, 0, 0}},
	}
	var wg sync.WaitGroup
	for _, tt := range tests {
		for range 3 {
			wg.Go(func() {
				got, err := s.Relation(context.Background(), at[tt.node], at[tt.commit])
				if err != nil || got != tt.want {
					t.Errorf("Relation(%s, %s) = %+v, %v, want %+v", tt.node, tt.commit, got, err, tt.want)
				}
				is, err := s.IsAncestor(context.Background(), at[tt.node], at[tt.commit])
				if want := tt.want.Kind == Equal || tt.want.Kind == Behind; err != nil || is != want {
					t.Errorf("IsAncestor(%s, %s) = %t, %v", tt.node, tt.commit, is, err)
				}
			})
		}
	}
	wg.Wait()
	if _, err := s.Relation(context.Background(), at["0"], at["?"]); err == nil {
		t.Error("a commit to push that does not exist was compared")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Relation(ctx, at["0"], at["a"]); err == nil {
		t.Error("compared for a caller that had left")
	}
}

func TestFrontier(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	at := history(l)
	s := l.open("work")
	for _, tt := range []struct{ want, have, edge string }{
		{"m", "", ""},
		{"m", "?", ""},
		{"m", "x", ""},
		{"m", "blob", ""},
		{"m", "m", "m"},
		{"m", "m 0 ?", "m"},
		{"2", "3", "2"},     // the node is ahead: it has all
		{"m", "h", "b"},     // an unmerged commit stands for where it left
		{"m", "3 b", "3 b"}, // two branches, neither in the other
		{"m", "0 1 2 3", "3 1"},
		{"m", "v1", "2 1"}, // a tag stands for its commit; side left the node's history at 1
		{"3", "b", "1"},
	} {
		got, err := s.frontier(context.Background(), at[tt.want], pick(at, tt.have), true)
		if err != nil {
			t.Fatal(err)
		}
		want := independent(l, pick(at, tt.edge))
		if !slices.Equal(got.edge, want) {
			t.Errorf("frontier(%s, %q) = %v, want %v", tt.want, tt.have, got, want)
		}
	}
}

func pick(at map[string]gitwire.OID, names string) []gitwire.OID {
	var oids []gitwire.OID
	for _, n := range strings.Fields(names) {
		oids = append(oids, at[n])
	}
	return oids
}

// independent is the sorted set without those that another one reaches.
func independent(l *lab, oids []gitwire.OID) []gitwire.OID {
	if len(oids) > 1 {
		out := l.git("work", append([]string{"merge-base", "--independent"}, words(oids)...)...)
		oids = nil
		for _, w := range strings.Fields(out) {
			oids = append(oids, gitwire.OID(w))
		}
	}
	slices.Sort(oids)
	return oids
}

// TestManyHaves: a node with more branches than pack-objects is told of.
func TestManyHaves(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	const branches = MaxHaves + 44
	var in strings.Builder
	for i := range branches {
		fmt.Fprintf(&in, "commit refs/heads/b%d\ncommitter A <a@example.com> %d +0000\ndata 0\n\n", i, 1000000000+i)
	}
	fmt.Fprintf(&in, "commit refs/heads/all\ncommitter A <a@example.com> 2000000000 +0000\ndata 0\n")
	for i := range branches {
		fmt.Fprintf(&in, "merge refs/heads/b%d\n", i)
	}
	l.gitIn("work", strings.NewReader(in.String()+"\n"), "fast-import", "--quiet")
	s := l.open("work")
	var have []gitwire.OID
	for _, w := range strings.Fields(l.git("work", "for-each-ref", "--format=%(objectname)", "refs/heads/b*")) {
		have = append(have, gitwire.OID(w))
	}
	have = append(have, have...) // cat-file is asked in batches
	for i := range 1000 {
		have = append(have, gitwire.OID(fmt.Sprintf("%040x", i)))
	}
	f, err := s.frontier(context.Background(), l.rev("work", "all"), have, false)
	if err != nil {
		t.Fatal(err)
	}
	edge := f.edge
	if len(edge) != MaxHaves {
		t.Errorf("%d commits, want %d", len(edge), MaxHaves)
	}
	if oldest := l.rev("work", "b0"); slices.Contains(edge, oldest) {
		t.Error("the oldest one is among them")
	}
	if newest := l.rev("work", fmt.Sprintf("b%d", branches-1)); !slices.Contains(edge, newest) {
		t.Error("the newest one is not among them")
	}
	if there, err := s.Has(context.Background(), gitwire.OID(fmt.Sprintf("%040x", 7))); there || err != nil {
		t.Errorf("Has = %t, %v", there, err)
	}
}

func TestKindString(t *testing.T) {
	for k, want := range map[Kind]string{Unknown: "unknown", Equal: "equal", Behind: "behind", Ahead: "ahead", Diverged: "diverged"} {
		if k.String() != want {
			t.Errorf("%d: %s", k, k)
		}
	}
}

// TestNamesOfAnotherFormat: git takes a short name for an abbreviation of a long one, so a node
// that lists one could make all others' questions go wrong.
func TestNamesOfAnotherFormat(t *testing.T) {
	l := newLab(t, gitwire.SHA256)
	head := l.commit("file", "text")
	s := l.open("work")
	short := head[:len(gitwire.ZeroOID(gitwire.SHA1))]
	for range 2 {
		there, err := s.objects.local(context.Background(), []gitwire.OID{short, head})
		if err != nil || !slices.Equal(there, []gitwire.OID{head}) {
			t.Errorf("local = %v, %v", there, err)
		}
	}
}

// TestFrontierOfOneAncestor: a node that is at one older commit has all that this one reaches, so
// git need not be asked where the histories meet; unless the node's is cut.
func TestFrontierOfOneAncestor(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	at := history(l)
	s := l.open("work")
	for _, tt := range []struct {
		cut  bool
		edge string
		sure bool
	}{{false, "3", false}, {true, "3 1", false}} {
		got, err := s.frontier(context.Background(), at["m"], pick(at, "3"), tt.cut)
		if err != nil || got.sure != tt.sure || !slices.Equal(got.edge, independent(l, pick(at, tt.edge))) {
			t.Errorf("cut %t: %v, %v, want %v", tt.cut, got, err, pick(at, tt.edge))
		}
	}
	if len(s.frontiers.m) != 1 {
		t.Errorf("git was asked %d times where histories meet, want once", len(s.frontiers.m))
	}
}
