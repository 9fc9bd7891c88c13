package sshx

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// criterion is one of those of a Match line.
type criterion struct {
	name   string // lower case
	negate bool
	arg    string
	list   []string // arg at its commas, in lower case where names are compared
}

// matchArgument tells which criteria are evaluated here, and whether they take an argument.
// The others, localnetwork, version, sessiontype and command, are the installed ssh's: they
// ask about the ssh program itself, the command it would run or the machine's addresses,
// and many releases refuse them.
var matchArgument = map[string]bool{
	"all": false, "final": false, "canonical": false,
	"host": true, "originalhost": true, "user": true, "localuser": true, "tagged": true, "exec": true,
}

// errAskSSH is a Match line that releases of ssh read differently, or do not all accept.
var errAskSSH = errors.New("only ssh can tell")

// parseMatch reads the criteria of a Match line. Up to 9.8 ssh split it by rules of its
// own, since then like any other line: only what both read alike is evaluated here.
func parseMatch(line configLine) ([]criterion, error) {
	words := splitAssigned(line.args)
	if !slices.Equal(words, oldMatchWords(line.rest)) {
		return nil, errAskSSH
	}
	var out []criterion
	for len(words) > 0 {
		c := criterion{name: strings.ToLower(words[0])}
		word := words[0]
		words = words[1:]
		c.name, c.negate = strings.CutPrefix(c.name, "!")
		takes, known := matchArgument[c.name]
		if !known {
			return nil, errAskSSH
		}
		if c.name == "all" && (len(words) > 0 || len(out) > 1) {
			return nil, fmt.Errorf("%s cannot be combined with other Match criteria", quote(word))
		}
		if takes {
			if len(words) == 0 || words[0] == "" && c.name != "tagged" {
				return nil, fmt.Errorf("missing argument of Match %s", quote(word))
			}
			c.arg, words = words[0], words[1:]
			c.list = strings.Split(c.arg, ",")
			if c.name == "host" || c.name == "originalhost" {
				c.list = strings.Split(strings.ToLower(c.arg), ",")
			}
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("no criteria after Match")
	}
	return out, nil
}

// splitAssigned takes `host=a` apart into `host` and `a`, as ssh since 9.9 does.
func splitAssigned(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		name, value, found := strings.Cut(args[i], "=")
		plain := strings.TrimPrefix(strings.ToLower(name), "!")
		switch {
		case found && matchArgument[plain]:
			out = append(out, name, value)
		case matchArgument[plain] && i+1 < len(args):
			out = append(out, args[i], args[i+1])
			i++
		default:
			out = append(out, args[i])
		}
	}
	return out
}

// oldMatchWords splits the text of a Match line as ssh up to 9.8 did: only double quotes
// count, there are no escapes, and one `=` separates like a space.
func oldMatchWords(s string) []string {
	var out []string
	for s != "" {
		i := strings.IndexAny(s, " \t\r\n\"=")
		word, rest := s, ""
		switch {
		case i < 0:
		case s[i] == '"':
			quoted, after, closed := strings.Cut(s[i+1:], `"`)
			if !closed {
				return out
			}
			word, rest = s[:i]+quoted, strings.TrimLeft(after, " \t\r\n")
		default:
			word, rest = s[:i], strings.TrimLeft(s[i+1:], " \t\r\n")
			if s[i] != '=' && strings.HasPrefix(rest, "=") {
				rest = strings.TrimLeft(rest[1:], " \t\r\n")
			}
		}
		if strings.HasPrefix(word, "#") {
			break
		}
		out = append(out, word)
		s = rest
	}
	return out
}

// condition is one Host or Match line.
type condition struct {
	patterns []string    // of Host, for the name
	match    []criterion // of Match
	id       int         // of a Match line among all of them
	file     string
	line     int
}

// isHost reports whether it is a Host line.
func (c *condition) isHost() bool { return c.match == nil }
