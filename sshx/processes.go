package sshx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// exitLost is the exit status of ssh where it is not the command's.
const exitLost = 255

// processes is a host that a program is run for once for each command, `PROGRAM HOST COMMAND`:
// what git does, and all that can be asked of a program that is not OpenSSH's. To the rest of
// the package it is an ssh connection whose sessions are these processes. There is no
// connection before the first command; a process that ends with 255 has lost it.
type processes struct {
	client  *Client
	r       *route
	p       *program
	variant string
	why     string
	ctx     context.Context
	cancel  context.CancelFunc
	gone    chan struct{} // closed when err is set

	mu       sync.Mutex
	err      error
	sessions map[*processSession]bool
	wg       sync.WaitGroup
}

var _ ssh.Conn = (*processes)(nil)

// dialProcesses makes a connection of processes. Closing it calls release.
func (c *Client) dialProcesses(r *route, p *program, variant, why string, release func()) (*Conn, error) {
	if _, err := p.commandArgs(variant, r.target, ""); err != nil {
		release()
		return nil, p.failed(err)
	}
	ps := &processes{client: c, r: r, p: p, variant: variant, why: why, gone: make(chan struct{}), sessions: make(map[*processSession]bool)}
	ps.ctx, ps.cancel = context.WithCancel(context.Background())
	w := newWire(&processWire{ps: ps, release: release})
	w.died = func() error { return ps.err }
	chans, reqs := make(chan ssh.NewChannel), make(chan *ssh.Request)
	close(chans) // nothing comes from there
	close(reqs)
	conn := newConn(r, w, ps, chans, reqs)
	conn.transport = p.describe(why) + ", a process for each command"
	conn.execTimeout = firstPositive(c.opts.ExecTimeout, DefaultExecTimeout)
	return conn, nil
}

// fail ends the connection.
func (ps *processes) fail(err error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.err == nil {
		ps.err = err
		close(ps.gone)
	}
}

// OpenChannel implements [ssh.Conn] for sessions.
func (ps *processes) OpenChannel(kind string, _ []byte) (ssh.Channel, <-chan *ssh.Request, error) {
	if kind != "session" {
		return nil, nil, &ssh.OpenChannelError{Reason: ssh.UnknownChannelType, Message: "only commands are possible here"}
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.err != nil {
		return nil, nil, ps.err
	}
	s := &processSession{ps: ps, reqs: make(chan *ssh.Request, 1)}
	s.ctx, s.cancel = context.WithCancel(ps.ctx)
	ps.sessions[s] = true
	return s, s.reqs, nil
}

// SendRequest implements [ssh.Conn]: it tells whether the connection still counts as one.
func (ps *processes) SendRequest(string, bool, []byte) (bool, []byte, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return false, nil, ps.err
}

// Wait implements [ssh.Conn].
func (ps *processes) Wait() error {
	<-ps.gone
	return ps.err
}

// Close implements [ssh.Conn]: it ends every process.
func (ps *processes) Close() error {
	ps.fail(ErrClosed)
	ps.cancel()
	ps.mu.Lock()
	var all []*processSession
	for s := range ps.sessions {
		all = append(all, s)
	}
	ps.mu.Unlock()
	for _, s := range all {
		s.Close()
	}
	ps.wg.Wait()
	return nil
}

// User implements [ssh.ConnMetadata].
func (ps *processes) User() string { return ps.r.s.User }

// SessionID implements [ssh.ConnMetadata]; nobody knows it here.
func (ps *processes) SessionID() []byte { return nil }

// ClientVersion implements [ssh.ConnMetadata]; nobody knows it here.
func (ps *processes) ClientVersion() []byte { return nil }

// ServerVersion implements [ssh.ConnMetadata]; nobody knows it here.
func (ps *processes) ServerVersion() []byte { return nil }

// RemoteAddr implements [ssh.ConnMetadata] with the address by the configuration read here.
func (ps *processes) RemoteAddr() net.Addr { return tunnelAddr(ps.r.serverAddr()) }

// LocalAddr implements [ssh.ConnMetadata].
func (ps *processes) LocalAddr() net.Addr { return tunnelAddr("") }

// processWire is what stands under a connection of processes: nothing but its end.
type processWire struct {
	net.Conn
	ps      *processes
	release func()
}

// Close implements [net.Conn].
func (w *processWire) Close() error {
	w.release()
	return w.ps.Close()
}

// RemoteAddr implements [net.Conn].
func (w *processWire) RemoteAddr() net.Addr { return w.ps.RemoteAddr() }

// processSession is one command: a process once it has begun.
type processSession struct {
	ps     *processes
	ctx    context.Context // until it is closed
	cancel context.CancelFunc
	reqs   chan *ssh.Request

	mu     sync.Mutex
	ended  bool // reqs is closed, or the process closes it
	stdin  *os.File
	stdout *os.File
	stderr *io.PipeReader
	leave  func() // gives the turn at the server back; may be called again
}

var _ ssh.Channel = (*processSession)(nil)

// SendRequest implements [ssh.Channel] for exec (RFC 4254 section 6.5).
func (s *processSession) SendRequest(kind string, _ bool, payload []byte) (bool, error) {
	var exec struct{ Command string }
	if kind != "exec" || ssh.Unmarshal(payload, &exec) != nil {
		return false, nil
	}
	args, err := s.ps.p.commandArgs(s.ps.variant, s.ps.r.target, exec.Command)
	if err != nil {
		return false, err
	}
	leave, err := s.ps.client.paceRoute(s.ctx, s.ps.r)
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		leave()
		return false, ErrClosed
	}
	s.leave = sync.OnceFunc(leave)
	if err := s.run(s.ps.p.command(args...)); err != nil {
		s.leave()
		s.ps.fail(s.ps.p.failed(err))
		return false, err
	}
	return true, nil
}

