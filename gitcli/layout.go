package gitcli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Layout is how a repository names its objects and where it keeps what git has no command to
// read. Paths are absolute or begin where the program runs, and lead to something or nothing.
type Layout struct {
	ObjectFormat string // "sha1" or "sha256"
	Head         string // the file that names the branch checked out
	Shallow      string // the file of where history ends, in a shallow clone
	Packs        string // the directory of packs
	PrePush      string // the pre-push hook, wherever core.hooksPath has it
}

// AsNamed is the repository without its replaced objects (git-replace): those are its own view,
// while another one that is sent a commit gets what the names say.
func (r Repo) AsNamed() Repo {
	if r.Env == nil {
		r.Env = CleanEnv(os.Environ())
	}
	r.Env = append(slices.Clip(r.Env), "GIT_NO_REPLACE_OBJECTS=1")
	return r
}

// Layout asks git, by one process, for all of it.
func (r Repo) Layout(ctx context.Context) (Layout, error) {
	out, err := r.Line(ctx, "rev-parse", "--show-object-format", "--git-path", "HEAD", "--git-path", "shallow",
		"--git-path", "objects/pack", "--git-path", "hooks/pre-push")
	if err != nil {
		return Layout{}, err
	}
	lines := strings.Split(out, "\n")
	if len(lines) != 5 {
		return Layout{}, fmt.Errorf("finding out where git keeps things: git rev-parse said %q (a path with a line feed in it is no good here)", out)
	}
	l := Layout{ObjectFormat: "sha1", Head: r.path(lines[1]), Shallow: r.path(lines[2]), Packs: r.path(lines[3]), PrePush: r.path(lines[4])}
	if lines[0] == "sha256" { // a git that knows no such option echoes it, and knows sha1 only
		l.ObjectFormat = lines[0]
	}
	return l, nil
}

// path makes a path that git has told one that is good from here.
func (r Repo) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(r.Dir, p)
}
