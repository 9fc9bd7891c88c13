package inventory

import (
	"bytes"
	"regexp"
)

// maxTomlDepth bounds tables inside of tables, and parts of a dotted key. A role needs two;
// the parser's time grows with the square of it.
const maxTomlDepth = 64

// tooDeep returns the line of a roles.toml at which inline tables or dotted keys nest deeper
// than maxTomlDepth, or 0. It knows TOML's strings and comments; where the text is no TOML,
// the parser ends at that place.
func tooDeep(text []byte) int {
	depth, dots, line := 0, 0, 1
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '\'':
			end := stringEnd(text, i)
			line += bytes.Count(text[i:end], []byte("\n"))
			i = end - 1
		case '#':
			if n := bytes.IndexByte(text[i:], '\n'); n >= 0 {
				i += n - 1
			} else {
				i = len(text)
			}
		case '\n':
			line++
			dots = 0
		case '{':
			depth++
			dots = 0
		case '}':
			depth--
		case '.':
			dots++
		case '=', ',':
			dots = 0
		}
		if depth > maxTomlDepth || dots > maxTomlDepth {
			return line
		}
	}
	return 0
}

// stringEnd returns the index after the string that begins at text[i].
func stringEnd(text []byte, i int) int {
	quote := text[i : i+1]
	if triple := bytes.Repeat(quote, 3); bytes.HasPrefix(text[i:], triple) {
		quote = triple
	}
	for j := i + len(quote); j < len(text); j++ {
		switch {
		case text[j] == '\\' && quote[0] == '"':
			j++
		case bytes.HasPrefix(text[j:], quote):
			return j + len(quote)
		case text[j] == '\n' && len(quote) == 1:
			return j // no string: the parser ends here
		}
	}
	return len(text)
}

var (
	headerLine = regexp.MustCompile(`^\s*\[\s*["']?([^"'\]]*?)["']?\s*\]`)
	hostsLine  = regexp.MustCompile(`^\s*["']?hosts["']?\s*=`)
)

// hostsLines returns the line of the key hosts of every role that is written as a table of
// its own. Others are left to lineOf, which takes as long as the whole file is.
func hostsLines(text []byte) map[string]int {
	lines := make(map[string]int)
	role, n := "", 0
	for l := range bytes.Lines(text) {
		n++
		if m := headerLine.FindSubmatch(l); m != nil {
			role = string(m[1])
		} else if hostsLine.Match(l) && role != "" {
			lines[role] = n
		}
	}
	return lines
}
