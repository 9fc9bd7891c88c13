package sshx

import (
	"errors"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Limits of a child: how long it may take to end after SIGTERM before it is killed, how long
// what it leaves behind may hold its standard error, and how much of that is kept, in bytes.
const (
	childKillDelay = time.Second
	childWaitDelay = 2 * time.Second
	maxChildStderr = 4096
)

// child is a program in a session of its own: a Ctrl-C of ours does not reach it, it cannot
// write to our terminal or ask there, and it ends together with its own children.
type child struct {
	cmd     *exec.Cmd
	errs    io.Writer // gets its standard error, too; may be nil
	exited  chan struct{}
	ending  sync.Once
	wg      sync.WaitGroup
	stopped atomic.Bool // by us

	mu    sync.Mutex
	words []byte // the last of its standard error
}

// startChild starts cmd, whose standard error it takes.
func startChild(cmd *exec.Cmd, errs io.Writer) (*child, error) {
	c := &child{cmd: cmd, errs: errs, exited: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	dieWithUs(cmd.SysProcAttr)
	cmd.Stderr, cmd.WaitDelay = c, childWaitDelay
	started := make(chan error, 1)
	c.wg.Go(func() {
		// For the kernel the thread that starts a process is its parent, whose end ends it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // ProcessState tells more
			close(c.exited)
		}
	})
	if err := <-started; err != nil {
		c.wg.Wait()
		return nil, err
	}
	return c, nil
}

// stop ends the child with its children and waits. It may be called again.
func (c *child) stop() {
	c.ending.Do(func() {
		select {
		case <-c.exited:
			return
		default:
		}
		c.stopped.Store(true)
		// An error means that the group is gone already.
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM)
		timer := time.NewTimer(childKillDelay)
		defer timer.Stop()
		select {
		case <-c.exited:
		case <-timer.C:
			_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	c.wg.Wait()
}

// status is the exit status of a child that has exited; -1 where a signal ended it.
func (c *child) status() int { return c.cmd.ProcessState.ExitCode() }

// Write implements [io.Writer] for the child's standard error. It takes all and keeps the end.
func (c *child) Write(b []byte) (int, error) {
	c.mu.Lock()
	c.words = append(c.words, b...)
	if n := len(c.words) - maxChildStderr; n > 0 {
		c.words = append(c.words[:0], c.words[n:]...)
	}
	c.mu.Unlock()
	if c.errs != nil {
		_, _ = c.errs.Write(b) // who does not want it any more has closed it
	}
	return len(b), nil
}

// said gives the last of what the child wrote to its standard error, or how it ended.
func (c *child) said() string {
	c.mu.Lock()
	text := strings.TrimSpace(strings.ReplaceAll(string(c.words), "\r\n", "\n"))
	c.mu.Unlock()
	if text != "" {
		return text
	}
	select {
	case <-c.exited:
		return c.cmd.ProcessState.String()
	default:
		return ""
	}
}

// programMissing explains an error of starting a program.
func programMissing(err error) error {
	var ee *exec.Error
	if errors.As(err, &ee) {
		return ee.Err
	}
	return plainPathError(err)
}
