package sshx

import (
	"errors"
	"fmt"
	"strings"
)

// maxConfigLine is how long a line of a configuration file may be. OpenSSH has no limit
// but memory; no keyword needs more.
const maxConfigLine = 64 << 10

// errQuotes is an argument list whose quotes do not close.
var errQuotes = errors.New("invalid quotes")

// configLine is one line of an ssh_config file.
type configLine struct {
	keyword string   // lower case, empty for blank lines and comments
	args    []string // split as ssh does, quotes and escapes removed
	rest    string   // the text after the keyword, for the keywords that take a command
}

// parseConfigLine reads one line as readconf.c's process_config_line does: the keyword
// ends at a space, a quote or one `=`, a comment begins only at a word's start.
func parseConfigLine(line string) (configLine, error) {
	if len(line) > maxConfigLine {
		return configLine{}, fmt.Errorf("line longer than %d bytes", maxConfigLine)
	}
	if strings.IndexByte(line, 0) >= 0 {
		return configLine{}, errors.New("NUL byte")
	}
	line = strings.TrimRight(line, " \t\r\n\f")
	keyword, rest := cutKeyword(strings.TrimLeft(line, " \t\r\n"))
	if keyword == "" || keyword[0] == '#' {
		return configLine{}, nil
	}
	l := configLine{keyword: strings.ToLower(keyword), rest: strings.TrimLeft(rest, " \t\r\n")}
	if l.rest == "" {
		return l, fmt.Errorf("no argument after keyword %s", quote(l.keyword))
	}
	var err error
	if l.args, err = splitArgs(l.rest); err != nil {
		return l, err
	}
	return l, nil
}

// cutKeyword is strdelim of misc.c for the first word of a line. As there, a line whose
// keyword has an open quote is passed over.
func cutKeyword(s string) (word, rest string) {
	if strings.HasPrefix(s, `"`) {
		word, rest, ok := strings.Cut(s[1:], `"`)
		if !ok {
			return "", ""
		}
		return word, strings.TrimLeft(rest, " \t\r\n")
	}
	if strings.HasPrefix(s, "#") {
		return "", ""
	}
	i := strings.IndexAny(s, " \t\r\n\"=")
	if i < 0 {
		return s, ""
	}
	word, rest = s[:i], s[i:]
	if rest[0] == '"' {
		return word, rest
	}
	hadEquals := rest[0] == '='
	rest = strings.TrimLeft(rest[1:], " \t\r\n")
	if !hadEquals && strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], " \t\r\n")
	}
	return word, rest
}

// splitArgs is argv_split of misc.c with terminate_on_comment.
func splitArgs(s string) ([]string, error) {
	var args []string
	for i := 0; i < len(s); {
		switch s[i] {
		case ' ', '\t':
			i++
			continue
		case '#':
			return args, nil
		}
		arg, n, err := oneArg(s[i:])
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
		i += n
	}
	return args, nil
}

// oneArg reads the word at the start of s and says how many bytes it took.
func oneArg(s string) (arg string, n int, err error) {
	var b strings.Builder
	var open byte
	i := 0
	for ; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s) && (strings.IndexByte(`'"\`, s[i+1]) >= 0 || open == 0 && s[i+1] == ' '):
			i++
			b.WriteByte(s[i])
		case open == 0 && (c == ' ' || c == '\t'):
			return b.String(), i, nil
		case open == 0 && (c == '"' || c == '\''):
			open = c
		case open != 0 && c == open:
			open = 0
		default:
			b.WriteByte(c)
		}
	}
	if open != 0 {
		return "", i, errQuotes
	}
	return b.String(), i, nil
}
