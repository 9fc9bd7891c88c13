package nodeside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"troops/nodeside/deployment"
)

// LaunchTimeout is how long a run's process may take until it says that it lives.
const LaunchTimeout = 20 * time.Second

// The files that a run's process inherits, beside standard streams on /dev/null.
const (
	aliveFd = 3 // the run's lock
	readyFd = 4 // the write end of a pipe: the process says that it lives, and closes it
)

// launch starts the process of run id, which inherits the lock alive, and waits until it
// says that it lives. The process has a session of its own, and where systemd runs the
// machine a unit of its own, so that nothing that ends the pusher's session ends it.
func launch(ctx context.Context, l Layout, id string, alive *os.File) (pid int, err error) {
	exe, err := self()
	if err != nil {
		return 0, err
	}
	args := []string{exe, "node"}
	if !l.Root {
		args = append(args, "--dir", l.Dir)
	}
	args = append(args, "run", id)
	closeOnExec()
	var errs []error
	for _, wrap := range launchers(l, id) {
		if pid, err = launchBy(ctx, l, append(wrap, args...), alive); err == nil {
			return pid, nil
		}
		errs = append(errs, fmt.Errorf("nodeside: starting run %s: %w", id, err))
	}
	return 0, errors.Join(errs...)
}

// launchers are the commands in front of the run's own, best first.
func launchers(l Layout, id string) [][]string {
	plain := [][]string{nil}
	if !l.Root || os.Geteuid() != 0 {
		return plain
	}
	// sd_booted(3): this directory says that systemd is process 1.
	if info, err := os.Lstat("/run/systemd/system"); err != nil || !info.IsDir() {
		return plain
	}
	path, err := exec.LookPath("systemd-run")
	if err != nil {
		return plain
	}
	// A scope is the calling process itself, so that lock, pipe and environment stay.
	return [][]string{{path, "--scope", "--quiet", "--collect", "--unit=troops-" + id, "--"}, nil}
}

func launchBy(ctx context.Context, l Layout, args []string, alive *os.File) (int, error) {
	ready, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer ready.Close()
	cmd := exec.Command(args[0], args[1:]...) // not of ctx: it outlives this process
	cmd.Dir, cmd.Env = "/", deployment.CleanEnv()
	cmd.ExtraFiles = []*os.File{aliveFd - 3: alive, readyFd - 3: w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	ready.SetReadDeadline(time.Now().Add(LaunchTimeout))
	if _, err := io.ReadFull(ready, make([]byte, 1)); err != nil {
		cmd.Process.Kill()
		if werr := cmd.Wait(); errors.Is(err, io.EOF) {
			err = fmt.Errorf("its process ended at once: %v", werr)
		}
		return 0, err
	}
	pid := cmd.Process.Pid
	return pid, cmd.Process.Release()
}

// closeOnExec marks what this process inherited beside its standard streams: a stray pipe
// of sshd's or git's that the run kept open would keep those waiting for it.
func closeOnExec() {
	dir, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, e := range dir {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// inherit takes over what launch gave this process, and says that it lives. The returned
// file is the run's lock, which nothing that the run starts inherits.
func inherit(alivePath string) (*os.File, error) {
	unix.CloseOnExec(aliveFd)
	unix.CloseOnExec(readyFd)
	alive := os.NewFile(aliveFd, alivePath)
	want, err := os.Stat(alivePath)
	if err != nil {
		return nil, fmt.Errorf("nodeside: beginning the run: %w", err)
	}
	if got, err := alive.Stat(); err != nil || !os.SameFile(got, want) {
		return nil, errors.New("nodeside: beginning the run: its lock is not there: runs are started by a push, not by hand")
	}
	ready := os.NewFile(readyFd, "ready")
	defer ready.Close()
	if _, err := ready.Write([]byte{'1'}); err != nil {
		return nil, fmt.Errorf("nodeside: beginning the run: saying so: %w", err)
	}
	return alive, nil
}
