package packs

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"troops/push/gitwire"
)

// Kind is how a node's commit stands to the one to push.
type Kind int

// The kinds of relations.
const (
	Unknown  Kind = iota // the node's commit does not exist in the local repository
	Equal                // it is the commit to push
	Behind               // it is an ancestor of it: pushing is a fast-forward
	Ahead                // it is a descendant of it: pushing takes commits away
	Diverged             // neither
)

// String is the kind's word for people.
func (k Kind) String() string {
	switch k {
	case Equal:
		return "equal"
	case Behind:
		return "behind"
	case Ahead:
		return "ahead"
	case Diverged:
		return "diverged"
	}
	return "unknown"
}

// Relation is how a node's commit stands to the one to push. In a shallow local repository
// commits may look diverged because what connects them is not there.
type Relation struct {
	Kind    Kind
	Missing int // commits that the node lacks
	Extra   int // commits that it has and the one to push has not
}

// Has reports whether oid is a commit or tag of the local repository. Nothing is fetched for it.
func (s *Store) Has(ctx context.Context, oid gitwire.OID) (bool, error) {
	there, err := s.objects.local(ctx, []gitwire.OID{oid})
	return len(there) > 0, err
}

// Relation compares the node's commit with the one to push, which must exist.
func (s *Store) Relation(ctx context.Context, node, commit gitwire.OID) (Relation, error) {
	if node == commit {
		return Relation{Kind: Equal}, nil
	}
	if node != "" && node == s.known.Parent && commit == s.known.Commit {
		return Relation{Kind: Behind, Missing: 1}, nil
	}
	if ok, err := s.Has(ctx, node); err != nil || !ok {
		return Relation{}, err
	}
	return s.relations.get(ctx, [2]gitwire.OID{node, commit}, func() (Relation, error) { return s.compare(node, commit) })
}

// IsAncestor reports whether a is an ancestor of b, or b itself. Where a does not exist it is none.
func (s *Store) IsAncestor(ctx context.Context, a, b gitwire.OID) (bool, error) {
	r, err := s.Relation(ctx, a, b)
	return r.Kind == Equal || r.Kind == Behind, err
}

func (s *Store) compare(node, commit gitwire.OID) (Relation, error) {
	out, err := s.query("", "rev-list", "--left-right", "--count", string(node)+"..."+string(commit), "--")
	if err != nil {
		return Relation{}, fmt.Errorf("packs: comparing %s with %s: %w", node, commit, err)
	}
	r := Relation{Kind: Diverged}
	if _, err := fmt.Sscan(out, &r.Extra, &r.Missing); err != nil {
		return Relation{}, fmt.Errorf("packs: comparing %s with %s: git rev-list said %q", node, commit, out)
	}
	switch {
	case r.Extra == 0 && r.Missing == 0: // a tag of the commit
		r.Kind = Equal
	case r.Extra == 0:
		r.Kind = Behind
	case r.Missing == 0:
		r.Kind = Ahead
	}
	return r, nil
}

// frontier is what a node has, reduced to what matters for a pack.
type frontier struct {
	// edge are the commits reachable from what the node has, within the history of the one to
	// push, that are not reachable from each other; sorted. Nodes with the same edge need the same
	// pack. It is the commit to push itself where the node has that, and empty where the two
	// histories have nothing in common.
	edge []gitwire.OID
	// sure says that what is to be sent touches nothing of the node's history but commits that
	// the node names itself: also a node whose history is cut has what it takes.
	sure bool
}

// cut says that the node's history is.
func (s *Store) frontier(ctx context.Context, want gitwire.OID, have []gitwire.OID, cut bool) (frontier, error) {
	have, err := s.objects.local(ctx, have)
	if err != nil || len(have) == 0 {
		return frontier{sure: true}, err
	}
	slices.Sort(have)
	have = slices.Compact(have)
	if len(have) == 1 && !cut {
		// Most fleets are at one commit, which has been compared before they are sent anything.
		if r, err := s.Relation(ctx, have[0], want); err == nil && r.Kind == Behind {
			return frontier{edge: have}, nil
		}
	}
	h := sha256.New()
	for _, oid := range append([]gitwire.OID{want}, have...) {
		fmt.Fprintln(h, oid)
	}
	return s.frontiers.get(ctx, string(h.Sum(nil)), func() (frontier, error) {
		f, err := s.findFrontier(want, have)
		if err != nil {
			err = fmt.Errorf("packs: comparing %s with what a node has: %w", want, err)
		}
		return f, err
	})
}

// findFrontier asks git for the boundary of what want has and have, which is sorted, has not. That
// stands for the merge bases of want with each of have, at the price of one walk for all of them.
func (s *Store) findFrontier(want gitwire.OID, have []gitwire.OID) (frontier, error) {
	named := func(o gitwire.OID) bool { _, ok := slices.BinarySearch(have, o); return ok }
	if named(want) {
		return frontier{[]gitwire.OID{want}, true}, nil
	}
	out, err := s.query(revs(want, have), "rev-list", "--boundary", "--stdin")
	if err != nil {
		return frontier{}, err
	}
	if out == "" {
		return frontier{edge: []gitwire.OID{want}}, nil
	}
	var edge []gitwire.OID
	for line := range strings.Lines(out) {
		if oid, ok := strings.CutPrefix(line, "-"); ok {
			edge = append(edge, gitwire.OID(strings.TrimSpace(oid)))
		}
	}
	sure := !slices.ContainsFunc(edge, func(o gitwire.OID) bool { return !named(o) })
	if len(edge) > MaxHaves {
		if edge, err = s.newest(edge); err != nil {
			return frontier{}, err
		}
	}
	if len(edge) > 1 {
		if edge, err = s.list("", append([]string{"merge-base", "--independent"}, words(edge)...)...); err != nil {
			return frontier{}, err
		}
	}
	slices.Sort(edge)
	return frontier{edge, sure}, nil
}

// newest returns the MaxHaves newest of commits.
func (s *Store) newest(commits []gitwire.OID) ([]gitwire.OID, error) {
	in := strings.Join(words(commits), "\n") + "\n"
	newest, err := s.list(in, "rev-list", "--no-walk=sorted", "--stdin")
	return newest[:min(len(newest), MaxHaves)], err
}

// list runs a git command that prints object names.
func (s *Store) list(stdin string, args ...string) ([]gitwire.OID, error) {
	out, err := s.query(stdin, args...)
	if err != nil {
		return nil, err
	}
	var oids []gitwire.OID
	for _, w := range strings.Fields(out) {
		oids = append(oids, gitwire.OID(w))
	}
	return oids, nil
}

// revs is the standard input of rev-list and pack-objects: want without what have reaches.
func revs(want gitwire.OID, have []gitwire.OID) string {
	var b strings.Builder
	fmt.Fprintln(&b, want)
	for _, h := range have {
		fmt.Fprintf(&b, "^%s\n", h)
	}
	return b.String()
}

func words(oids []gitwire.OID) []string {
	w := make([]string, len(oids))
	for i, o := range oids {
		w[i] = string(o)
	}
	return w
}
