package nodeside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/renameio/v2"

	"troops/gitcli"
	"troops/nodeside/wire"
)

// InitOptions say what node to make.
type InitOptions struct {
	Dir    string    // empty: as root, in [DefaultDir]; else a node that deploys as its own user
	Binary string    // absolute path of the troops program that hooks and sudo call
	Out    io.Writer // what was done, a line each
}

// Init makes a node, or brings an existing one up to date; where there is nothing to do it
// says so. As root it also makes what lets members of [Group] push, the group, a line for
// sudo and one for git in the system's configurations, and what has the node pull by itself.
func Init(ctx context.Context, opts InitOptions) error {
	n := &initer{
		l: LayoutAt(opts.Dir), binary: opts.Binary, out: opts.Out, gid: -1,
		sudoers: "/etc/sudoers.d/troops", gitScope: []string{"--system"}, machine: thisMachine(),
	}
	n.l.Root = opts.Dir == ""
	if n.l.Root && os.Geteuid() != 0 {
		return errors.New("nodeside: making a node in " + n.l.Dir + " takes root: use sudo, or --dir DIR for a node that deploys as you")
	}
	if opts.Dir != "" && n.l.Dir == DefaultDir {
		return errors.New("nodeside: " + DefaultDir + " is for a node that deploys as root: leave --dir out, or name another directory")
	}
	if err := n.init(ctx); err != nil {
		return err
	}
	if !n.changed {
		n.say("nothing to change")
	}
	return nil
}

// initer makes one node. What it does in /etc is in fields, for tests.
type initer struct {
	l        Layout
	binary   string
	out      io.Writer
	gid      int      // of Group; -1 on a node without root
	sudoers  string   // the file for sudo
	gitScope []string // option of git config that names the system's configuration
	machine  machine  // where the timer goes
	changed  bool
}

// did tells of a change.
func (n *initer) did(format string, args ...any) {
	n.changed = true
	n.say(format, args...)
}

// say tells people; that nobody listens is no reason to stop.
func (n *initer) say(format string, args ...any) {
	_, _ = fmt.Fprintf(n.out, format+"\n", args...)
}

func (n *initer) init(ctx context.Context) error {
	if err := checkGit(ctx); err != nil {
		return err
	}
	if err := n.checkBinary(); err != nil {
		return err
	}
	if n.l.Root {
		if err := n.makeGroup(ctx); err != nil {
			return err
		}
	}
	steps := []func(context.Context) error{n.makeDirs, n.makeRepo, n.configure, n.makeHooks, n.makeRef, n.makeKey, n.showName}
	if n.l.Root {
		steps = append(steps, n.makeSudoers, n.trustRepo, n.makeTimer)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// minGit is the first version of git that has proc-receive hooks.
var minGit = [2]int{2, 29}

var gitVersion = regexp.MustCompile(`^git version (\d+)\.(\d+)`)

func checkGit(ctx context.Context) error {
	line, err := gitcli.Repo{Dir: "/"}.Line(ctx, "version")
	if err != nil {
		return fmt.Errorf("nodeside: looking for git %d.%d or newer: %w", minGit[0], minGit[1], err)
	}
	return CheckGitVersion(line)
}

// CheckGitVersion reports whether a node can work with a git that says this line of its version.
func CheckGitVersion(line string) error {
	m := gitVersion.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("nodeside: git says of its version %q, which is not understood", line)
	}
	major, _ := strconv.Atoi(m[1]) // digits
	minor, _ := strconv.Atoi(m[2])
	if slices.Compare([]int{major, minor}, minGit[:]) < 0 {
		return fmt.Errorf("nodeside: git here is %s, a node needs %d.%d or newer (proc-receive hooks)",
			strings.TrimPrefix(line, "git version "), minGit[0], minGit[1])
	}
	return nil
}

// dirMode is the mode of a node's own directories: the group may read where there is one.
func (n *initer) dirMode() os.FileMode {
	if n.l.Root {
		return 0o750
	}
	return 0o700
}

// makeDirs makes the directories. Members of the group read runs; what they would write,
// start writes for them.
func (n *initer) makeDirs(context.Context) error {
	mode := n.dirMode()
	for _, d := range []struct {
		path string
		mode os.FileMode
	}{
		{n.l.Dir, mode},
		{filepath.Dir(n.l.Repo()), mode},
		{n.l.Runs(), mode | os.ModeSetgid},
		{n.l.Checkouts(), mode},
		{n.l.Venvs(), mode},
		{filepath.Dir(n.l.Key()), mode},
		{n.l.Trust(), mode},
	} {
		if err := n.makeDir(d.path, d.mode); err != nil {
			return fmt.Errorf("nodeside: making %s: %w", d.path, err)
		}
	}
	return nil
}

func (n *initer) makeDir(path string, mode os.FileMode) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		if path == n.l.Dir {
			err = os.MkdirAll(path, 0o755) // its parents are the system's
		} else {
			err = os.Mkdir(path, 0o700)
		}
		if err != nil {
			return err
		}
		n.did("made %s", path)
		return n.own(path, mode)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is no directory")
	}
	if got := info.Mode() & (os.ModePerm | os.ModeSetgid); got != mode || !n.owned(info) {
		n.did("corrected owner and mode of %s", path)
		return n.own(path, mode)
	}
	return nil
}

// makeHooks writes the two scripts by which git and workstations reach troops.
func (n *initer) makeHooks(context.Context) error {
	call := fmt.Sprintf("exec %s node --dir %s", shellQuote(n.binary), shellQuote(n.l.Dir))
	for name, line := range map[string]string{
		"proc-receive":               call + " hook proc-receive",
		filepath.Base(wire.Launcher): call + ` "$@"`,
	} {
		if err := n.writeFile(n.l.Hook(name), "#!/bin/sh\n"+line+"\n", 0o755); err != nil {
			return err
		}
	}
	return nil
}

// writeFile makes the file have this content and mode.
func (n *initer) writeFile(path, content string, mode os.FileMode) error {
	old, err := os.ReadFile(path)
	info, serr := os.Stat(path)
	if err == nil && serr == nil && string(old) == content && info.Mode().Perm() == mode {
		return nil
	}
	err = renameio.WriteFile(path, []byte(content), mode, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return fmt.Errorf("nodeside: writing %s: %w", path, err)
	}
	n.did("wrote %s", path)
	return nil
}

// shellQuote makes s one word of a POSIX shell.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
