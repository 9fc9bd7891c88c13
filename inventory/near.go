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

// distance is the number of bytes to insert, delete or replace to make b of a (Levenshtein),
// of the first 64 bytes of each.
func distance(a, b string) int {
	const limit = 64
	a, b = a[:min(len(a), limit)], b[:min(len(b), limit)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
