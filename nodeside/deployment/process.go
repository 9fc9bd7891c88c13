package deployment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// KillDelay is how long a cancelled program, with all it started, may take to end
// after SIGTERM before it is killed.
const KillDelay = 10 * time.Second

// DrainDelay is how long output is still read after a program has ended, where
// processes that it left behind keep its output open.
const DrainDelay = 2 * time.Second

// groupPoll is how often a cancelled program's group is looked at until it is gone.
const groupPoll = 50 * time.Millisecond

// run runs cmd to its end, copying what it prints to s.Stdout (unless cmd has a
// Stdout already) and s.Stderr. Standard input is empty. A bad end is an *ExitError;
// where ctx ended it, the error wraps ctx's cause as well.
func (s Spec) run(ctx context.Context, label string, cmd *exec.Cmd) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("deployment: %s: not started: %w", label, err)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: !s.foreground}
	var copies []*copier
	for _, stream := range []struct {
		to   io.Writer
		from *io.Writer
	}{{s.Stdout, &cmd.Stdout}, {s.Stderr, &cmd.Stderr}} {
		if *stream.from != nil || stream.to == nil {
			continue
		}
		if f, ok := stream.to.(*os.File); ok {
			*stream.from = f
			continue
		}
		c, err := newCopier(stream.to)
		if err != nil {
			closeAll(copies)
			return fmt.Errorf("deployment: %s: %w", label, err)
		}
		copies = append(copies, c)
		*stream.from = c.w
	}
	if err := cmd.Start(); err != nil {
		closeAll(copies)
		return startError(label, err)
	}
	for _, c := range copies {
		c.start()
	}
	err := s.wait(ctx, cmd)
	left := false
	for _, c := range copies {
		c.r.SetReadDeadline(time.Now().Add(cmp.Or(s.drainDelay, DrainDelay)))
	}
	for _, c := range copies {
		left = c.finish() || left
	}
	if left {
		s.note("%s left processes behind that keep its output open: what they print from now on is lost, and may end them (a broken pipe)", label)
	}
	return endError(ctx, label, err)
}

// wait waits for cmd and sees to it that it ends when ctx does.
func (s Spec) wait(ctx context.Context, cmd *exec.Cmd) error {
	signal := func(sig syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, sig) }
	if s.foreground {
		signal = func(sig syscall.Signal) error { return cmd.Process.Signal(sig) }
	}
	exited, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-exited:
			return
		case <-ctx.Done():
		}
		signal(syscall.SIGTERM)
		// What it started may have more to finish than itself: dpkg, for one.
		deadline := time.NewTimer(cmp.Or(s.killDelay, KillDelay))
		defer deadline.Stop()
		poll := time.NewTicker(groupPoll)
		defer poll.Stop()
		for signal(0) == nil {
			select {
			case <-deadline.C:
				signal(syscall.SIGKILL)
				return
			case <-poll.C:
			}
		}
	}()
	err := cmd.Wait()
	close(exited)
	<-stopped
	return err
}

// startError says why a program could not be started.
func startError(label string, err error) error {
	if errors.Is(err, syscall.ENOEXEC) {
		return fmt.Errorf("deployment: starting %s: %w: its first line must be #! and an interpreter, such as #!/bin/sh", label, err)
	}
	return fmt.Errorf("deployment: starting %s: %w", label, err)
}

// endError turns the error of exec.Cmd.Wait into this package's.
func endError(ctx context.Context, label string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		e := &ExitError{Command: label, Code: exit.ExitCode()}
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			e.Code, e.Signal = 0, ws.Signal().String()
		}
		err = e
	}
	switch cause := context.Cause(ctx); {
	case cause != nil && err != nil:
		return fmt.Errorf("deployment: %s: stopped: %w (%w)", label, cause, err)
	case cause != nil:
		return fmt.Errorf("deployment: %s: stopped: %w", label, cause)
	case err != nil:
		return fmt.Errorf("deployment: %w", err)
	}
	return nil
}

// copier hands on what a program writes into a pipe.
type copier struct {
	r, w *os.File
	to   io.Writer
	done chan bool // whether the pipe was still open at the deadline
}

func newCopier(to io.Writer) (*copier, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &copier{r: r, w: w, to: to, done: make(chan bool, 1)}, nil
}

// start begins to copy, once the program has the writing end.
func (c *copier) start() {
	c.w.Close()
	go func() {
		buf := make([]byte, 32<<10)
		for {
			n, err := c.r.Read(buf)
			if n > 0 {
				// The writer's trouble is its owner's to tell. The program goes on.
				c.to.Write(buf[:n])
			}
			if err != nil {
				c.done <- errors.Is(err, os.ErrDeadlineExceeded)
				return
			}
		}
	}()
}

// finish waits for the end of the copying, and reports whether others than the
// program still had the pipe open.
func (c *copier) finish() bool {
	left := <-c.done
	c.r.Close()
	return left
}

func closeAll(copies []*copier) {
	for _, c := range copies {
		c.r.Close()
		c.w.Close()
	}
}
