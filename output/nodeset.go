package output

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Fold writes names as a set, in which names that differ by one number only are written once:
// `db web-[01-48,50].example.com`. Sorted, each name once; leading zeros are kept.
func Fold(names []string) string {
	padded := make(map[pattern]bool) // by pattern with width: some number of it begins with a zero
	for _, name := range names {
		if p, _, zero, ok := lastNumber(name); ok && zero {
			padded[p] = true
		}
	}
	groups := make(map[pattern][]int)
	var out []string
	for _, name := range names {
		p, n, _, ok := lastNumber(name)
		if !ok {
			out = append(out, name)
			continue
		}
		if !padded[p] {
			p.width = 0
		}
		groups[p] = append(groups[p], n)
	}
	for p, numbers := range groups {
		out = append(out, p.fold(numbers))
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

// pattern is a name without its last number.
type pattern struct {
	before, after string
	width         int // of the number, filled with zeros; 0 where it is not
}

// maxFoldDigits is the longest number that is folded; a longer one is part of the name.
const maxFoldDigits = 9

// lastNumber finds the last number in the first label of a name: in web-3.dc2.example.com
// it is 3. zero says that it begins with a zero, for width's sake.
func lastNumber(name string) (p pattern, n int, zero, ok bool) {
	label, _, _ := strings.Cut(name, ".")
	end := strings.LastIndexAny(label, "0123456789") + 1
	if end == 0 || strings.ContainsAny(name, "[]:@, ") {
		return pattern{}, 0, false, false
	}
	begin := end
	for begin > 0 && label[begin-1] >= '0' && label[begin-1] <= '9' {
		begin--
	}
	digits := name[begin:end]
	n, err := strconv.Atoi(digits)
	if err != nil || len(digits) > maxFoldDigits || begin == 0 && end == len(label) && label != name {
		return pattern{}, 0, false, false // such as an address: 192.0.2.1
	}
	p = pattern{before: name[:begin], after: name[end:], width: len(digits)}
	return p, n, digits[0] == '0' && len(digits) > 1, true
}

// fold writes the names of a pattern with these numbers.
func (p pattern) fold(numbers []int) string {
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		part := p.number(numbers[i])
		if j > i {
			sep := "-"
			if j == i+1 {
				sep = ","
			}
			part += sep + p.number(numbers[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	list := strings.Join(parts, ",")
	if len(numbers) > 1 {
		list = "[" + list + "]"
	}
	return p.before + list + p.after
}

func (p pattern) number(n int) string { return fmt.Sprintf("%0*d", p.width, n) }
