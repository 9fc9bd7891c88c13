package sshx

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sync/semaphore"
)

// matchExecTimeout is how long the command of a `Match exec` may take. ssh would wait for
// ever, but it is asked for one host only.
const matchExecTimeout = 20 * time.Second

// matchExec runs the commands of `Match exec`, each different one once.
type matchExec struct {
	parallel *semaphore.Weighted
	results  memo[string, bool]
}

// run reports whether a command ends with status 0. It is the user's own, from a file that
// nobody else may write.
func (m *matchExec) run(ctx context.Context, command string) (bool, error) {
	return m.results.get(ctx, command, func(ctx context.Context) (bool, error) { return m.start(ctx, command) })
}

// start runs a command as ssh does: by the user's shell, without input and output.
func (m *matchExec) start(ctx context.Context, command string) (bool, error) {
	if err := m.parallel.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer m.parallel.Release(1)
	limit, cancel := context.WithTimeout(ctx, matchExecTimeout)
	defer cancel()
	cmd := exec.CommandContext(limit, envOr("SHELL", "/bin/sh"), "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, nil
	case limit.Err() != nil:
		return false, &TimeoutError{What: fmt.Sprintf("the command %s of Match exec did not end", quote(command)), After: matchExecTimeout.String()}
	case errors.As(err, &exit) && exit.Exited():
		return false, nil
	}
	return false, fmt.Errorf("command %s of Match exec: %w", quote(command), err)
}
