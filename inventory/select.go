package inventory

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Selection says which hosts are meant. The zero value means all.
type Selection struct {
	Roles   []string // hosts with any of these roles; none: all hosts
	Hosts   []string // of those, the ones that match any of these patterns; none: all
	Exclude []string // of those, not the ones that match any of these patterns
	// KnownOnly takes the hosts that are surely meant where others may be meant, too;
	// without it that is an error.
	KnownOnly bool
}

// A pattern is a host as the inventory has it, or a glob (*, ?, [a-z]; see [path.Match]),
// and matches the host as written or its name alone.
func matches(pattern string, h Host) bool {
	if pattern == h.text || pattern == h.Name {
		return true
	}
	for _, s := range []string{h.text, h.Name} {
		if ok, err := path.Match(pattern, s); ok && err == nil {
			return true
		}
	}
	return false
}

// Literal reports whether s asks for hosts by their names alone: no role, no glob. Such a
// selection needs no inventory.
func (s Selection) Literal() bool {
	for _, p := range slices.Concat(s.Hosts, s.Exclude) {
		if _, err := ParseHost(p); err != nil {
			return false
		}
	}
	return len(s.Roles) == 0 && len(s.Hosts) > 0
}

// Select returns the entries that s means, sorted by host.
//
// Where the repository defines no hosts, or inv is nil since [Read] said [Unavailable], a
// [Selection.Literal] selection gets an entry without roles for each host it names. Else
// every role and pattern must match something: *[NoMatchError]. An *[UnknownError] says that
// deploy.py may mean more hosts than can be told here.
func (inv *Inventory) Select(s Selection) ([]Entry, error) {
	if inv == nil {
		inv = &Inventory{}
	}
	if len(inv.Entries) == 0 && len(inv.Unknown) == 0 {
		return inv.selectBare(s)
	}
	for _, role := range s.Roles {
		if err := inv.checkRole(role); err != nil {
			return nil, err
		}
	}
	if unknown := inv.unknownFor(s); len(unknown) > 0 && !s.KnownOnly {
		return nil, &UnknownError{Roles: s.Roles, Problems: unknown}
	}
	picked := slices.DeleteFunc(slices.Clone(inv.Entries), func(e Entry) bool { return !e.surely(s) })
	picked, err := inv.narrow(picked, s)
	if err != nil {
		return nil, err
	}
	for _, p := range s.Exclude {
		if !slices.ContainsFunc(inv.Entries, func(e Entry) bool { return matches(p, e.Host) }) {
			return nil, &NoMatchError{What: "exclude", Pattern: p, Have: nearest(p, inv.hostNames())}
		}
		picked = slices.DeleteFunc(picked, func(e Entry) bool { return matches(p, e.Host) })
	}
	if len(picked) == 0 {
		return nil, &NoMatchError{Hint: "no host is left"}
	}
	return picked, nil
}

// surely reports whether e has one of the roles asked for, or without any is one of the hosts.
func (e Entry) surely(s Selection) bool {
	if len(s.Roles) == 0 {
		return len(e.unsure) == 0 || slices.ContainsFunc(s.Hosts, func(p string) bool { return p == e.Host.text || p == e.Host.Name })
	}
	return slices.ContainsFunc(s.Roles, func(r string) bool { return slices.Contains(e.Roles, r) })
}

// narrow keeps the entries that match a pattern of s.Hosts.
func (inv *Inventory) narrow(from []Entry, s Selection) ([]Entry, error) {
	if len(s.Hosts) == 0 {
		return from, nil
	}
	for _, p := range s.Hosts {
		match := func(e Entry) bool { return matches(p, e.Host) }
		if slices.ContainsFunc(from, match) {
			continue
		}
		err := &NoMatchError{What: "host", Pattern: p, Have: nearest(p, inv.hostNames())}
		if _, bad := path.Match(p, ""); bad != nil {
			err.Hint = "it is no pattern: *, ? and [a-z] are"
		} else if slices.ContainsFunc(inv.Entries, match) && len(s.Roles) > 0 {
			err.Hint, err.Have = "it matches no host of role "+strings.Join(s.Roles, ", "), nil
			for _, e := range from {
				err.Have = append(err.Have, e.Host.text)
			}
		}
		return nil, err
	}
	return slices.DeleteFunc(from, func(e Entry) bool {
		return !slices.ContainsFunc(s.Hosts, func(p string) bool { return matches(p, e.Host) })
	}), nil
}

