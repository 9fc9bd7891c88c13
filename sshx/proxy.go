package sshx

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// proxy is a ProxyCommand and our end of its socket.
type proxy struct {
	net.Conn
	cmd    *exec.Cmd
	exited chan struct{} // closed when the command and its standard error have ended
	wg     sync.WaitGroup
	closed sync.Once

	mu     sync.Mutex
	stderr []byte
	ended  string // how the command ended, where it was the one to hang up
}

// Limits of a ProxyCommand: how much of what it says is kept, in bytes, how long children of
// a killed one may hold its standard error, and how long one that has closed the connection
// may take to say why.
const (
	maxProxyStderr = 4096
	proxyWaitDelay = 2 * time.Second
	proxyLastWords = 2 * time.Second
)

// startProxy runs a ProxyCommand as ssh does, by the user's shell, with both ends of its
// standard input and output on one socket: that gives the connection working deadlines. It
// has no terminal: many of them cannot ask there at once.
func startProxy(command string) (*proxy, error) {
	syscall.ForkLock.RLock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("starting its ProxyCommand: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "proxy"), os.NewFile(uintptr(fds[1]), "proxy")
	defer ours.Close()
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("starting its ProxyCommand: %w", err)
	}
	p := &proxy{Conn: conn, cmd: exec.Command(envOr("SHELL", "/bin/sh"), "-c", "exec "+command), exited: make(chan struct{})}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs, theirs, (*proxyStderr)(p)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.cmd.WaitDelay = proxyWaitDelay
	if err := p.cmd.Start(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("starting its ProxyCommand: %w", err)
	}
	p.wg.Go(func() {
		_ = p.cmd.Wait() // ProcessState tells more
		close(p.exited)
	})
	return p, nil
}

// Read implements [net.Conn].
func (p *proxy) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if err != nil {
		p.hungUp(err)
	}
	return n, err
}

// Write implements [net.Conn].
func (p *proxy) Write(b []byte) (int, error) {
	n, err := p.Conn.Write(b)
	if err != nil {
		p.hungUp(err)
	}
	return n, err
}

// hungUp gives a command that has hung up the time to say why: who reads or writes next
// closes the connection, which kills it.
func (p *proxy) hungUp(err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	timer := time.NewTimer(proxyLastWords)
	defer timer.Stop()
	select {
	case <-p.exited:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.ended = p.cmd.ProcessState.String()
	case <-timer.C:
	}
}

// Close implements [net.Conn]: it ends the command with all its children, and waits.
func (p *proxy) Close() error {
	err := p.Conn.Close()
	p.closed.Do(func() {
		// An error means that the group is gone already.
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	})
	p.wg.Wait()
	return err
}

// failure explains a connection that ended with err before it was established.
func (p *proxy) failure(err error) *ProxyError {
	p.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	return &ProxyError{Said: strings.TrimSpace(strings.ReplaceAll(string(p.stderr), "\r\n", "\n")), Ended: p.ended, Err: err}
}

// proxyStderr keeps the beginning of a ProxyCommand's standard error.
type proxyStderr proxy

var _ io.Writer = (*proxyStderr)(nil)

// Write implements [io.Writer]. It takes all and keeps what there is room for.
func (w *proxyStderr) Write(b []byte) (int, error) {
	p := (*proxy)(w)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stderr = append(p.stderr, b[:min(len(b), maxProxyStderr-len(p.stderr))]...)
	return len(b), nil
}

// ProxyError is a connection by a ProxyCommand that ended before it was established.
type ProxyError struct {
	Said  string // the command's standard error; its own text, or a server's
	Ended string // how the command ended, such as "exit status 1"; empty where we ended it
	Err   error  // what became of the connection
}

// forbiddenHint is the way out where a jump host does not forward.
const forbiddenHint = "its jump host does not forward: set AllowTcpForwarding yes, and check PermitOpen, in the sshd_config there"

// exitedWell is [ProxyError.Ended] of a command that saw no error.
const exitedWell = "exit status 0"

// Error gives the command's last words.
func (e *ProxyError) Error() string {
	var b strings.Builder
	b.WriteString("its ProxyCommand")
	switch {
	case e.Ended != "":
		b.WriteString(" ended (" + e.Ended + ")")
	default:
		b.WriteString(" did not connect: " + printable(e.Err.Error()))
	}
	if e.Said != "" {
		b.WriteString(", it said: " + quote(e.Said))
	}
	switch {
	case e.refused():
		b.WriteString("; its jump host refuses us: try it alone by ssh, and put its key in order")
	case e.forbidden():
		b.WriteString("; " + forbiddenHint)
	case e.Said == "":
		b.WriteString("; run it by hand to see why")
	}
	return b.String()
}

// Unwrap gives what became of the connection.
func (e *ProxyError) Unwrap() error { return e.Err }

func (e *ProxyError) wholeSentence() {}

// lastLine is the end of what the command said.
func (e *ProxyError) lastLine() string {
	return e.Said[strings.LastIndexByte(e.Said, '\n')+1:]
}

// says reports whether the command said any of the words.
func (e *ProxyError) says(words ...string) bool {
	for _, w := range words {
		if strings.Contains(e.Said, w) {
			return true
		}
	}
	return false
}

// refused reports whether an ssh in the command was not let in, or did not trust the host.
func (e *ProxyError) refused() bool {
	return e.says("Permission denied (", "Host key verification failed", "Too many authentication failures", "No more authentication methods")
}

// forbidden reports whether the jump host of an ssh in the command does not forward.
func (e *ProxyError) forbidden() bool { return e.says("administratively prohibited") }

// throttled reports whether the command was turned away, or the connection that it carried
// was: an ssh in it says so, and a relay ends without a word.
func (e *ProxyError) throttled() bool {
	switch {
	case e.Ended == "" || e.refused():
		return false
	case e.Said == "":
		return e.Ended == exitedWell
	}
	return e.says(startupsText, penaltyText, "Connection closed by ", "Connection reset by ")
}

// jumpRefusal finds the refusal of a jump host that a ProxyCommand or an ssh program went
// through in a failed dial.
func jumpRefusal(err error) error {
	var pe *ProxyError
	var program *ProgramError
	switch {
	case errors.As(err, &pe) && pe.refused():
		return pe
	case errors.As(err, &program) && program.jump && program.final():
		return program
	}
	return nil
}
