package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// repository is a deployment repository on the workstation.
type repository struct {
	dir string
	env []string // of git; nil: this process's
}

// newRepository makes an empty one.
func newRepository(ctx context.Context, dir string, env []string) (*repository, error) {
	r := &repository{dir, env}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "master"},
		{"config", "user.name", "bench"},
		{"config", "user.email", "bench@example.com"},
		{"config", "commit.gpgSign", "false"},
		{"config", "gc.auto", "0"},
	} {
		if _, err := r.git(ctx, args...); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *repository) git(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir, cmd.Env = r.dir, r.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// write writes a file of the work tree.
func (r *repository) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(r.dir, name), data, 0o644)
}

// commit commits everything, with a change of its own, and returns the commit.
func (r *repository) commit(ctx context.Context, subject string) (string, error) {
	if err := r.write("version", []byte(subject+"\n")); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, "add", "-A"); err != nil {
		return "", err
	}
	if _, err := r.git(ctx, "commit", "-q", "-m", subject); err != nil {
		return "", err
	}
	return r.git(ctx, "rev-parse", "HEAD")
}

// deployPy has hosts in a role, and prints as many lines with the marker when it runs.
func deployPy(hosts []string, lines int) []byte {
	return fmt.Appendf(nil, "import troops\n\ntroops.define_role('all', hosts='''\n%s\n'''.split())\n\nfor i in range(1, %d):\n    print(f'%s{i}')\n",
		strings.Join(hosts, "\n"), lines+1, marker)
}
