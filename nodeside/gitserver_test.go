package nodeside

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// gitServer is an ssh server that runs the one command of each session, for one key.
type gitServer struct {
	t    *testing.T
	addr string

	mu        sync.Mutex
	host      ssh.Signer
	key       []byte // who may log in
	passwords bool   // keys count for nothing
}

func newGitServer(t *testing.T, authorized string) *gitServer {
	t.Helper()
	line, err := os.ReadFile(authorized)
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &gitServer{t: t, addr: ln.Addr().String(), key: key.Marshal()}
	s.rekey()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return s
}

// rekey gives the server another host key.
func (s *gitServer) rekey() {
	s.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host = signer
}

// forget takes the right to log in away.
func (s *gitServer) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = nil
}

// onlyPasswords has the server take passwords, and nothing else.
func (s *gitServer) onlyPasswords() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passwords = true
}

func (s *gitServer) serve(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	key := s.key
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
		if key == nil || !bytes.Equal(offered.Marshal(), key) {
			return nil, os.ErrPermission
		}
		return nil, nil
	}}
	if s.passwords {
		config = &ssh.ServerConfig{
			PasswordCallback: func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
				s.t.Errorf("somebody gave the password %q", password)
				return nil, os.ErrPermission
			},
			KeyboardInteractiveCallback: func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
				answers, err := ask("", "", []string{"Password: "}, []bool{false})
				s.t.Errorf("somebody was asked: %q, %v", answers, err)
				return nil, os.ErrPermission
			},
		}
	}
	config.AddHostKey(s.host)
	s.mu.Unlock()
	sc, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer sc.Close()
	go ssh.DiscardRequests(requests)
	for nc := range channels {
		ch, requests, err := nc.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			var exe struct{ Command string }
			ok := r.Type == "exec" && ssh.Unmarshal(r.Payload, &exe) == nil && strings.HasPrefix(exe.Command, "git-upload-pack ")
			r.Reply(ok || r.Type == "env", nil)
			if ok {
				s.execute(ch, exe.Command)
				break
			}
		}
		ch.Close()
		go ssh.DiscardRequests(requests)
	}
}

func (s *gitServer) execute(ch ssh.Channel, command string) {
	cmd := exec.Command("sh", "-c", command)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		s.t.Error(err)
		return
	}
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	go func() {
		io.Copy(stdin, ch)
		stdin.Close()
	}()
	status := struct{ Code uint32 }{}
	if err := cmd.Run(); err != nil {
		status.Code = 1
	}
	ch.SendRequest("exit-status", false, ssh.Marshal(status))
}
