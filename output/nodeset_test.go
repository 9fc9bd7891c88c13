package output

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ names, want string }{
		{"", ""},
		{"db", "db"},
		{"web-1", "web-1"},
		{"web-2 web-1", "web-[1,2]"},
		{"web-1 web-2 web-3 web-5 db", "db web-[1-3,5]"},
		{"web-08 web-09 web-10 web-11", "web-[08-11]"},
		{"web-01.example.com web-02.example.com web-03.example.com", "web-[01-03].example.com"},
		{"a1b2 a1b3 a2b2", "a1b[2,3] a2b2"},
		{"n9 n10 n11", "n[9-11]"},
		{"x1.dc2.net x2.dc2.net x1.dc3.net", "x1.dc3.net x[1,2].dc2.net"},
		{"192.0.2.1 192.0.2.2", "192.0.2.1 192.0.2.2"},
		{"web-1 web-1", "web-1"},
		{"root@web-1:22 root@web-2:22", "root@web-1:22 root@web-2:22"},
		{"n12345678901 n12345678902", "n12345678901 n12345678902"},
		{"web-007 web-7", "web-007 web-7"},
	} {
		if got := Fold(strings.Fields(c.names)); got != c.want {
			t.Errorf("%s: %s, want %s", c.names, got, c.want)
		}
	}
}

var bracket = regexp.MustCompile(`^(.*)\[([0-9,-]+)\](.*)$`)

// unfold is the reverse of Fold, written independently of it.
func unfold(set string) (names []string) {
	for _, word := range strings.Fields(set) {
		m := bracket.FindStringSubmatch(word)
		if m == nil {
			names = append(names, word)
			continue
		}
		for _, part := range strings.Split(m[2], ",") {
			lo, hi, isRange := strings.Cut(part, "-")
			if !isRange {
				hi = lo
			}
			a, _ := strconv.Atoi(lo)
			b, _ := strconv.Atoi(hi)
			width := 0
			if lo[0] == '0' && len(lo) > 1 {
				width = len(lo)
			}
			for i := a; i <= b; i++ {
				names = append(names, m[1]+fmt.Sprintf("%0*d", width, i)+m[3])
			}
		}
	}
	return names
}

func FuzzFold(f *testing.F) {
	f.Add("web-1 web-2 web-03 10.0.0.1 a1b2.example.com")
	f.Add("0 00 000 1 01 x09 x10")
	f.Fuzz(func(t *testing.T, list string) {
		var names []string
		for _, n := range strings.Fields(list) {
			if !strings.ContainsAny(n, "[]") {
				names = append(names, n)
			}
		}
		slices.Sort(names)
		names = slices.Compact(names)
		got := unfold(Fold(names))
		slices.Sort(got)
		if !slices.Equal(got, names) {
			t.Errorf("%q are folded to %q", names, Fold(names))
		}
	})
}
