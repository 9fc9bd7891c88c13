package nodeside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

const (
	// BlockedTimeout is how long a pusher may leave its output unread before the hook
	// leaves it: a suspended laptop does not keep the node's processes.
	BlockedTimeout = 60 * time.Second
	// goneInterval is how often a write that is blocked looks whether the pusher is gone.
	goneInterval = time.Second
)

var errGone = errors.New("the connection is lost")

// client is the pusher's terminal, as the hook sees it: a pipe to git-receive-pack, which
// nobody reads any more once the pusher is gone, while no signal and no error tells
// (measured). So writes have a deadline, and the processes above the hook are watched.
type client struct {
	out     io.Writer
	pipe    *os.File // out, where it has deadlines; owned
	gone    func() bool
	midLine bool // the last byte written was no line feed
	lost    bool // nothing is written any more

	patience, slice time.Duration // BlockedTimeout, goneInterval
}

// newClient returns the client behind the hook's standard error.
func newClient(stderr io.Writer) (*client, error) {
	c := &client{out: stderr, gone: parents().changed, patience: BlockedTimeout, slice: goneInterval}
	f, ok := stderr.(*os.File)
	if !ok {
		return c, nil
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("nodeside: opening standard error: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("nodeside: opening standard error: %w", err)
	}
	pipe := os.NewFile(uintptr(fd), "stderr")
	if pipe.SetWriteDeadline(time.Time{}) != nil { // a plain file: writes do not block
		return c, pipe.Close()
	}
	c.out, c.pipe = pipe, pipe
	return c, nil
}

// Close ends the use of standard error.
func (c *client) Close() error {
	if c.pipe == nil {
		return nil
	}
	return c.pipe.Close()
}

// note writes a line by troops. That the client is gone, the next step finds out.
func (c *client) note(format string, args ...any) {
	_ = c.line(fmt.Sprintf(format, args...))
}

func (c *client) line(text string) error {
	line := fmt.Appendf(nil, "troops: %s\n", plain(text, 1000))
	if c.midLine {
		line = append([]byte{'\n'}, line...)
	}
	return c.write(line)
}

// write writes b, or finds that the client is gone.
func (c *client) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	c.midLine = b[len(b)-1] != '\n'
	if c.pipe == nil {
		_, err := c.out.Write(b)
		return err
	}
	since := time.Now()
	for len(b) > 0 {
		if c.lost {
			return errGone
		}
		if err := c.pipe.SetWriteDeadline(time.Now().Add(c.slice)); err != nil {
			return err
		}
		n, err := c.pipe.Write(b)
		if b = b[n:]; n > 0 {
			since = time.Now()
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if err == nil {
			continue
		}
		if err := c.Idle(); err != nil {
			return err
		}
		if time.Since(since) > c.patience {
			c.lost = true
			return fmt.Errorf("its output was not read for %v", c.patience)
		}
	}
	return nil
}

// follow shows run id until it ends.
func (c *client) follow(ctx context.Context, l Layout, id string) (wire.Result, error) {
	if err := c.line("run " + id); err != nil {
		return wire.Result{}, err
	}
	r, err := runlog.Follow(ctx, l.Runs(), id, 0, c)
	if err != nil {
		return r, err
	}
	c.note("%s", summary(r))
	return r, nil
}

// summary is a run's end in one line.
func summary(r wire.Result) string {
	reason := failure(r)
	switch {
	case reason != "":
		if r.Error != "" && !bytes.Contains([]byte(reason), []byte(r.Error)) {
			reason += ": " + r.Error
		}
		return reason
	case r.State == wire.Current:
		return short(r.Commit) + " was deployed already"
	}
	return short(r.Commit) + " deployed"
}

var _ runlog.Sink = (*client)(nil)

// Frames implements [runlog.Sink]: output as it is, troops' own lines marked.
func (c *client) Frames(b []byte) error {
	frames := wire.NewReader(bytes.NewReader(b))
	for {
		f, err := frames.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch f.Kind {
		case wire.Stdout, wire.Stderr:
			err = c.write(f.Payload)
		case wire.Note, wire.Aside:
			err = c.line(string(f.Payload))
		case wire.Phase:
			err = c.line("phase " + string(f.Payload))
		}
		if err != nil {
			return err
		}
	}
}

// Idle implements [runlog.Sink].
func (c *client) Idle() error {
	if c.gone() {
		c.lost = true
		return errGone
	}
	return nil
}
