package gitcli

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Setting is one value that git found for a name of its configuration.
type Setting struct {
	Scope string // system, global, local, worktree or command
	Value string
}

// Local reports whether the setting may be of somebody who writes in the repository.
func (s Setting) Local() bool { return s.Scope != "system" && s.Scope != "global" }

// Settings lists what all of git's configurations say of a name, in git's order: the
// repository's own after the others.
func (r Repo) Settings(ctx context.Context, name string) ([]Setting, error) {
	out, err := r.Run(ctx, nil, "config", "--show-scope", "--null", "--get-all", name)
	var ge *Error
	if errors.As(err, &ge) && ge.ExitCode() == 1 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(fields)%2 != 0 {
		return nil, fmt.Errorf("reading %s: git says %q", name, out)
	}
	var all []Setting
	for i := 0; i < len(fields); i += 2 {
		all = append(all, Setting{Scope: fields[i], Value: fields[i+1]})
	}
	return all, nil
}
