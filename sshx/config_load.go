package sshx

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// include reads the files that the arguments of an Include line name.
func (f *fileReader) include(args []string) error {
	for _, arg := range args {
		switch {
		case arg == "":
			return errors.New("empty Include path")
		case strings.Contains(arg, "%") || strings.Contains(arg, "${"):
			// Other files for other hosts, since 9.9; before that they stood for themselves.
			f.needSSH(f.src.path, f.number, "an Include with tokens")
			continue
		case strings.HasPrefix(arg, "~") && !f.src.user:
			return fmt.Errorf("bad Include path %s", quote(arg))
		case strings.HasPrefix(arg, "~"):
			path, err := expandTilde(arg, f.home)
			if err != nil {
				continue // as for glob(3), the name of a file that does not exist
			}
			arg = path
		case filepath.IsAbs(arg):
		case f.src.user:
			arg = filepath.Join(f.home, ".ssh", arg)
		default:
			arg = filepath.Join(filepath.Dir(systemConfig), arg)
		}
		for _, path := range globFiles(arg) {
			inner := configSource{path: path, user: f.src.user, checkPerm: true, included: true}
			err := f.file(inner, f.current.conds, f.depth+1)
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // ssh passes over a link that leads nowhere
				return err
			}
		}
	}
	return nil
}

// globFiles is glob(3): unlike in [filepath.Glob], a wildcard does not find hidden files,
// [!a] negates, and what is no good pattern is a name.
func globFiles(pattern string) []string {
	found, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil {
		if _, err := os.Lstat(pattern); err == nil {
			return []string{pattern}
		}
		return nil
	}
	want := strings.Split(pattern, string(filepath.Separator))
	return slices.DeleteFunc(found, func(path string) bool {
		got := strings.Split(path, string(filepath.Separator))
		for i := range min(len(got), len(want)) {
			if strings.HasPrefix(got[i], ".") && !strings.HasPrefix(want[i], ".") {
				return true
			}
		}
		return false
	})
}

// condition reads a Host or Match line.
func (f *fileReader) condition(line configLine) (*condition, error) {
	c := &condition{patterns: line.args, file: f.src.path, line: f.number}
	if line.keyword == "host" {
		if slices.Contains(line.args, "") {
			return nil, errors.New("empty pattern")
		}
		return c, nil
	}
	criteria, err := parseMatch(line)
	if errors.Is(err, errAskSSH) {
		text := "Match " + strings.Join(line.args, " ")
		f.needSSH(f.src.path, f.number, text)
		for _, word := range []string{"sessiontype", "command"} {
			f.cfg.command = f.cfg.command || strings.Contains(strings.ToLower(text), word)
		}
		return c, nil // under no name, for nothing here will be evaluated
	}
	if err != nil {
		return nil, err
	}
	c.patterns, c.match, c.id = nil, criteria, f.cfg.matches
	f.cfg.matches++
	for _, k := range criteria {
		switch k.name {
		case "final":
			if !k.negate {
				f.cfg.final = true
			} else if f.negated == "" {
				f.negated = place(f.src.path, f.number, "Match !final")
			}
		case "exec":
			if err := checkExecTokens(k.arg); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// always reports whether the directives under conds are those of every host.
func always(conds []*condition) bool {
	return !slices.ContainsFunc(conds, func(c *condition) bool {
		if c.isHost() {
			return !slices.Equal(c.patterns, []string{"*"})
		}
		return len(c.match) != 1 || c.match[0].name != "all" || c.match[0].negate
	})
}

// ignoredKeywords is what IgnoreUnknown says at a point of the files. The first one counts,
// and where that is under a condition, hosts differ in what they refuse.
type ignoredKeywords struct {
	patterns []string
	some     bool // set for some hosts, not for all
}

// directive reads a line that is neither condition nor Include. A keyword without bearing
// on a connection is passed over.
func (f *fileReader) directive(line configLine) error {
	d := directive{keyword: line.keyword, args: line.args, file: f.src.path, line: f.number}
	if alias, ok := keywordAlias[d.keyword]; ok {
		d.keyword = alias
	}
	kind, known := keywords[d.keyword]
	switch {
	case d.keyword == "ignoreunknown":
		if len(d.args) != 1 || d.args[0] == "" {
			return errors.New("IgnoreUnknown takes one argument")
		}
		if f.ignored.patterns == nil && always(f.current.conds) {
			f.ignored.patterns = strings.Split(strings.ToLower(d.args[0]), ",")
		}
		f.ignored.some = f.ignored.some || f.ignored.patterns == nil
		return nil
	case otherKeywords[d.keyword]:
		return nil
	case !known && !f.ignored.some && matchList(d.keyword, f.ignored.patterns):
		return nil
	case !known:
		// A newer ssh may know it, and one that does not has the better words for it. Under
		// an IgnoreUnknown of some hosts it is an error for the others only.
		f.needSSH(f.src.path, f.number, "keyword "+line.keyword)
		return nil
	}
	if kind == command || kind == jumps {
		d.args = []string{strings.TrimLeft(line.rest, " \t\r\n=")} // all of it
	}
	if err := checkArgs(&d, kind); err != nil {
		return fmt.Errorf("%s: %w", quote(line.keyword), err)
	}
	if kind == algorithms {
		if foreign, err := algorithmKinds[d.keyword].check(d.args[0]); foreign {
			f.cfg.foreign = append(f.cfg.foreign, d)
		} else if err != nil {
			return fmt.Errorf("%s: %w", quote(line.keyword), err)
		}
	}
	if len(d.args) > 0 {
		f.current.directives = append(f.current.directives, d)
	}
	return nil
}
