package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"troops/push"
	"troops/sshx"
)

// What ssh uses to ask, and the longest answer that it takes.
const (
	terminalPath   = "/dev/tty"
	defaultAskpass = "/usr/bin/ssh-askpass"
	maxPassphrase  = 1023
	askpassDelay   = time.Second // for what SSH_ASKPASS leaves behind, once it has ended
)

// errNoAnswer is a question that nobody has answered.
var errNoAnswer = errors.New("no answer")

// asker asks the user for passphrases as ssh does: on the terminal, or by the program of
// SSH_ASKPASS where SSH_ASKPASS_REQUIRE says so or there is no terminal but a display.
type asker struct {
	env     func(string) string
	tty     string
	stderr  io.Writer              // of SSH_ASKPASS
	ended   context.Context        // ends a question that stands
	silence func() (resume func()) // keeps other output from the terminal meanwhile
}

// ask has ssh ask the user, and warn on standard error.
func (g *global) ask(o *sshx.Options) {
	a := &asker{env: os.Getenv, tty: terminalPath, stderr: g.err, ended: g.stop.soft, silence: func() func() { return func() {} }}
	o.Interactive, o.AskPassphrase = a.can(), a.passphrase
	var mu sync.Mutex
	o.Warnf = func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(g.err, "troops: warning: %s\n", clean(fmt.Sprintf(format, args...)))
	}
}

// askBeside has ssh ask and warn on a terminal that lines are printed to all the while.
func (g *global) askBeside(lines printer, o *sshx.Options) {
	a := &asker{env: os.Getenv, tty: terminalPath, stderr: g.err, ended: g.stop.soft, silence: lines.Silence}
	o.Interactive, o.AskPassphrase = a.can(), a.passphrase
	o.Warnf = func(format string, args ...any) { lines.Printf("warning: "+format, args...) }
}

// sayTouches tells the user before any host is dialled that a key has to be touched for each.
func sayTouches(ctx context.Context, client *sshx.Client, r *push.Rollout, warnf func(string, ...any)) {
	hosts := make([]string, len(r.Targets))
	for i, t := range r.Targets {
		hosts[i] = t.Host
	}
	for _, touch := range client.Touches(ctx, hosts) {
		warnf("the key %s has to be touched once for each host that takes it: up to %d times", touch.Key, touch.Hosts)
	}
}

// can reports whether there is any way to ask.
func (a *asker) can() bool {
	if _, allowed := a.askpass(); allowed {
		return true
	}
	tty, err := os.OpenFile(a.tty, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	tty.Close()
	return true
}

// askpass reports whether SSH_ASKPASS goes before the terminal, and whether it may be used at all.
func (a *asker) askpass() (preferred, allowed bool) {
	allowed = a.env("DISPLAY") != "" || a.env("WAYLAND_DISPLAY") != ""
	switch strings.ToLower(a.env("SSH_ASKPASS_REQUIRE")) {
	case "force":
		return true, true
	case "prefer":
		return allowed, allowed
	case "never":
		return false, false
	}
	return false, allowed
}

// passphrase asks for the passphrase of a key file, until ctx or the program is ended. The
// words are ssh's: programs that keep passphrases look for the file's name in them.
func (a *asker) passphrase(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(a.ended, func() { cancel(context.Cause(a.ended)) })()
	prompt := fmt.Sprintf("Enter passphrase for key '%s': ", clean(path))
	preferred, allowed := a.askpass()
	if preferred {
		return a.runAskpass(ctx, prompt)
	}
	tty, err := os.OpenFile(a.tty, os.O_RDWR, 0)
	switch {
	case err == nil:
		defer tty.Close()
		defer a.silence()()
		return readHidden(ctx, tty, prompt)
	case allowed:
		return a.runAskpass(ctx, prompt)
	}
	return nil, err
}

// runAskpass asks by SSH_ASKPASS: its answer is the first line that it prints.
func (a *asker) runAskpass(ctx context.Context, prompt string) ([]byte, error) {
	program := a.env("SSH_ASKPASS")
	if program == "" {
		program = defaultAskpass
	}
	cmd := exec.CommandContext(ctx, program, prompt)
	cmd.Stderr, cmd.WaitDelay = a.stderr, askpassDelay
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fmt.Errorf("SSH_ASKPASS %s: %w", clean(program), err)
	}
	line, _, _ := bytes.Cut(out, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	return line[:min(len(line), maxPassphrase)], nil
}

// readHidden reads a line from a terminal that does not show it. What was typed before the
// question is dropped.
func readHidden(ctx context.Context, tty *os.File, prompt string) ([]byte, error) {
	raw, err := tty.SyscallConn()
	if err != nil {
		return nil, err
	}
	var before *unix.Termios
	set := func(change func(*unix.Termios)) error {
		var err error
		cerr := raw.Control(func(fd uintptr) {
			if before == nil {
				if before, err = unix.IoctlGetTermios(int(fd), ioctlGetTermios); err != nil {
					return
				}
			}
			state := *before
			change(&state)
			err = unix.IoctlSetTermios(int(fd), ioctlFlushTermios, &state)
		})
		return errors.Join(cerr, err)
	}
	if err := set(func(s *unix.Termios) { s.Lflag &^= unix.ECHO | unix.ECHONL }); err != nil {
		return nil, fmt.Errorf("hiding what is typed: %w", err)
	}
	// The terminal is as it was afterwards, or nobody can repair it.
	defer set(func(*unix.Termios) {})
	// Where a terminal knows no deadlines, the question stands until it is answered.
	defer context.AfterFunc(ctx, func() { _ = tty.SetReadDeadline(time.Now()) })()
	if _, err := io.WriteString(tty, "\r"+prompt); err != nil {
		return nil, err
	}
	line, err := readLine(tty)
	_, _ = io.WriteString(tty, "\n") // the answer's own was not shown
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return line, err
}

// readLine reads up to the end of a line, one byte at a time: what follows is not ours.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := r.Read(b)
		switch {
		case n == 1 && (b[0] == '\n' || b[0] == '\r'):
			return line, nil
		case n == 1 && len(line) < maxPassphrase:
			line = append(line, b[0])
		case errors.Is(err, io.EOF):
			return nil, errNoAnswer
		case err != nil:
			return nil, err
		}
	}
}
