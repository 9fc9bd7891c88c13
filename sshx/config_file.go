package sshx

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// Limits of configuration files: the depth of Include is ssh's own, the sizes are ours.
const (
	maxIncludeDepth  = 16
	maxConfigSize    = 64 << 20 // of one file, and of all together
	maxIncludedFiles = 4096     // files may include each other in more ways than there are files
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
	return fmt.Sprintf("sshx: reading ssh configuration %s: %v", printable(at), e.Err)
}

// Unwrap gives the cause, such as fs.ErrNotExist.
func (e *ConfigError) Unwrap() error { return e.Err }

// directive is one keyword of a block with its arguments.
type directive struct {
	keyword string
	args    []string
	file    string // empty where it is of no file
	line    int
	literal bool // its arguments are expanded already
}

// fail makes an error about the value of a directive.
func (d *directive) fail(err error) error {
	if d.file == "" {
		return fmt.Errorf("%s: %w", d.keyword, err)
	}
	return &ConfigError{File: d.file, Line: d.line, Err: fmt.Errorf("%s: %w", d.keyword, err)}
}

// because says where a reason stands.
func (d *directive) because(what string) string {
	return printable(fmt.Sprintf("%s:%d: %s", d.file, d.line, what))
}

// block is a run of directives under one condition: all of conds must hold for the host.
// An Include under a condition hands it down.
type block struct {
	conds      []*condition
	directives []directive
}

// config is the user's files, parsed and indexed. It does not change once loaded.
type config struct {
	blocks  []block
	literal map[string][]int // blocks whose last condition names the host itself, by that name
	general []int            // every other block
	matches int              // how many Match lines there are
	final   bool             // one of them asks for a second pass
	needSSH string           // why ssh must evaluate these files instead, empty where it need not
	command bool             // ssh must be told that a command will be run

	foreign []directive    // lists of algorithms with names unknown here
	unread  []*ConfigError // files that could not be opened, and so are passed over, as by ssh
}

// configLoader reads files into a config.
type configLoader struct {
	cfg     *config
	home    string
	trusted bool // ssh would find the same own file, and check who may write it
	ignored ignoredKeywords
	negated string // where `Match !final` stands
	size    int
	files   int
}

// configSource is one top-level file.
type configSource struct {
	path      string
	user      bool // relative Includes are looked up in ~/.ssh, not in /etc/ssh
	checkPerm bool // must not be writable by others, as ssh has it for the user's own file
	optional  bool
	included  bool
}

// loadConfig reads the files in order; the first value of a keyword wins.
func loadConfig(l local, sources []configSource) (*config, error) {
	loader := &configLoader{cfg: &config{literal: make(map[string][]int)}, home: l.home, trusted: !l.moved}
	for _, src := range sources {
		if err := openable(src.path); err != nil && src.optional {
			if !errors.Is(err, fs.ErrNotExist) {
				loader.cfg.unread = append(loader.cfg.unread, &ConfigError{File: src.path, Err: err})
			}
			continue
		}
		if err := loader.file(src, nil, 0); err != nil {
			return nil, err
		}
	}
	cfg := loader.cfg
	// Up to 10.0 this asked for a second pass, since then it does not. Where there is one
	// anyway, nothing depends on it.
	if loader.negated != "" && !cfg.final && cfg.needSSH == "" {
		cfg.needSSH = loader.negated
	}
	cfg.index()
	return cfg, nil
}

// openable tries to open a file.
func openable(path string) error {
	f, err := openConfig(path)
	if err != nil {
		return plainPathError(err)
	}
	return f.Close()
}

// openConfig opens a file, and does not wait for somebody to write where it is a pipe.
func openConfig(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// fileReader is one file while it is read.
type fileReader struct {
	*configLoader
	src     configSource
	depth   int
	number  int // of the line
	base    int // how many of the conditions are those of the Include
	current block
}

// file reads one file whose directives before any Host line are under conds.
func (l *configLoader) file(src configSource, conds []*condition, depth int) error {
	if l.files++; depth > maxIncludeDepth || l.files > maxIncludedFiles {
		return &ConfigError{File: src.path, Err: errors.New("too many recursive includes")}
	}
	data, err := l.read(src)
	if err != nil {
		return &ConfigError{File: src.path, Err: err}
	}
	f := &fileReader{configLoader: l, src: src, depth: depth, base: len(conds), current: block{conds: conds}}
	for raw := range bytes.Lines(data) {
		f.number++
		if err := f.line(strings.TrimRight(string(raw), "\n")); err != nil {
			var ce *ConfigError // of an included file
			if errors.As(err, &ce) {
				return err
			}
			return &ConfigError{File: src.path, Line: f.number, Err: err}
		}
	}
	f.flush()
	return nil
}

// flush ends the current block.
func (f *fileReader) flush() {
	if len(f.current.directives) > 0 {
		f.cfg.blocks = append(f.cfg.blocks, f.current)
	}
	f.current.directives = nil
}

// line reads one line.
func (f *fileReader) line(text string) error {
	line, err := parseConfigLine(text)
	if err != nil {
		return err
	}
	switch line.keyword {
	case "":
		return nil
	case "host", "match":
		f.flush()
		cond, err := f.condition(line)
		if err != nil {
			return err
		}
		f.current.conds = append(f.current.conds[:f.base:f.base], cond)
		return nil
	case "include":
		f.flush()
		return f.include(line.args)
	}
	return f.directive(line)
}

// read reads a file, after the check of rights that ssh makes.
func (l *configLoader) read(src configSource) ([]byte, error) {
	f, err := openConfig(src.path)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, plainPathError(err)
	}
	if src.checkPerm {
		if err := l.checkRights(src, st); err != nil {
			return nil, err
		}
	}
	if st.IsDir() && (src.included || src.optional) {
		return nil, nil // ssh reads nothing from it and goes on: `Include conf.d/*` may have one
	}
	if !st.Mode().IsRegular() && !st.IsDir() {
		return nil, errors.New("not a file")
	}
	if l.size += int(min(st.Size(), maxConfigSize+1)); l.size > maxConfigSize {
		return nil, fmt.Errorf("more than %d bytes of configuration", maxConfigSize)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		return nil, plainPathError(err)
	}
	return b.Bytes(), nil
}

// checkRights refuses a file that others can write. Debian's ssh lets a group write that
// only the owner is in: such a file is for ssh to judge, where ssh would check it.
func (l *configLoader) checkRights(src configSource, st fs.FileInfo) error {
	err := checkOwner(st, 0o022)
	if err == nil || !l.trusted && !src.included || checkOwner(st, 0o002) != nil {
		return err
	}
	l.needSSH(src.path, 0, err.Error())
	return nil
}

// needSSH notes why `ssh -G` must evaluate the configuration. The first reason is kept.
func (l *configLoader) needSSH(file string, line int, what string) {
	if l.cfg.needSSH == "" {
		l.cfg.needSSH = place(file, line, what)
	}
}

// place says what stands where.
func place(file string, line int, what string) string {
	if line > 0 {
		file = fmt.Sprintf("%s:%d", file, line)
	}
	return printable(file + ": " + what)
}
