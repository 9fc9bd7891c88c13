package sshx

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// home is a test's home directory with configuration, key and known_hosts.
type home struct {
	t   testing.TB
	dir string
	key ssh.Signer
}

// newHome makes one whose ssh configuration uses only what is in it.
func newHome(t testing.TB) *home {
	t.Helper()
	h := &home{t: t, dir: t.TempDir()}
	h.key = writeKey(t, h.path("id"), "")
	h.config("")
	t.Setenv("SSH_AUTH_SOCK", "")
	return h
}

func (h *home) path(name string) string { return filepath.Join(h.dir, name) }

// config writes the configuration file: extra goes before the defaults.
func (h *home) config(extra string) {
	writeFile(h.t, h.path("config"), extra+fmt.Sprintf(`
Host *
	User tester
	IdentityFile %s
	UserKnownHostsFile %s
	GlobalKnownHostsFile none
`, h.path("id"), h.path("known_hosts")))
}

// knows adds a server's keys to known_hosts.
func (h *home) knows(s *server) {
	h.t.Helper()
	var b bytes.Buffer
	for _, k := range s.hostKeys {
		fmt.Fprintf(&b, "[127.0.0.1]:%s %s", s.port(), ssh.MarshalAuthorizedKey(k.PublicKey()))
	}
	f, err := os.OpenFile(h.path("known_hosts"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b.Bytes()); err != nil {
		h.t.Fatal(err)
	}
}

// client makes a Client on the home's configuration, closed with the test. No test waits
// for a throttled server.
func (h *home) client(opts Options) *Client {
	h.t.Helper()
	opts.ConfigFile, opts.Home = h.path("config"), h.dir
	c, err := New(opts)
	if err != nil {
		h.t.Fatal(err)
	}
	c.backoff = func(context.Context, time.Duration) error { return nil }
	h.t.Cleanup(func() { c.Close() })
	return c
}

// dial dials and closes with the test.
func (h *home) dial(c *Client, host string) *Conn {
	h.t.Helper()
	conn, err := c.Dial(h.t.Context(), host)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	return conn
}

// output runs a command to its end.
func output(ctx context.Context, c *Conn, cmd, in string) (stdout, stderr string, err error) {
	p, err := c.Exec(ctx, cmd)
	if err != nil {
		return "", "", err
	}
	defer p.Close()
	var wg sync.WaitGroup
	var out, errs strings.Builder
	wg.Go(func() { io.Copy(&out, p.Stdout()) })
	wg.Go(func() { io.Copy(&errs, p.Stderr()) })
	io.WriteString(p.Stdin(), in)
	p.Stdin().Close()
	wg.Wait()
	return out.String(), errs.String(), p.Wait()
}

// await fails the test when an event does not come.
func await[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}
