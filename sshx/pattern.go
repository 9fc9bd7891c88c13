package sshx

import "strings"

// matchPattern is ssh's match_pattern: `*` stands for any run of bytes and `?` for one.
// It is iterative, so that no pattern of a file costs more than len(s)*len(pattern).
func matchPattern(s, pattern string) bool {
	si, pi := 0, 0
	star, mark := -1, 0
	for si < len(s) {
		switch {
		case pi < len(pattern) && pattern[pi] == '*':
			star, mark = pi, si
			pi++
		case pi < len(pattern) && (pattern[pi] == '?' || pattern[pi] == s[si]):
			si++
			pi++
		case star >= 0:
			mark++
			si, pi = mark, star+1
		default:
			return false
		}
	}
	for pi < len(pattern) && pattern[pi] == '*' {
		pi++
	}
	return pi == len(pattern)
}

// matchList is ssh's match_pattern_list over patterns that are split already: a match of
// one that begins with `!` decides against all others, wherever it stands.
func matchList(s string, patterns []string) bool {
	got := false
	for _, p := range patterns {
		if rest, negated := strings.CutPrefix(p, "!"); negated {
			if matchPattern(s, rest) {
				return false
			}
		} else if !got && matchPattern(s, p) {
			got = true
		}
	}
	return got
}

// isLiteral reports whether a pattern matches itself and nothing else.
func isLiteral(pattern string) bool {
	return !strings.ContainsAny(pattern, "*?!")
}
