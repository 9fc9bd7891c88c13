package sshx

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// sshd is a real OpenSSH server on loopback: each connection gets an `sshd -i` of its own.
type sshd struct {
	addr, port string
	dir        string
	program    string
	config     string // file

	mu   sync.Mutex
	said bytes.Buffer // by all of them
}

// startSSHD starts one whose host key is in dir/hostkey and who takes the keys of
// dir/authorized_keys. extra is added to its configuration.
func startSSHD(t testing.TB, extra string) *sshd {
	t.Helper()
	dir := t.TempDir()
	for _, kind := range []string{"ed25519", "ecdsa"} {
		if out, err := exec.Command(needs(t, "ssh-keygen"), "-q", "-t", kind, "-N", "", "-f", filepath.Join(dir, kind)).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
	return serveSSHD(t, dir, fmt.Sprintf("%s\nHostKey %[2]s/ed25519\nHostKey %[2]s/ecdsa\n", extra, dir))
}

// serveSSHD starts one with the configuration extra, which names its host keys.
func serveSSHD(t testing.TB, dir, extra string) *sshd {
	t.Helper()
	program := needs(t, "sshd")
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // sshd's privilege separation directory
			t.Fatal(err)
		}
	}
	s := &sshd{dir: dir}
	config := filepath.Join(t.TempDir(), "sshd_config")
	// SHLVL keeps bash from reading the .bashrc of whoever runs the test.
	writeFile(t, config, fmt.Sprintf("%s\nAuthorizedKeysFile %[2]s/authorized_keys\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\nLogLevel ERROR\nPidFile none\nSetEnv SHLVL=2\n", extra, s.dir))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	_, s.port, _ = net.SplitHostPort(s.addr)
	s.program, s.config = program, config
	s.accept(t, l)
	return s
}

// listen has the server be found at another address, too.
func (s *sshd) listen(t testing.TB, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s.accept(t, l)
}

// accept serves what comes to l until the test ends.
func (s *sshd) accept(t testing.TB, l net.Listener) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File()
			c.Close()
			if err != nil {
				t.Error(err)
				return
			}
			cmd := exec.Command(s.program, "-i", "-e", "-f", s.config)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, s
			wg.Go(func() {
				defer f.Close()
				_ = cmd.Run() // its exit code says how the client left
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
		if t.Failed() {
			t.Logf("sshd said:\n%s", s.said.String())
		}
	})
}

// Write implements [io.Writer] for the standard error of all of them.
func (s *sshd) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.Write(b)
}

// authorize lets keys in.
func (s *sshd) authorize(t testing.TB, lines ...string) {
	t.Helper()
	writeFile(t, filepath.Join(s.dir, "authorized_keys"), strings.Join(lines, "\n")+"\n")
}

// publicLine is a host key as known_hosts has it.
func (s *sshd) publicLine(t testing.TB, kind string) string {
	t.Helper()
	return strings.TrimSpace(string(readFile(t, filepath.Join(s.dir, kind+".pub"))))
}

// realHome is a home directory for real servers: the remote user is who runs the test.
func realHome(t testing.TB, extra string, servers ...*sshd) *home {
	t.Helper()
	h := newHome(t)
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	h.config(extra + "Host *\n User " + u.Username + "\n")
	var known strings.Builder
	for _, s := range servers {
		fmt.Fprintf(&known, "[127.0.0.1]:%s %s\n", s.port, s.publicLine(t, "ed25519"))
		s.authorize(t, keyText(h.key.PublicKey()))
	}
	writeFile(t, h.path("known_hosts"), known.String())
	return h
}
