package sshx

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Limits of configuration files: the depth of Include is ssh's own, the size is ours.
const (
	maxIncludeDepth = 16
	maxConfigSize   = 64 << 20
)

// ConfigError is an ssh configuration that cannot be used.
type ConfigError struct {
	File string
	Line int // 0 where the whole file is meant
	Err  error
}

// Error names file and line.
func (e *ConfigError) Error() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("sshx: reading ssh configuration %s: %v", at, e.Err)
}

// Unwrap gives the cause, such as fs.ErrNotExist.
func (e *ConfigError) Unwrap() error { return e.Err }

// directive is one keyword of a block with its arguments.
type directive struct {
	keyword string
	args    []string
}

// block is a run of directives under one condition: every list of conds must match the
// host as it was asked for. An Include inside a Host block inherits its conditions.
type block struct {
	conds      [][]string
	directives []directive
}

// config is the user's files, parsed and indexed. It does not change once loaded.
type config struct {
	blocks  []block
	literal map[string][]int // blocks whose last condition names the host itself, by that name
	general []int            // every other block
	needSSH string           // why ssh must evaluate these files instead, empty where it need not
}

// configLoader reads files into a config.
type configLoader struct {
	cfg           *config
	home          string
	ignoreUnknown []string // of IgnoreUnknown lines that apply to every host
}

// configSource is one top-level file.
type configSource struct {
	path      string
	user      bool // relative Includes are looked up in ~/.ssh, not in /etc/ssh
	checkPerm bool // must not be writable by others, as ssh has it for the user's own file
	optional  bool
}

// loadConfig reads the files in order; the first value of a keyword wins.
func loadConfig(home string, sources []configSource) (*config, error) {
	l := &configLoader{cfg: &config{literal: make(map[string][]int)}, home: home}
	for _, src := range sources {
		err := l.file(src, nil, 0)
		if src.optional && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	l.cfg.index()
	return l.cfg, nil
}

// file reads one file whose directives before any Host line are under conds.
func (l *configLoader) file(src configSource, conds [][]string, depth int) error {
	if depth > maxIncludeDepth {
		return &ConfigError{File: src.path, Err: errors.New("too many recursive includes")}
	}
	data, err := readConfigFile(src)
	if err != nil {
		return &ConfigError{File: src.path, Err: err}
	}
	base := len(conds)
	current := block{conds: conds}
	flush := func() {
		if len(current.directives) > 0 {
			l.cfg.blocks = append(l.cfg.blocks, current)
		}
		current.directives = nil
	}
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		fail := func(err error) error { return &ConfigError{File: src.path, Line: number, Err: err} }
		line, err := parseConfigLine(strings.TrimRight(string(raw), "\n"))
		if err != nil {
			return fail(err)
		}
		switch line.keyword {
		case "":
		case "host", "match":
			flush()
			cond, err := l.condition(src.path, number, line)
			if err != nil {
				return fail(err)
			}
			current.conds = append(current.conds[:base:base], cond)
		case "include":
			flush()
			if err := l.include(src, line.args, current.conds, depth); err != nil {
				var ce *ConfigError
				if errors.As(err, &ce) {
					return err
				}
				return fail(err)
			}
		default:
			d, err := l.directive(src.path, number, line, len(current.conds) == 0)
			if err != nil {
				return fail(err)
			}
			if d.keyword != "" {
				current.directives = append(current.directives, d)
			}
		}
	}
	flush()
	return nil
}

// readConfigFile reads a file, after the check of rights that ssh makes.
func readConfigFile(src configSource) ([]byte, error) {
	f, err := os.Open(src.path)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, plainPathError(err)
	}
	if src.checkPerm {
		if err := checkOwner(st, 0o022); err != nil {
			return nil, err
		}
	}
	if st.Size() > maxConfigSize {
		return nil, fmt.Errorf("larger than %d bytes", maxConfigSize)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		return nil, plainPathError(err)
	}
	return b.Bytes(), nil
}

// include reads the files that the arguments of an Include line name.
func (l *configLoader) include(src configSource, args []string, conds [][]string, depth int) error {
	if len(args) == 0 {
		return errors.New("missing argument")
	}
	for _, arg := range args {
		if strings.ContainsAny(arg, "%$") {
			l.needSSH(src.path, 0, "an Include with tokens")
			continue
		}
		switch {
		case arg == "":
			return errors.New("empty Include path")
		case strings.HasPrefix(arg, "~") && !src.user:
			return fmt.Errorf("bad Include path %s", quote(arg))
		case strings.HasPrefix(arg, "~"):
			path, err := expandTilde(arg, l.home)
			if err != nil {
				return err
			}
			arg = path
		case filepath.IsAbs(arg):
		case src.user:
			arg = filepath.Join(l.home, ".ssh", arg)
		default:
			arg = filepath.Join(filepath.Dir(systemConfig), arg)
		}
		files, err := filepath.Glob(arg)
		if err != nil {
			return fmt.Errorf("bad Include path %s", quote(arg))
		}
		for _, f := range files {
			inner := configSource{path: f, user: src.user, checkPerm: true}
			if err := l.file(inner, conds, depth+1); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// condition turns a Host or Match line into a list of patterns for the host's name.
func (l *configLoader) condition(file string, line int, c configLine) ([]string, error) {
	if len(c.args) == 0 {
		return nil, errors.New("missing argument")
	}
	if c.keyword == "match" {
		if len(c.args) == 1 && strings.EqualFold(c.args[0], "all") {
			return []string{"*"}, nil
		}
		l.needSSH(file, line, "Match "+strings.Join(c.args, " "))
		return []string{"*"}, nil
	}
	for _, p := range c.args {
		if p == "" {
			return nil, errors.New("empty pattern")
		}
	}
	return c.args, nil
}

// directive checks one line that is neither condition nor Include. A keyword without
// bearing on a connection gives an empty directive.
func (l *configLoader) directive(file string, line int, c configLine, unconditional bool) (directive, error) {
	keyword := c.keyword
	if alias, ok := keywordAlias[keyword]; ok {
		keyword = alias
	}
	switch {
	case keyword == "ignoreunknown":
		if len(c.args) == 1 && unconditional && l.ignoreUnknown == nil {
			l.ignoreUnknown = strings.Split(strings.ToLower(c.args[0]), ",")
		} else {
			l.needSSH(file, line, "IgnoreUnknown under a condition")
		}
		return directive{}, nil
	case otherKeywords[keyword] || matchList(keyword, l.ignoreUnknown):
		return directive{}, nil
	case keywords[keyword] == 0:
		l.needSSH(file, line, "keyword "+c.keyword)
		return directive{}, nil
	case keywords[keyword] == command:
		return directive{keyword: keyword, args: []string{c.rest}}, nil
	}
	if err := checkArgs(keyword, c.args); err != nil {
		return directive{}, fmt.Errorf("%s: %w", quote(c.keyword), err)
	}
	if keyword == "canonicalizehostname" && c.args[0] != "no" && c.args[0] != "false" {
		l.needSSH(file, line, "CanonicalizeHostname "+c.args[0])
	}
	return directive{keyword: keyword, args: c.args}, nil
}

// needSSH notes why `ssh -G` must evaluate the configuration. The first reason is kept.
func (l *configLoader) needSSH(file string, line int, what string) {
	if l.cfg.needSSH == "" {
		l.cfg.needSSH = printable(fmt.Sprintf("%s:%d: %s", file, line, what))
	}
}
