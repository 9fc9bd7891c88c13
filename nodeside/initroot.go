package nodeside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"troops/gitcli"
)

// own gives a file its mode, and on a root node to root and the group.
func (n *initer) own(path string, mode os.FileMode) error {
	if n.l.Root {
		if err := os.Lchown(path, os.Geteuid(), n.gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, mode) // after chown, which may clear the setgid bit
}

func (n *initer) owned(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return !n.l.Root || ok && int(st.Uid) == os.Geteuid() && int(st.Gid) == n.gid
}

// sudoPath is what sudoers takes without quoting.
var sudoPath = regexp.MustCompile(`^/[A-Za-z0-9._/+-]+$`)

// checkBinary looks whether hooks and sudo can rely on the program: on a root node nobody
// but root may be able to replace it, directly or by a directory above it.
func (n *initer) checkBinary() error {
	if !filepath.IsAbs(n.binary) {
		return fmt.Errorf("nodeside: the program's path %q is not absolute", n.binary)
	}
	real, err := filepath.EvalSymlinks(n.binary)
	if err != nil {
		return fmt.Errorf("nodeside: looking at the program: %w", err)
	}
	if !n.l.Root {
		return nil
	}
	if !sudoPath.MatchString(n.binary) {
		return fmt.Errorf("nodeside: %q cannot stand in sudo's configuration: install troops as /usr/local/bin/troops", n.binary)
	}
	for _, path := range []string{n.binary, real} {
		if err := onlyRootWrites(path); err != nil {
			return fmt.Errorf("nodeside: group %s would be able to run %s as root: %w: install troops as /usr/local/bin/troops", Group, n.binary, err)
		}
	}
	return nil
}

// onlyRootWrites checks path and all directories above it.
func onlyRootWrites(path string) error {
	for ; ; path = filepath.Dir(path) {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		switch {
		case !ok || st.Uid != 0:
			return fmt.Errorf("%s is not root's", path)
		case info.Mode()&os.ModeSymlink == 0 && info.Mode()&0o022 != 0:
			return fmt.Errorf("%s may be written by others (mode %v)", path, info.Mode())
		}
		if path == filepath.Dir(path) {
			return nil
		}
	}
}

// makeGroup makes the group of those who may push.
func (n *initer) makeGroup(ctx context.Context) error {
	g, err := user.LookupGroup(Group)
	if errors.As(err, new(user.UnknownGroupError)) {
		out, rerr := exec.CommandContext(ctx, "groupadd", "--system", Group).CombinedOutput()
		if rerr != nil {
			return fmt.Errorf("nodeside: making group %s: %w: %s", Group, rerr, plain(string(out), maxReason))
		}
		n.did("made group %s: its members may push, which is as good as being root here", Group)
		g, err = user.LookupGroup(Group)
	}
	if err == nil {
		n.gid, err = strconv.Atoi(g.Gid)
	}
	if err != nil {
		return fmt.Errorf("nodeside: looking for group %s: %w", Group, err)
	}
	return nil
}

// sudoersLine lets the group run `node start` as root with exactly these arguments
// (sudoers(5): arguments that are given must match). The request comes on standard input.
func sudoersLine(binary string) string {
	return fmt.Sprintf("%%%s ALL=(root) NOPASSWD: %s node start\n", Group, binary)
}

// makeSudoers writes the file for sudo, which is refused by sudo as a whole where it has a
// mistake: so it is checked before it has its name. Sudo passes over names with a dot.
func (n *initer) makeSudoers(ctx context.Context) error {
	visudo, err := exec.LookPath("visudo")
	if err != nil {
		n.say("sudo is not installed: only root can push; install it and run node init again")
		return nil
	}
	line := sudoersLine(n.binary)
	if old, err := os.ReadFile(n.sudoers); err == nil && string(old) == line {
		return nil
	}
	tmp := filepath.Join(filepath.Dir(n.sudoers), ".troops.new")
	defer os.Remove(tmp)
	if err := os.WriteFile(tmp, []byte(line), 0o440); err != nil {
		return fmt.Errorf("nodeside: writing sudo's configuration: %w", err)
	}
	if out, err := exec.CommandContext(ctx, visudo, "-c", "-q", "-f", tmp).CombinedOutput(); err != nil {
		return fmt.Errorf("nodeside: checking sudo's configuration: %w: %s", err, plain(string(out), maxReason))
	}
	if err := os.Rename(tmp, n.sudoers); err != nil {
		return fmt.Errorf("nodeside: writing sudo's configuration: %w", err)
	}
	n.did("wrote %s", n.sudoers)
	return nil
}

// trustRepo tells git that members of the group may use a repository that is root's.
func (n *initer) trustRepo(ctx context.Context) error {
	git := gitcli.Repo{Dir: "/"}
	config := append([]string{"config"}, n.gitScope...)
	args := func(more ...string) []string { return append(slices.Clone(config), more...) }
	old, _ := git.Line(ctx, args("--get-all", "safe.directory")...) // none: exit code 1
	if slices.Contains(strings.Split(old, "\n"), n.l.Repo()) {
		return nil
	}
	if _, err := git.Run(ctx, nil, args("--add", "safe.directory", n.l.Repo())...); err != nil {
		return fmt.Errorf("nodeside: telling git to trust the repository: %w", err)
	}
	n.did("added %s to git's safe.directory", n.l.Repo())
	return nil
}
