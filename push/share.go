package push

import (
	"fmt"
	"strconv"
	"strings"
)

// Share is a part of the nodes: a number of them, or hundredths of a percent of all.
type Share struct {
	nodes int
	parts int // of 10,000
	text  string
}

// wholeShare is the number of parts that are all nodes.
const wholeShare = 10_000

// ParseShare reads `12` or `10%`, the latter with at most two decimals, up to 100%.
func ParseShare(s string) (Share, error) {
	wrong := func(why string) (Share, error) {
		return Share{}, fmt.Errorf("%q: %s (a number of nodes, such as 3, or a share, such as 10%%)", s, why)
	}
	percent, isPercent := strings.CutSuffix(s, "%")
	if !isPercent {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return wrong("no number of nodes")
		}
		return Share{nodes: int(n), text: s}, nil
	}
	whole, decimals, _ := strings.Cut(percent, ".")
	if len(decimals) > 2 {
		return wrong("too many decimals")
	}
	n, err := strconv.ParseUint(whole+decimals+"00"[len(decimals):], 10, 31)
	switch {
	case err != nil || whole == "" || strings.HasSuffix(percent, "."):
		return wrong("no percentage")
	case n > wholeShare:
		return wrong("more than all")
	}
	return Share{parts: int(n), text: s}, nil
}

// ParseShares reads a list of shares with commas between them: the ends of waves, each larger than nothing.
func ParseShares(s string) ([]Share, error) {
	var out []Share
	for _, word := range strings.Split(s, ",") {
		share, err := ParseShare(strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		if share.nodes == 0 && share.parts == 0 {
			return nil, fmt.Errorf("%q: a wave has at least one node", word)
		}
		out = append(out, share)
	}
	return out, nil
}

// String is the share as it was written.
func (s Share) String() string { return s.text }

// AtLeast is how many of n nodes a rollout reaches that is to reach the share: rounded up, at
// least 1, at most all.
func (s Share) AtLeast(n int) int {
	count := s.nodes
	if s.parts > 0 {
		count = (n*s.parts + wholeShare - 1) / wholeShare
	}
	return min(n, max(1, count))
}

// AtMost is how many of n nodes may be in the share: rounded down.
func (s Share) AtMost(n int) int {
	if s.parts > 0 {
		return n * s.parts / wholeShare
	}
	return min(n, s.nodes)
}

// waveEnds is how many of n nodes have been reached at the end of each wave. Waves that would
// add no node are left out.
func waveEnds(shares []Share, n int) []int {
	if len(shares) == 0 {
		return []int{n}
	}
	var ends []int
	for _, s := range shares {
		if end := s.AtLeast(n); n > 0 && (len(ends) == 0 || end > ends[len(ends)-1]) {
			ends = append(ends, end)
		}
	}
	return ends
}