// run starts the process with pipes of its own. The caller holds mu.
func (s *processSession) run(cmd *exec.Cmd) error {
	in, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	defer in.Close()
	stdout, out, err := os.Pipe()
	if err != nil {
		stdin.Close()
		return err
	}
	defer out.Close()
	stderr, errs := io.Pipe()
	cmd.Stdin, cmd.Stdout = in, out
	c, err := startChild(cmd, errs)
	if err != nil {
		stdin.Close()
		stdout.Close()
		return programMissing(err)
	}
	s.stdin, s.stdout, s.stderr, s.ended = stdin, stdout, stderr, true
	s.ps.wg.Go(func() { s.follow(c, errs) })
	return nil
}

// follow waits for the end of the process and tells its status, as a server would.
func (s *processSession) follow(c *child, errs *io.PipeWriter) {
	select {
	case <-c.exited:
	case <-s.ctx.Done():
		c.stop()
	}
	errs.Close()
	s.leave()
	switch status := c.status(); {
	case c.stopped.Load():
	case status >= 0 && status != exitLost:
		s.reqs <- &ssh.Request{Type: "exit-status", Payload: binary.BigEndian.AppendUint32(nil, uint32(status))}
	default:
		pe := &ProgramError{Program: s.ps.p.name(), Why: s.ps.why, Said: c.said()}
		if pe.Err = classify(pe.Said, s.ps.r.s, false).err; pe.Err == nil {
			pe.Err = errProgramEnded
		}
		s.ps.fail(pe)
	}
	close(s.reqs)
}

// Read implements [ssh.Channel]. The first bytes show that the server has let us in.
func (s *processSession) Read(b []byte) (int, error) {
	n, err := s.stdout.Read(b)
	s.leave()
	if errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// Write implements [ssh.Channel].
func (s *processSession) Write(b []byte) (int, error) {
	n, err := s.stdin.Write(b)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, os.ErrClosed) {
		err = io.EOF
	}
	return n, err
}

// CloseWrite implements [ssh.Channel].
func (s *processSession) CloseWrite() error {
	if err := s.stdin.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Stderr implements [ssh.Channel]; writing to it is an error.
func (s *processSession) Stderr() io.ReadWriter {
	return struct {
		io.Reader
		io.Writer
	}{s.stderr, unwritable{}}
}

type unwritable struct{}

// Write implements [io.Writer].
func (unwritable) Write([]byte) (int, error) {
	return 0, fmt.Errorf("standard error of a command: %w", errors.ErrUnsupported)
}

// Close implements [ssh.Channel]. It does not wait for the process to end.
func (s *processSession) Close() error {
	s.cancel()
	s.ps.mu.Lock()
	delete(s.ps.sessions, s)
	s.ps.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended { // it never began
		s.ended = true
		close(s.reqs)
		return nil
	}
	if s.stderr != nil {
		s.stderr.Close()
		s.stdin.Close()
		s.stdout.Close()
	}
	return nil
}
