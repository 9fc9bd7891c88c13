package sshx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// Process is a command that runs on a host. Read Stdout and Stderr to their ends, both at
// the same time since they share a window, then Wait.
type Process struct {
	conn *Conn
	ch   ssh.Channel
	ctx  context.Context
	done chan struct{} // closed when the command's end is known, after err is set
	err  error
}

// Exec starts a command by the remote user's shell, without a terminal and without any
// environment of ours. Cancelling ctx, at any time, closes the command's channel: sshd then
// closes its standard streams. A refusal is a *ChannelError, a connection that is gone a
// *LostError; a server that does not answer is a *TimeoutError.
func (c *Conn) Exec(ctx context.Context, cmd string) (*Process, error) {
	starting, cancel := context.WithTimeoutCause(ctx, c.execTimeout,
		&TimeoutError{What: fmt.Sprintf("sshx: running a command on %s: the server did not start it", c.host), After: c.execTimeout.String()})
	defer cancel()
	p := &Process{conn: c, ctx: ctx, done: make(chan struct{})}
	var err error
	if p.ch, err = c.openChannel(starting, "session", nil, p.follow); err != nil {
		return nil, c.refused("open", err)
	}
	started := make(chan error, 1)
	if !c.start(func() { started <- p.request(cmd) }) { // waits for the answer whatever becomes of ctx
		started <- io.EOF
	}
	select {
	case err = <-started:
	case <-starting.Done():
		err = context.Cause(starting)
	}
	if err == nil && c.start(p.watch) {
		return p, nil
	}
	p.Close()
	var denied *ChannelError
	if errors.As(err, &denied) || starting.Err() != nil {
		return nil, err
	}
	if err := c.probe(starting); err != nil {
		return nil, err
	}
	return nil, &ChannelError{Host: c.host, Op: "exec", Reason: "it closed the session"}
}

// request has the server start the command.
func (p *Process) request(cmd string) error {
	ok, err := p.ch.SendRequest("exec", true, ssh.Marshal(&struct{ Command string }{cmd}))
	if err == nil && !ok {
		err = &ChannelError{Host: p.conn.host, Op: "exec", Reason: "request denied"}
	}
	return err
}

// Stdin is the command's standard input. Close ends it, and only it. Writing to a command
// that is gone is io.EOF.
func (p *Process) Stdin() io.WriteCloser { return stdin{p.ch} }

// Stdout is the command's standard output. It ends when the command closes it, or when the
// connection is lost: Wait tells which.
func (p *Process) Stdout() io.Reader { return p.ch }

// Stderr is the command's standard error, like Stdout.
func (p *Process) Stderr() io.Reader { return p.ch.Stderr() }

// Wait waits for the end of the command: nil for exit status 0, *ExitError for any other
// or a signal, *LostError where no status came. If Exec's ctx ends first, its cause is
// returned. Wait may be called more than once.
func (p *Process) Wait() error {
	select {
	case <-p.done:
		return p.err
	case <-p.ctx.Done():
	}
	select {
	case <-p.done: // both: what is known goes first
		return p.err
	default:
		return fmt.Errorf("sshx: running a command on %s: %w", p.conn.host, context.Cause(p.ctx))
	}
}

// Close closes the command's channel, whether or not it has ended. It does not wait.
func (p *Process) Close() error {
	if err := p.ch.Close(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// watch closes the channel when ctx ends before the command.
func (p *Process) watch() {
	select {
	case <-p.done:
	case <-p.ctx.Done():
		p.Close()
	}
}

// follow reads the requests of the channel up to its end, and settles how the command
// ended (RFC 4254 section 6.10).
func (p *Process) follow(reqs <-chan *ssh.Request) {
	defer close(p.done)
	var exit *ExitError
	ended := false
	for r := range reqs {
		switch r.Type {
		case "exit-status":
			if len(r.Payload) >= 4 {
				ended = true
				if status := binary.BigEndian.Uint32(r.Payload); status != 0 {
					exit = &ExitError{Status: int(status)}
				}
			}
		case "exit-signal":
			var s struct {
				Signal     string
				CoreDumped bool
				Message    string
				Language   string
			}
			if ssh.Unmarshal(r.Payload, &s) == nil {
				ended = true
				exit = &ExitError{Status: -1, Signal: printable(s.Signal), Msg: printable(s.Message)}
			}
		}
		if r.WantReply {
			// An error means that the connection is gone, which ends reqs.
			_ = r.Reply(false, nil)
		}
	}
	switch {
	case exit != nil:
		p.err = exit
	case !ended:
		if p.err = p.conn.probe(context.Background()); p.err == nil {
			p.err = &LostError{Host: p.conn.host, Err: ErrNoStatus}
		}
	}
}

// stdin is the write half of a channel.
type stdin struct{ ch ssh.Channel }

// Write implements [io.Writer].
func (s stdin) Write(b []byte) (int, error) { return s.ch.Write(b) }

// Close implements [io.Closer].
func (s stdin) Close() error {
	if err := s.ch.CloseWrite(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
