package inventory

import (
	"slices"
	"strings"
)

// nearest returns names with the most alike to pattern first, by edit distance; names that
// are equally far stay in their order.
func nearest(pattern string, names []string) []string {
	type near struct {
		name string
		dist int
	}
	word := strings.ToLower(strings.Trim(pattern, "*?"))
	all := make([]near, len(names))
	for i, n := range names {
		low := strings.ToLower(n)
		all[i] = near{n, distance(word, low)}
		if word != "" && strings.Contains(low, word) {
			all[i].dist = 0
		}
	}
	slices.SortStableFunc(all, func(a, b near) int { return a.dist - b.dist })
	out := make([]string, len(all))
	for i, n := range all {
		out[i] = n.name
	}
	return out
}

// distance is the number of bytes to insert, delete, replace or swap with the next one to
// make b of a, of the first 64 bytes of each.
func distance(a, b string) int {
	const limit = 64
	a, b = a[:min(len(a), limit)], b[:min(len(b), limit)]
	var d [limit + 1][limit + 1]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			if i == 0 || j == 0 {
				d[i][j] = i + j
				continue
			}
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
