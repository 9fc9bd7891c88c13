package inventory

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// CanaryOrder returns entries in the order in which a rollout reaches them where not all are
// reached at once. A beginning of any length is spread over the roles that were asked for (all,
// where none were), is a part of every longer one, and depends on nothing but the names and
// roles of the hosts: it is the same on every workstation. A host that is added, or removed,
// takes the place of at most one other in any beginning.
//
// Hosts are grouped by which of the roles they have. Within a group a hash of the name decides;
// the groups take turns by their sizes, as Adams's method of apportionment has it: the first
// host of every group comes before the second of any.
func CanaryOrder(entries []Entry, roles []string) []Entry {
	groups := make(map[string][]ranked)
	for _, e := range entries {
		var of []string
		for _, r := range e.Roles {
			if len(roles) == 0 || slices.Contains(roles, r) {
				of = append(of, r)
			}
		}
		key := strings.Join(of, ",")
		groups[key] = append(groups[key], ranked{entry: e, hash: hashOf(e.Host)})
	}
	all := make([]ranked, 0, len(entries))
	for _, g := range groups {
		slices.SortFunc(g, func(a, b ranked) int {
			return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.entry.Host.text, b.entry.Host.text))
		})
		for i := range g {
			g[i].place, g[i].of = i, len(g)
		}
		all = append(all, g...)
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.place*b.of, b.place*a.of), // place/of, without rounding
			cmp.Compare(a.hash, b.hash), cmp.Compare(a.entry.Host.text, b.entry.Host.text))
	})
	out := make([]Entry, len(all))
	for i, r := range all {
		out[i] = r.entry
	}
	return out
}

// ranked is a host with its place in its group.
type ranked struct {
	entry     Entry
	hash      uint64
	place, of int
}

// hashOf is the hash of a host's name. User and port do not matter: it stays the same machine.
func hashOf(h Host) uint64 {
	sum := sha256.Sum256([]byte(h.Name))
	return binary.BigEndian.Uint64(sum[:])
}
