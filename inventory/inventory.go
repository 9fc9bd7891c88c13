// Package inventory reads which hosts have which roles in a commit, without running anything
// of it.
//
// deploy.py does its work at its top level, so a workstation must not execute it. An
// evaluator in Python (pyeval, embedded, started as python3 -I -S) parses the files of the
// commit with CPython's own parser and evaluates a whitelist of what they say. A host has a
// role if and only if the role is active after evaluating with troops.hostname() == host,
// which is what the node itself goes by. What the evaluator cannot tell is an unknown with a
// place and a reason, never a guess. roles.toml, if there is one, adds to it.
//
// Only objects of the commit are read, never the work tree.
package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"troops/gitcli"
)

// Entry is one host. Two spellings of a host (web1, root@web1) are two entries.
type Entry struct {
	Host    Host
	Roles   []string // surely active on it, sorted
	Sources []string // "deploy.py:12": where it is named and its roles are activated; by file and line
	// Complete says that Roles are all the roles that the host has. Where it is false,
	// others may come to it on the node, and a node that reports more is right.
	Complete bool
	// Maybe is about the roles that the host may have as well; a problem without Role
	// stands for any role.
	Maybe []Problem

	unsure []Problem // not empty: it is not even sure that it is one of the hosts
}

// Inventory is the hosts of one commit. A nil Inventory knows none: see [Inventory.Select].
type Inventory struct {
	Entries  []Entry   // sorted by host as written
	Warnings []Problem // what the user should know, whatever is selected
	Unknown  []Problem // roles with hosts that cannot be told; without Role: any role

	seen map[string]Problem // every role that is named anywhere, and where first
}

// Options are for [Read].
type Options struct {
	Python string // the python3 to use; empty: the first on PATH that is 3.8 or later
}

// Files of a deployment, in the top directory of the commit.
const (
	deployPython = "deploy.py"
	deployOther  = "deploy" // executable, of any kind
)

// Read reads the hosts of commit, which is the object name of a commit that repo has.
//
// Errors: *[Error] for what is wrong in the files, *[LimitError], [ErrNoDeployment] and
// [ErrNoPython] (wrapped; see [Unavailable]), *gitcli.Error, and the context's own. A commit
// with a deploy.py and a roles.toml that names hosts can be read without Python: what
// deploy.py defines is missing then, no entry is Complete, and a warning says so.
func Read(ctx context.Context, repo gitcli.Repo, commit string, opts Options) (*Inventory, error) {
	t, err := openTree(ctx, repo, commit)
	if err != nil {
		return nil, err
	}
	defer t.close()
	for _, path := range []string{deployPython, RolesFile} {
		if err := t.regular(path); err != nil {
			return nil, err
		}
	}
	if !t.has(deployPython) && !t.has(RolesFile) && t.files[deployOther].mode != modeExecutable {
		return nil, fmt.Errorf("inventory: commit %.12s has %w", commit, ErrNoDeployment)
	}
	b := builder{byHost: make(map[Host]*Entry), inv: &Inventory{seen: make(map[string]Problem)}}
	var roles []tomlRole
	if t.has(RolesFile) {
		text, err := t.read(RolesFile)
		if err != nil {
			return nil, err
		}
		if roles, b.problems = parseRoles(text); len(b.problems) > 0 {
			return nil, &Error{Problems: b.problems}
		}
	}
	b.addRoles(roles)
	if t.has(deployPython) {
		if err := b.addPython(ctx, t, roles, opts); err != nil {
			return nil, err
		}
	}
	return b.finish()
}

// builder collects the entries of both files.
type builder struct {
	inv      *Inventory
	byHost   map[Host]*Entry
	places   map[Host][]place
	problems []Problem
}

func (b *builder) entry(h Host) *Entry {
	e, ok := b.byHost[h]
	if !ok {
		e = &Entry{Host: h, Complete: true}
		b.byHost[h] = e
	}
	return e
}

func (b *builder) addPlace(h Host, p place) {
	if b.places == nil {
		b.places = make(map[Host][]place)
	}
	b.places[h] = append(b.places[h], p)
}

// addRoles adds roles.toml. A role is active on every node of the name, however written.
func (b *builder) addRoles(roles []tomlRole) {
	byName := make(map[string][]string)
	for _, r := range roles {
		b.inv.seen[r.name] = Problem{File: RolesFile, Line: r.line}
		for _, h := range r.hosts {
			byName[h.Name] = append(byName[h.Name], r.name)
			b.entry(h)
			b.addPlace(h, place{RolesFile, r.line})
		}
	}
	for h, e := range b.byHost {
		e.Roles = byName[h.Name]
	}
}

