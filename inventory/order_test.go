package inventory

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// fleetOf makes hosts with roles.
func fleetOf(t testing.TB, sizes map[string]int, roles map[string][]string) []Entry {
	t.Helper()
	var out []Entry
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		for i := range sizes[name] {
			h, err := ParseHost(fmt.Sprintf("%s-%d.example.com", name, i))
			if err != nil {
				t.Fatal(err)
			}
			of := roles[name]
			if of == nil {
				of = []string{name}
			}
			out = append(out, Entry{Host: h, Roles: of})
		}
	}
	return out
}

func hostsOf(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Host.text)
	}
	return out
}

func TestCanaryOrderIsSpread(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes map[string]int
		roles map[string][]string
		asked []string
		first int
		want  map[string]int // hosts with a role among the first
	}{
		{"two of two equal roles", map[string]int{"web": 10, "db": 10}, nil, nil, 2, map[string]int{"web": 1, "db": 1}},
		{"two of two unequal roles", map[string]int{"web": 19, "db": 1}, nil, nil, 2, map[string]int{"web": 1, "db": 1}},
		{"by share", map[string]int{"web": 75, "db": 25}, nil, nil, 20, map[string]int{"web": 15, "db": 5}},
		{"half", map[string]int{"web": 60, "db": 40}, nil, nil, 50, map[string]int{"web": 30, "db": 20}},
		{"overlapping roles", map[string]int{"a": 10, "b": 10, "both": 10}, map[string][]string{"both": {"a", "b"}}, nil, 3, map[string]int{"a": 2, "b": 2}},
		{"only roles asked for count", map[string]int{"x": 10, "y": 10}, map[string][]string{"x": {"web", "x"}, "y": {"web", "y"}}, []string{"web"}, 10, map[string]int{"web": 10}},
		{"all", map[string]int{"web": 3, "db": 2}, nil, nil, 5, map[string]int{"web": 3, "db": 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := map[string]int{}
			for _, e := range CanaryOrder(fleetOf(t, c.sizes, c.roles), c.asked)[:c.first] {
				for _, r := range e.Roles {
					if _, ok := c.want[r]; ok {
						got[r]++
					}
				}
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// The order depends on the hosts alone, not on how they were listed, by whom, or on which port.
func TestCanaryOrderIsStable(t *testing.T) {
	entries := fleetOf(t, map[string]int{"web": 7, "db": 5}, nil)
	want := hostsOf(CanaryOrder(entries, nil))
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	if got := hostsOf(CanaryOrder(entries, nil)); !slices.Equal(got, want) {
		t.Errorf("listed otherwise: %v, want %v", got, want)
	}
	// Written down once: another version of troops must choose the same canaries.
	if first := want[:3]; !slices.Equal(first, []string{"web-2.example.com", "db-3.example.com", "web-4.example.com"}) {
		t.Errorf("the first are %v", first)
	}
}

// One host more: of any beginning, at most one host loses its place.
func TestCanaryOrderMovesFew(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		sizes := map[string]int{}
		for _, role := range []string{"a", "b", "c", "d"}[:1+rng.IntN(4)] {
			sizes[role] = 1 + rng.IntN(40)
		}
		entries := fleetOf(t, sizes, nil)
		before := CanaryOrder(entries, nil)
		gone := rng.IntN(len(entries))
		lost := entries[gone]
		after := CanaryOrder(slices.Delete(slices.Clone(entries), gone, gone+1), nil)
		for k := 1; k <= len(after); k++ {
			smaller := hostsOf(after[:k])
			left := 0
			for _, h := range hostsOf(before[:k]) {
				if h != lost.Host.text && !slices.Contains(smaller, h) {
					left++
				}
			}
			joined := 0
			for _, h := range smaller {
				if !slices.Contains(hostsOf(before[:k]), h) {
					joined++
				}
			}
			if left > 1 || joined > 1+left {
				t.Fatalf("%v without %s: of the first %d, %d others leave and %d come", sizes, lost.Host.text, k, left, joined)
			}
		}
	}
}

func BenchmarkCanaryOrder10000(b *testing.B) {
	entries := fleetOf(b, map[string]int{"web": 6000, "db": 3000, "cache": 1000}, nil)
	b.ReportAllocs()
	for b.Loop() {
		CanaryOrder(entries, nil)
	}
}
