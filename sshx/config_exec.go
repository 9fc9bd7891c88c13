package sshx

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
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

	mu   sync.Mutex
	runs map[string]*execRun
}

// execRun is one command, running or ended.
type execRun struct {
	done chan struct{} // closed once the fields below are set
	yes  bool
	err  error
}

// run reports whether a command ends with status 0. It is the user's own, from a file that
// nobody else may write. A run that its context ended is not kept.
func (m *matchExec) run(ctx context.Context, command string) (bool, error) {
	for {
		m.mu.Lock()
		r, known := m.runs[command]
		if !known {
			r = &execRun{done: make(chan struct{})}
			m.runs[command] = r
		}
		m.mu.Unlock()
		if !known {
			r.yes, r.err = m.start(ctx, command)
			if ctx.Err() != nil {
				m.mu.Lock()
				delete(m.runs, command)
				m.mu.Unlock()
				r.err = ctx.Err()
			}
			close(r.done)
			return r.yes, r.err
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return false, ctx.Err()
		}
		if errors.Is(r.err, context.Canceled) || errors.Is(r.err, context.DeadlineExceeded) {
			continue // another host's dial was given up, not this one
		}
		return r.yes, r.err
	}
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
