package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"troops/output"
)

// console is the terminal of whoever started the command, where something is asked.
type console struct {
	out      io.Writer
	readLine func(context.Context) (string, error) // io.EOF for an end of input
	forget   func()                                // what was typed already
}

// openConsole gives the terminal, or nil where nobody is there to answer: standard input is no
// terminal, or there is none that belongs to the process. Close it with release.
func openConsole(stdin io.Reader) (c *console, release func()) {
	if !output.IsTerminal(stdin) {
		return nil, func() {}
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, func() {}
	}
	fd := int(tty.Fd())
	return &console{
		out:      tty,
		readLine: func(ctx context.Context) (string, error) { return readTTYLine(ctx, fd) },
		forget:   func() { drainTTY(fd) },
	}, func() { tty.Close() }
}

// show prints text line by line. Nothing in it can steer the terminal.
func (c *console) show(text string) {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = clean(lines[i])
	}
	io.WriteString(c.out, strings.Join(lines, "\n")) // a terminal that is gone cannot answer either
}

// confirm shows a question and waits until the answer is yes or no. As with ssh, nothing and
// an end of input are no, and what was typed before the question is no answer.
func (c *console) confirm(ctx context.Context, question string) (bool, error) {
	c.forget()
	c.show(question + " [yes/no] ")
	for {
		line, err := c.readLine(ctx)
		if err != nil {
			c.show("\n")
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "yes":
			return true, nil
		case "no", "":
			return false, nil
		}
		c.show("Please type yes or no: ")
	}
}

// maxAnswer is how long a line of an answer may be; terminals give 4096 bytes at most.
const maxAnswer = 4096

// readTTYLine reads a line from a terminal, or until ctx ends: a read alone could not be ended.
func readTTYLine(ctx context.Context, fd int) (string, error) {
	ended, end, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("waiting for an answer: %w", err)
	}
	defer ended.Close()
	stop := context.AfterFunc(ctx, func() { end.Close() })
	defer func() {
		if stop() {
			end.Close()
		}
	}()
	for {
		ready, err := readable(nil, int(ended.Fd()), fd)
		switch {
		case err != nil:
			return "", fmt.Errorf("waiting for an answer: %w", err)
		case ready[0]:
			return "", context.Cause(ctx)
		}
		line := make([]byte, maxAnswer)
		switch n, err := unix.Read(fd, line); {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil:
			return "", fmt.Errorf("reading the answer: %w", err)
		case n == 0:
			return "", io.EOF
		default:
			return string(line[:n]), nil
		}
	}
}

// drainTTY throws away the lines that were typed already.
func drainTTY(fd int) {
	for {
		ready, err := readable(new(unix.Timeval), fd)
		if err != nil || !ready[0] {
			return
		}
		if n, err := unix.Read(fd, make([]byte, maxAnswer)); err != nil || n == 0 {
			return
		}
	}
}

// readable waits until there is something to read, for ever or for as long as limit says. It
// is by select: macOS knows no poll for terminals.
func readable(limit *unix.Timeval, fds ...int) ([]bool, error) {
	for {
		var set unix.FdSet
		most := 0
		for _, fd := range fds {
			if fd >= unix.FD_SETSIZE {
				return nil, errors.New("too many open files")
			}
			set.Set(fd)
			most = max(most, fd)
		}
		_, err := unix.Select(most+1, &set, nil, nil, limit)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		ready := make([]bool, len(fds))
		for i, fd := range fds {
			ready[i] = set.IsSet(fd)
		}
		return ready, err
	}
}
