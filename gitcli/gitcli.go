// Package gitcli runs the local git program.
//
// Reading, packing and moving refs is git's own work: the program on PATH knows
// every repository format its user has (worktrees, alternates, partial clones,
// sha256), so nothing here opens a repository by itself. Both halves use it: the
// workstation on the user's repository, the node on its bare one.
package gitcli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// KillDelay is how long a cancelled git may take to end after SIGTERM before it is killed.
const KillDelay = 5 * time.Second

// Repo is a git repository as the local git program finds it.
type Repo struct {
	Dir    string   // where git is started: anywhere inside a work tree, or a bare repository
	GitDir string   // when set, passed as --git-dir: no discovery, no safe.directory check
	Env    []string // the environment of git; nil means the process's own without git's repository variables
}

// Error is a git command that did not succeed.
type Error struct {
	Args   []string // without the program's name
	Stderr string   // what git said, trimmed, at most 4 KiB
	Err    error    // *exec.ExitError, or why git did not start
}

// Error says which command failed and what git said of it.
func (e *Error) Error() string {
	msg := e.Stderr
	if msg == "" {
		msg = e.Err.Error()
	}
	return fmt.Sprintf("git %s: %s", e.Args[0], msg)
}

// Unwrap gives the error of starting or waiting for git.
func (e *Error) Unwrap() error { return e.Err }

// ExitCode reports git's exit code, or -1 where it did not exit by itself.
func (e *Error) ExitCode() int {
	var ee *exec.ExitError
	if errors.As(e.Err, &ee) {
		return ee.ExitCode()
	}
	return -1
}

// Command prepares git with args; the caller sets the streams and runs it.
// Cancelling ctx sends SIGTERM, so that git removes its lock and temporary files.
func (r Repo) Command(ctx context.Context, args ...string) *exec.Cmd {
	if r.GitDir != "" {
		args = append([]string{"--git-dir=" + r.GitDir}, args...)
	}
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.Dir
	cmd.Env = r.Env
	if cmd.Env == nil {
		cmd.Env = CleanEnv(os.Environ())
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = KillDelay
	return cmd
}

// Run runs git with args, gives it stdin (may be nil), and returns what it printed.
// Errors are *Error.
func (r Repo) Run(ctx context.Context, stdin io.Reader, args ...string) ([]byte, error) {
	cmd := r.Command(ctx, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errs
	if err := cmd.Run(); err != nil {
		return out.Bytes(), &Error{Args: args, Stderr: clip(errs.String()), Err: err}
	}
	return out.Bytes(), nil
}

// Line runs git with args and returns its output as one line without the line feed.
func (r Repo) Line(ctx context.Context, args ...string) (string, error) {
	out, err := r.Run(ctx, nil, args...)
	return strings.TrimRight(string(out), "\n"), err
}

// Test runs a git command that answers by its exit code: 0 is true, 1 is false.
func (r Repo) Test(ctx context.Context, args ...string) (bool, error) {
	_, err := r.Run(ctx, nil, args...)
	var ge *Error
	if errors.As(err, &ge) && ge.ExitCode() == 1 {
		return false, nil
	}
	return err == nil, err
}

// repoVars are the variables that bind git to one repository, as `git rev-parse
// --local-env-vars` lists them, and those a hook gets from receive-pack.
var repoVars = map[string]bool{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES": true, "GIT_CONFIG": true, "GIT_CONFIG_PARAMETERS": true,
	"GIT_CONFIG_COUNT": true, "GIT_OBJECT_DIRECTORY": true, "GIT_DIR": true, "GIT_WORK_TREE": true,
	"GIT_IMPLICIT_WORK_TREE": true, "GIT_GRAFT_FILE": true, "GIT_INDEX_FILE": true,
	"GIT_NO_REPLACE_OBJECTS": true, "GIT_REPLACE_REF_BASE": true, "GIT_PREFIX": true,
	"GIT_SHALLOW_FILE": true, "GIT_COMMON_DIR": true, "GIT_INTERNAL_SUPER_PREFIX": true,
	"GIT_QUARANTINE_PATH": true, "GIT_NAMESPACE": true, "GIT_PROTOCOL": true,
}

// CleanEnv returns env without the variables that bind git to one repository, and with
// messages untranslated, so that a troops started inside a git hook sees the right one.
func CleanEnv(env []string) []string {
	out := make([]string, 0, len(env)+1)
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if repoVars[name] || strings.HasPrefix(name, "GIT_PUSH_OPTION_") || name == "LC_ALL" {
			continue
		}
		out = append(out, kv)
	}
	return append(out, "LC_ALL=C.UTF-8")
}

func clip(s string) string {
	const limit = 4096
	s = strings.TrimSpace(s)
	if len(s) > limit {
		s = s[:limit] + " [cut]"
	}
	return s
}
