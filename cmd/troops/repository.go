package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"troops/gitcli"
)

// repository is the deployment repository on the workstation, with its git configuration.
type repository struct {
	gitcli.Repo
	layout gitcli.Layout
	config map[string]string // of troops and about ssh, see values; nil outside of a repository
}

func openRepository(ctx context.Context, dir string) (*repository, error) {
	r := &repository{Repo: gitcli.Repo{Dir: dir}.AsNamed()} // what is read here is what nodes get
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return nil, usagef("there is no directory %s: give the deployment repository with -C DIR", dir)
	}
	var err error
	if r.layout, err = r.Layout(ctx); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, fmt.Errorf("git is not installed: install it (Debian: apt-get install git)")
		}
		if ge := (*gitcli.Error)(nil); !errors.As(err, &ge) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: go to a deployment repository or give one with -C DIR", err)
	}
	r.config, err = r.values(ctx, `^(troops\.|core\.sshcommand$|ssh\.variant$)`)
	return r, err
}

// headBranch is the full name of the branch that is checked out. It is read from where git keeps
// it, which costs no process; in a repository that keeps its refs otherwise git is asked.
func (r *repository) headBranch(ctx context.Context) (string, error) {
	b, err := os.ReadFile(r.layout.Head)
	ref, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "ref: ")
	if err == nil && ok && strings.HasPrefix(ref, "refs/heads/") && ref != "refs/heads/.invalid" {
		return ref, nil
	}
	return r.Line(ctx, "symbolic-ref", "--quiet", "HEAD")
}

// setting is a string option's value: the flag if it was given, else git config troops.KEY.
func (r *repository) setting(flag, key string) string {
	if flag != "" {
		return flag
	}
	return r.config["troops."+strings.ToLower(key)]
}

// number is a whole number of at least 1 from git config troops.KEY, or 0 where it is not set.
func (r *repository) number(key string) (int, error) {
	v, ok := r.config["troops."+strings.ToLower(key)]
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("git config troops.%s is %q: it must be a whole number of at least 1", key, v)
	}
	return n, nil
}

// size is a number of bytes from git config troops.KEY, in which k, m and g count 1024 each, or
// 0 where it is not set.
func (r *repository) size(ctx context.Context, key string) (int64, error) {
	v, ok := r.config["troops."+strings.ToLower(key)]
	if !ok {
		return 0, nil
	}
	line, err := r.Line(ctx, "config", "--type=int", "--get", "troops."+key)
	n, perr := strconv.ParseInt(line, 10, 64)
	if err != nil || perr != nil || n < 1 {
		return 0, fmt.Errorf("git config troops.%s is %q: it must be a number of bytes, such as 500m or 2g", key, v)
	}
	return n, nil
}

// commit is what there is to know of a commit at once.
type commit struct {
	oid     string
	parent  string // empty where it has none, or several
	subject string // its first line
}

// commit resolves a revision to a commit.
func (r *repository) commit(ctx context.Context, rev string) (*commit, error) {
	line, err := r.Line(ctx, "log", "-1", "--no-walk", "--no-show-signature", "--no-color", "--format=%H%x00%P%x00%s", "--end-of-options", rev+"^{commit}", "--")
	if err != nil {
		if _, unborn := r.Line(ctx, "rev-parse", "--verify", "--quiet", "HEAD"); rev == "HEAD" && unborn != nil {
			return nil, errors.New("the repository has no commit yet: commit deploy.py first")
		}
		return nil, fmt.Errorf("there is no commit %q in this repository: git log shows what there is", rev)
	}
	f := strings.SplitN(line, "\x00", 3)
	if len(f) != 3 {
		return nil, fmt.Errorf("reading commit %q: git log said %q", rev, line)
	}
	c := &commit{oid: f[0], subject: f[2]}
	if !strings.Contains(f[1], " ") {
		c.parent = f[1]
	}
	return c, nil
}

// branch is the full name of the branch that nodes without one are to deploy: the one given,
// else the one that is checked out.
func (r *repository) branch(ctx context.Context, given string) (string, error) {
	name := r.setting(given, "branch")
	if name == "" {
		ref, err := r.headBranch(ctx)
		if err != nil {
			return "", usagef("no branch is checked out: say which one the nodes deploy with --branch NAME or git config troops.branch NAME")
		}
		return ref, nil
	}
	ref := "refs/heads/" + strings.TrimPrefix(name, "refs/heads/")
	if _, err := r.Line(ctx, "check-ref-format", ref); err != nil {
		return "", usagef("--branch %q is no name for a branch", name)
	}
	return ref, nil
}

// whoami is user@workstation, for people who look at a run on the node.
func whoami() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}
