package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// hangupDelay is how long a command may go on after its client has gone before its
// process group is killed.
const hangupDelay = 5 * time.Second

// server is a small SSH server for one node: public key authentication of one key, and
// `exec` by /bin/sh. What a run on the node starts in a session of its own outlives it,
// as it outlives a real sshd's.
type server struct {
	config   *ssh.ServerConfig
	env      []string // of every command
	dir      string   // working directory of every command
	sessions int      // most sessions at once on a connection; 0 is no limit (sshd's MaxSessions)

	ln    net.Listener
	mu    sync.Mutex // guards conns
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// listen starts serving on a free loopback port. Close ends it.
func (s *server) listen(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("sandbox: listening on loopback: %w", err)
	}
	s.ln, s.conns = ln, make(map[net.Conn]struct{})
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if s.track(c) {
				s.wg.Go(func() { defer s.untrack(c); s.serve(c) })
			}
		}
	})
	return nil
}

func (s *server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		c.Close()
		return false
	}
	s.conns[c] = struct{}{}
	return true
}

func (s *server) untrack(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Close stops listening, drops all connections and waits for their commands.
func (s *server) Close() error {
	err := s.ln.Close()
	s.drop()
	s.mu.Lock()
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
	return err
}

// drop closes all connections, as a network that breaks does; the server goes on.
func (s *server) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

func (s *server) serve(c net.Conn) {
	conn, chans, reqs, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return // a client that did not authenticate; it has been told
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		for r := range reqs {
			if r.WantReply {
				r.Reply(false, nil) // keepalives are answered so, as sshd does
			}
		}
	})
	wg.Go(func() { conn.Wait(); cancel() })
	open := make(chan struct{}, 1<<16)
	for nc := range chans {
		if nc.ChannelType() != "session" {
			nc.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		if s.sessions > 0 && len(open) >= s.sessions {
			nc.Reject(ssh.Prohibited, "open failed") // sshd's words past MaxSessions
			continue
		}
		ch, chReqs, err := nc.Accept()
		if err != nil {
			continue
		}
		open <- struct{}{}
		wg.Go(func() { defer func() { <-open }(); s.session(ctx, ch, chReqs) })
	}
}

// session answers the requests of one channel; the first exec runs, one command a channel.
func (s *server) session(ctx context.Context, ch ssh.Channel, reqs <-chan *ssh.Request) {
	defer ch.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	started := false
	for r := range reqs {
		var cmd struct{ Line string }
		ok := r.Type == "exec" && !started && ssh.Unmarshal(r.Payload, &cmd) == nil
		if r.WantReply {
			r.Reply(ok, nil)
		}
		if ok {
			started = true
			wg.Go(func() { s.run(ctx, ch, cmd.Line); ch.Close() })
		}
	}
}

// run executes line and reports its status as RFC 4254 section 6.10 has it.
func (s *server) run(ctx context.Context, ch ssh.Channel, line string) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Like sshd without a terminal: the command is not signalled when its client goes, it
	// finds its streams closed. Only what then does not end is killed.
	cmd.Cancel = func() error { return nil }
	cmd.WaitDelay = hangupDelay
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(ch.Stderr(), "sandbox: %v\n", err)
		ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{127}))
		return
	}
	var in sync.WaitGroup
	in.Go(func() { io.Copy(stdin, ch); stdin.Close() })
	err = cmd.Wait()
	status := struct{ Status uint32 }{0}
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		status.Status = uint32(max(ee.ExitCode(), 1))
	}
	ch.SendRequest("exit-status", false, ssh.Marshal(status))
	ch.Close() // ends the copy into stdin
	in.Wait()
}
