package deployment

import (
	"regexp"
	"strings"
)

// logicalLine is a line of a requirements file as pip takes it: continuation lines
// joined, comments removed, variables filled in, never empty.
type logicalLine struct {
	number int // of its first line, from 1
	text   string
}

var (
	comment  = regexp.MustCompile(`(^|\s+)#.*$`)
	variable = regexp.MustCompile(`\$\{[A-Z0-9_]+\}`)
	lineEnd  = regexp.MustCompile("\r\n|[\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029]") // as Python's str.splitlines
)

func logicalLines(text string, env []string) []logicalLine {
	var out []logicalLine
	var joined strings.Builder
	begin := 0
	add := func() {
		s := strings.TrimSpace(comment.ReplaceAllString(joined.String(), ""))
		joined.Reset()
		s = variable.ReplaceAllStringFunc(s, func(v string) string {
			if value := getEnv(env, v[2:len(v)-1]); value != "" {
				return value
			}
			return v
		})
		if s != "" {
			out = append(out, logicalLine{begin, s})
		}
		begin = 0
	}
	for i, l := range lineEnd.Split(strings.TrimPrefix(text, "\ufeff"), -1) {
		if begin == 0 {
			begin = i + 1
		}
		loc := comment.FindStringIndex(l)
		isComment := loc != nil && loc[0] == 0
		if strings.HasSuffix(l, `\`) && !isComment {
			joined.WriteString(strings.Trim(l, `\`))
			continue
		}
		if isComment { // so that it stays one behind a continued line
			joined.WriteByte(' ')
		}
		joined.WriteString(l)
		add()
	}
	if joined.Len() > 0 {
		add()
	}
	return out
}

type instructionKind int

const (
	requirement instructionKind = iota // a package: name and version, URL or path
	editable                           // the same with -e
	include                            // -r, -c
	links                              // --find-links
)

// instruction is a part of a line that matters here. Other options are pip's business.
type instruction struct {
	kind  instructionKind
	value string
}

// options are those with a file behind them. pip takes unambiguous beginnings of long ones.
var options = []struct {
	short, long, least string
	kind               instructionKind
}{
	{"-r", "--requirement", "--requirem", include},
	{"-c", "--constraint", "--const", include},
	{"-e", "--editable", "--ed", editable},
	{"-f", "--find-links", "--f", links},
}

// parseLine finds the instructions in a line: what comes before the first option is
// a requirement, the rest are options.
func parseLine(text string) []instruction {
	var out []instruction
	words := strings.Split(text, " ")
	n := 0
	for n < len(words) && !strings.HasPrefix(words[n], "-") {
		n++
	}
	if name := strings.TrimSpace(strings.Join(words[:n], " ")); name != "" {
		out = append(out, instruction{requirement, withoutMarker(name)})
	}
	rest := splitWords(strings.Join(words[n:], " "))
	for i := 0; i < len(rest); i++ {
		kind, value, complete, ok := parseOption(rest[i])
		if !ok {
			continue
		}
		if !complete {
			if i++; i == len(rest) {
				break
			}
			value = rest[i]
		}
		if kind == editable {
			value = withoutMarker(value)
		}
		out = append(out, instruction{kind, value})
	}
	return out
}

// parseOption recognises one of options; complete says that its value is in the word.
func parseOption(word string) (kind instructionKind, value string, complete, ok bool) {
	for _, o := range options {
		if name, value, eq := strings.Cut(word, "="); strings.HasPrefix(name, o.least) && strings.HasPrefix(o.long, name) {
			return o.kind, value, eq, true
		}
		if value, found := strings.CutPrefix(word, o.short); found {
			return o.kind, value, value != "", true
		}
	}
	return 0, "", false, false
}

// withoutMarker removes an environment marker: foo; python_version < "3.9".
func withoutMarker(s string) string {
	if i := strings.Index(s, " ;"); i >= 0 {
		s = s[:i]
	}
	if !strings.Contains(s, "://") {
		s, _, _ = strings.Cut(s, ";")
	}
	return strings.TrimSpace(s)
}

var (
	urlScheme  = regexp.MustCompile(`^([^/]*@\s*)?[A-Za-z][A-Za-z0-9+.-]*://`)
	vcs        = regexp.MustCompile(`^([^/]*@\s*)?(git|hg|svn|bzr)\+`)
	troopsName = regexp.MustCompile(`^(?i:troops)\s*([\[<>=!~@(]|$)`)
)

// remote reports whether a value is a URL of another machine, or of none known here.
func remote(value string) bool {
	return urlScheme.MatchString(value) && !strings.Contains(value, "file://")
}

func hasVCS(value string) bool { return vcs.MatchString(value) }

// isTroops reports whether a requirement is one on troops itself.
func isTroops(value string) bool { return troopsName.MatchString(value) }

// splitWords splits as a POSIX shell does with quotes and backslashes, nothing more.
func splitWords(s string) []string {
	var out []string
	var word strings.Builder
	inWord := false
	quote := rune(0)
	escaped := false
	for _, c := range s {
		switch {
		case escaped:
			if quote == '"' && c != '"' && c != '\\' {
				word.WriteByte('\\')
			}
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && strings.ContainsRune(" \t\r\n", c):
			if inWord {
				out = append(out, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if inWord {
		out = append(out, word.String())
	}
	return out
}
