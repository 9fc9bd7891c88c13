package bootstrap

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"troops/sshx"
)

// hangingHost is a host that starts every command, and then neither reads nor says anything.
func hangingHost(t *testing.T) *sshx.Conn {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, chans, reqs, err := ssh.NewServerConn(conn, config)
		if err != nil {
			return
		}
		go ssh.DiscardRequests(reqs)
		for c := range chans {
			_, reqs, err := c.Accept()
			if err != nil {
				return
			}
			go func() {
				for r := range reqs {
					_ = r.Reply(r.Type == "exec", nil)
				}
			}()
		}
	}()
	file := filepath.Join(t.TempDir(), "config")
	text := "Host *\n\tHostName 127.0.0.1\n\tPort " + strconv.Itoa(l.Addr().(*net.TCPAddr).Port) +
		"\n\tUser tester\n\tIdentityAgent none\n\tStrictHostKeyChecking no\n\tUserKnownHostsFile /dev/null\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := sshx.New(sshx.Options{ConfigFile: file, Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := client.Dial(t.Context(), "host")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		client.Close()
		l.Close()
		<-served
	})
	return conn
}

// A host that hangs is left in the end, whether it takes no input or does not end.
func TestRunLeavesWhatHangs(t *testing.T) {
	for name, input := range map[string][]byte{
		"takes no input": make([]byte, 8<<20), // above the window of a channel
		"does not end":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			s := &shell{host: "host", conn: hangingHost(t)}
			_, err := s.run(t.Context(), 100*time.Millisecond, "true", bytes.NewReader(input))
			if err == nil || !strings.Contains(err.Error(), "did not answer within 100ms") {
				t.Error(err)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		interrupted := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &shell{host: "host", conn: hangingHost(t)}
		time.AfterFunc(50*time.Millisecond, func() { cancel(interrupted) })
		if _, err := s.run(ctx, time.Hour, "true", bytes.NewReader(make([]byte, 8<<20))); !errors.Is(err, interrupted) {
			t.Error(err)
		}
	})
}

// All of it is left, too, and those that have not begun are not begun.
func TestAllEndsWithItsContext(t *testing.T) {
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	conn := hangingHost(t)
	dialled := 0
	o := Options{Parallel: 1, Programs: NewPrograms("", ""), Dial: func(context.Context, string) (*sshx.Conn, error) {
		dialled++
		time.AfterFunc(50*time.Millisecond, func() { cancel(interrupted) })
		return conn, nil
	}}
	results := 0
	All(ctx, []string{"one", "two", "three"}, o, func(r Result) {
		results++
		if !errors.Is(r.Err, interrupted) || !r.Same() {
			t.Errorf("%+v", r)
		}
	})
	if results != 3 || dialled != 1 {
		t.Errorf("%d results, %d dialled", results, dialled)
	}
}

// Scripts run as root have their variables as words, whatever is in them.
func TestRootsShell(t *testing.T) {
	s := &shell{host: "host", conn: hangingHost(t)}
	if got := s.root(); got != "sudo -n "+cleanShell {
		t.Errorf("as tester: %q", got)
	}
}