// selectBare selects where there are no hosts to select from.
func (inv *Inventory) selectBare(s Selection) ([]Entry, error) {
	const hint = "the repository names no hosts: list them with troops.define_role in deploy.py, or in " + RolesFile + ", or use --host"
	if len(s.Hosts) == 0 && len(s.Roles) == 0 {
		return nil, &NoMatchError{Hint: hint}
	}
	for _, role := range s.Roles {
		return nil, &NoMatchError{What: "role", Pattern: role, Hint: hint}
	}
	var out []Entry
	for _, p := range s.Hosts {
		h, err := ParseHost(p)
		if err != nil {
			return nil, &NoMatchError{What: "host", Pattern: p, Hint: fmt.Sprintf("%v, and %s", err, hint)}
		}
		excluded := slices.ContainsFunc(s.Exclude, func(x string) bool { return matches(x, h) })
		if !excluded && !slices.ContainsFunc(out, func(e Entry) bool { return e.Host == h }) {
			out = append(out, Entry{Host: h})
		}
	}
	if len(out) == 0 {
		return nil, &NoMatchError{Hint: "no host is left"}
	}
	slices.SortFunc(out, func(x, y Entry) int { return strings.Compare(x.Host.text, y.Host.text) })
	return out, nil
}

// checkRole returns an error where role can be no host's.
func (inv *Inventory) checkRole(role string) error {
	for _, e := range inv.Entries {
		if slices.Contains(e.Roles, role) || hasRole(e.Maybe, role) {
			return nil
		}
	}
	if hasRole(inv.Unknown, role) && ValidRole(role) {
		return nil
	}
	err := &NoMatchError{What: "role", Pattern: role, Have: nearest(role, inv.RoleNames())}
	if at, ok := inv.seen[role]; ok {
		err.Hint = fmt.Sprintf("no host that is listed has it; list its hosts in deploy.py or in %s (%s names it)", RolesFile, at.place())
	}
	return err
}

// hasRole reports whether a problem is about role, or about any role.
func hasRole(problems []Problem, role string) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Role == role || p.Role == "" })
}

// unknownFor returns why the hosts that s means may not be all: what is unknown about its
// roles and about the hosts that its patterns can match.
func (inv *Inventory) unknownFor(s Selection) []Problem {
	var out []Problem
	add := func(p Problem) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	asked := func(p Problem) bool { return len(s.Roles) == 0 || p.Role == "" || slices.Contains(s.Roles, p.Role) }
	literal := len(s.Hosts) > 0 && !slices.ContainsFunc(s.Hosts, func(p string) bool { _, err := ParseHost(p); return err != nil })
	if !literal {
		for _, p := range inv.Unknown {
			if asked(p) {
				add(p)
			}
		}
	}
	for _, e := range inv.Entries {
		host := func(p string) bool { return matches(p, e.Host) }
		if len(s.Hosts) > 0 && !slices.ContainsFunc(s.Hosts, host) || slices.ContainsFunc(s.Exclude, host) {
			continue
		}
		if e.surely(s) {
			continue
		}
		from := e.Maybe
		if len(s.Roles) == 0 {
			from = e.unsure
		}
		for _, p := range from {
			if asked(p) {
				add(p)
			}
		}
	}
	sortProblems(out)
	return out
}

// Notes returns what is to be said beside the entries that s selects: the warnings, one for
// each thing that is unknown about other roles or about more roles of these hosts, and with
// KnownOnly what was left out.
func (inv *Inventory) Notes(s Selection) []Problem {
	if inv == nil {
		return nil
	}
	out := slices.Clone(inv.Warnings)
	more := slices.Concat(inv.Unknown, inv.unknownFor(s))
	for _, e := range inv.Entries {
		if e.surely(s) {
			more = append(more, e.Maybe...)
		}
	}
	for _, p := range more {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	sortProblems(out)
	return out
}

// RoleNames returns the roles that some host has, or may have, sorted.
func (inv *Inventory) RoleNames() []string {
	var out []string
	for _, e := range inv.Entries {
		out = append(out, e.Roles...)
		for _, p := range e.Maybe {
			out = append(out, p.Role)
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(r string) bool { return r == "" })
}

func (inv *Inventory) hostNames() []string {
	out := make([]string, len(inv.Entries))
	for i, e := range inv.Entries {
		out[i] = e.Host.text
	}
	return out
}