// addPython adds deploy.py, which is evaluated knowing what roles.toml says.
func (b *builder) addPython(ctx context.Context, t *tree, roles []tomlRole, opts Options) error {
	toml := make(map[string][]string)
	for _, r := range roles {
		for _, h := range r.hosts {
			toml[r.name] = append(toml[r.name], h.String())
		}
	}
	found, err := evaluate(ctx, t, toml, opts.Python)
	if errors.Is(err, ErrNoPython) && len(b.byHost) > 0 {
		b.inv.Warnings = append(b.inv.Warnings, Problem{File: deployPython,
			Text: "it was not read, since there is no python3 (3.8 or later) here: only " + RolesFile + " counts"})
		for _, e := range b.byHost {
			e.Complete = false
		}
		return nil
	}
	if err != nil {
		return err
	}
	b.problems = append(b.problems, problems(found.Errors)...)
	b.inv.Warnings = append(b.inv.Warnings, problems(found.Warnings)...)
	b.inv.Unknown = problems(found.Parts)
	for role, at := range found.Seen {
		if _, ok := b.inv.seen[role]; !ok {
			b.inv.seen[role] = Problem{File: at.file, Line: at.line}
		}
	}
	for written, f := range found.Hosts {
		h, err := ParseHost(written)
		if err != nil {
			at := place{file: deployPython}
			if len(f.Places) > 0 {
				at = f.Places[0]
			}
			b.problems = append(b.problems, Problem{File: at.file, Line: at.line, Text: err.Error()})
			continue
		}
		e := b.entry(h)
		e.Roles = f.Roles
		e.Maybe = problems(f.Maybe)
		e.Complete = len(e.Maybe) == 0
		if !f.Sure {
			e.unsure = problems(f.Unsure)
		}
		for _, p := range f.Places {
			b.addPlace(h, p)
		}
	}
	return nil
}

// finish sorts everything and returns the inventory, or what is wrong.
func (b *builder) finish() (*Inventory, error) {
	if len(b.problems) > 0 {
		sortProblems(b.problems)
		return nil, &Error{Problems: slices.Compact(b.problems)}
	}
	for h, e := range b.byHost {
		places := b.places[h]
		slices.SortFunc(places, comparePlaces)
		for _, p := range slices.Compact(places) {
			e.Sources = append(e.Sources, fmt.Sprintf("%s:%d", p.file, p.line))
		}
		slices.Sort(e.Roles)
		e.Roles = slices.Compact(e.Roles)
		sortProblems(e.Maybe)
		b.inv.Entries = append(b.inv.Entries, *e)
	}
	slices.SortFunc(b.inv.Entries, func(x, y Entry) int { return strings.Compare(x.Host.text, y.Host.text) })
	b.inv.Warnings = append(b.inv.Warnings, b.twice()...)
	sortProblems(b.inv.Warnings)
	sortProblems(b.inv.Unknown)
	return b.inv, nil
}

// twice warns of hosts that are written in more than one way: each is contacted. The same
// name with two ports is taken for two nodes.
func (b *builder) twice() []Problem {
	byName := make(map[string][]Entry)
	for _, e := range b.inv.Entries {
		byName[e.Host.Name] = append(byName[e.Host.Name], e)
	}
	var out []Problem
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		for i, e := range byName[name] {
			for _, f := range byName[name][:i] {
				if e.Host.Port == f.Host.Port || e.Host.Port == 0 || f.Host.Port == 0 {
					at := b.places[e.Host][0]
					out = append(out, Problem{File: at.file, Line: at.line,
						Text: fmt.Sprintf("%s and %s look like one node, but both are contacted: write it in one way", f.Host, e.Host)})
				}
			}
		}
	}
	return out
}

func problems(from []pyProblem) []Problem {
	var out []Problem
	for _, p := range from {
		out = append(out, p.problem())
	}
	return out
}

func comparePlaces(a, b place) int {
	return cmp.Or(strings.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
}

func sortProblems(p []Problem) {
	slices.SortFunc(p, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			strings.Compare(a.Role, b.Role), strings.Compare(a.Text, b.Text))
	})
}
