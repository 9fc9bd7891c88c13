package push

import (
	"slices"
	"strings"
	"testing"
)

func TestShareCounts(t *testing.T) {
	for _, c := range []struct {
		share           string
		of              int
		atLeast, atMost int
	}{
		{"0%", 1, 1, 0}, {"0%", 20, 1, 0}, {"0", 20, 1, 0},
		{"1%", 1, 1, 0}, {"1%", 99, 1, 0}, {"1%", 100, 1, 1}, {"1%", 101, 2, 1}, {"1%", 10_000, 100, 100},
		{"10%", 1, 1, 0}, {"10%", 20, 2, 2}, {"10%", 21, 3, 2}, {"10%", 10_000, 1000, 1000},
		{"33%", 1, 1, 0}, {"33%", 3, 1, 0}, {"33%", 4, 2, 1}, {"33%", 100, 33, 33}, {"33%", 10_000, 3300, 3300},
		{"33.33%", 10_000, 3333, 3333}, {"0.5%", 1000, 5, 5}, {"0.01%", 10_000, 1, 1}, {"0.01%", 10_001, 2, 1},
		{"100%", 1, 1, 1}, {"100%", 7, 7, 7}, {"100%", 10_000, 10_000, 10_000}, {"100.00%", 3, 3, 3},
		{"1", 1, 1, 1}, {"3", 2, 2, 2}, {"3", 10_000, 3, 3}, {"99999", 10, 10, 10},
	} {
		s, err := ParseShare(c.share)
		if err != nil {
			t.Fatal(err)
		}
		if l, m := s.AtLeast(c.of), s.AtMost(c.of); l != c.atLeast || m != c.atMost {
			t.Errorf("%s of %d: at least %d, at most %d; want %d and %d", c.share, c.of, l, m, c.atLeast, c.atMost)
		}
		if s.String() != c.share {
			t.Errorf("%s is shown as %s", c.share, s)
		}
	}
}

// A smaller share of the same nodes is never more of them, for any number of nodes.
func TestShareGrows(t *testing.T) {
	small, large := Share{parts: 1000}, Share{parts: 3000}
	for n := 1; n <= 10_000; n++ {
		if a, b := small.AtLeast(n), large.AtLeast(n); a > b || a < 1 || b > n || a*10 < n || b*10 < 3*n {
			t.Fatalf("of %d nodes 10%% are %d and 30%% are %d", n, a, b)
		}
	}
}

func TestParseShareRefuses(t *testing.T) {
	for _, s := range []string{"", "%", "-1", "-5%", "101%", "100.01%", "1.5", "ten", "10 %", "1.234%", ".5%", "5.%", "1e2%", "+5%", "99999999999", "10%%", "NaN%"} {
		if got, err := ParseShare(s); err == nil {
			t.Errorf("%q is taken for %+v", s, got)
		} else if !strings.Contains(err.Error(), "10%)") {
			t.Errorf("%q: the error does not say how: %v", s, err)
		}
	}
	for _, s := range []string{"", "5%,", "0", "0%,50%", "5%;10%"} {
		if got, err := ParseShares(s); err == nil {
			t.Errorf("%q is taken for %+v", s, got)
		}
	}
}

func TestWaveEnds(t *testing.T) {
	for _, c := range []struct {
		shares string
		of     int
		want   []int
	}{
		{"10%", 20, []int{2}},
		{"5%,25%,100%", 20, []int{1, 5, 20}},
		{"1,10%,50%,100%", 20, []int{1, 2, 10, 20}},
		{"5%,25%,100%", 1, []int{1}},
		{"5%,10%,100%", 10, []int{1, 10}},
		{"50%,10%", 10, []int{5}},
		{"3,100%", 2, []int{2}},
		{"100%", 0, nil},
	} {
		shares, err := ParseShares(c.shares)
		if err != nil {
			t.Fatal(err)
		}
		if got := waveEnds(shares, c.of); !slices.Equal(got, c.want) {
			t.Errorf("%s of %d: %v, want %v", c.shares, c.of, got, c.want)
		}
	}
	if got := waveEnds(nil, 5); !slices.Equal(got, []int{5}) {
		t.Errorf("no waves: %v", got)
	}
}

func FuzzParseShares(f *testing.F) {
	f.Add("5%,25%,100%", 20)
	f.Add("1.25%, 3", 1)
	f.Fuzz(func(t *testing.T, s string, n int) {
		shares, err := ParseShares(s)
		if n = n % 100_000; err != nil || n < 1 {
			return
		}
		ends := waveEnds(shares, n)
		if len(ends) == 0 || ends[0] < 1 || ends[len(ends)-1] > n || !slices.IsSorted(ends) {
			t.Errorf("%q of %d: %v", s, n, ends)
		}
	})
}
