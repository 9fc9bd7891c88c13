package sshx

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"sync"
	"testing"
)

func TestRealServer(t *testing.T) {
	s := startSSHD(t, "")
	h := realHome(t, "", s)
	c := h.dial(h.client(Options{}), s.addr)
	if !strings.HasPrefix(c.ServerVersion(), "SSH-2.0-OpenSSH") {
		t.Errorf("server version %q", c.ServerVersion())
	}
	out, errs, err := output(t.Context(), c, "cat; echo gone >&2; exit 7", "hello\n")
	var exit *ExitError
	if out != "hello\n" || errs != "gone\n" || !errors.As(err, &exit) || exit.Status != 7 {
		t.Errorf("%q, %q, %v", out, errs, err)
	}
	if _, _, err := output(t.Context(), c, "kill -TERM $$", ""); !errors.As(err, &exit) || exit.Signal != "TERM" {
		t.Errorf("signal: %v", err)
	}
	out, _, err = output(t.Context(), c, "echo agent=$SSH_AUTH_SOCK display=$DISPLAY; tty", "")
	if !strings.HasPrefix(out, "agent= display=\nnot a tty") {
		t.Errorf("forwarded or a terminal: %q, %v", out, err)
	}
}

func TestRealServerCarriesMuchBothWays(t *testing.T) {
	s := startSSHD(t, "RekeyLimit 1M\n")
	h := realHome(t, "", s)
	c := h.dial(h.client(Options{}), s.addr)
	data := bytes.Repeat([]byte("0123456789abcdef"), 8<<16) // 8 MiB: several key exchanges
	p, err := c.Exec(t.Context(), "cat; echo end >&2")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := p.Stdin().Write(data); err != nil {
			t.Error(err)
		}
		p.Stdin().Close()
	})
	wg.Go(func() { io.Copy(io.Discard, p.Stderr()) })
	sum := sha256.New()
	n, err := io.Copy(sum, p.Stdout())
	wg.Wait()
	if want := sha256.Sum256(data); err != nil || n != int64(len(data)) || !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

func TestRealServerRefusesASecondSession(t *testing.T) {
	s := startSSHD(t, "MaxSessions 1\n")
	h := realHome(t, "", s)
	c := h.dial(h.client(Options{}), s.addr)
	first, err := c.Exec(t.Context(), "cat")
	if err != nil {
		t.Fatal(err)
	}
	var ce *ChannelError
	if _, err := c.Exec(t.Context(), "true"); !errors.As(err, &ce) || ce.Op != "open" {
		t.Errorf("got %v", err)
	}
	first.Stdin().Close()
	io.Copy(io.Discard, first.Stdout())
	if err := first.Wait(); err != nil {
		t.Errorf("the first session: %v", err)
	}
}

func TestRealServerRefusesTheKey(t *testing.T) {
	s := startSSHD(t, "")
	h := realHome(t, "", s)
	s.authorize(t, keyText(newKey(t).PublicKey()))
	_, err := h.client(Options{}).Dial(t.Context(), s.addr)
	var ae *AuthError
	if !errors.As(err, &ae) || len(ae.Tried) != 1 || ae.Tried[0] != "~/id" {
		t.Errorf("got %v", err)
	}
}

func TestRealServerHangsUpAfterTooManyKeys(t *testing.T) {
	s := startSSHD(t, "MaxAuthTries 2\n")
	h := realHome(t, "", s)
	var names []string
	for i := range 4 {
		names = append(names, fmt.Sprintf("k%d", i))
		writeKey(t, h.path(names[i]), "")
	}
	u, _ := user.Current()
	h.config("User " + u.Username + "\n" + identities(h, names...))
	_, err := h.client(Options{}).Dial(t.Context(), s.addr)
	var ae *AuthError
	if !errors.As(err, &ae) || len(ae.Tried) == 0 || !strings.Contains(err.Error(), "Too many authentication failures") {
		t.Errorf("got %v", err)
	}
}

func TestRealJumpHosts(t *testing.T) {
	first, second, node := startSSHD(t, ""), startSSHD(t, ""), startSSHD(t, "")
	h := realHome(t, fmt.Sprintf("Host node\n HostName 127.0.0.1\n Port %s\n ProxyJump %s,%s\n", node.port, first.addr, second.addr), first, second, node)
	c := h.client(Options{})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			conn, err := c.Dial(t.Context(), "node")
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if out, _, err := output(t.Context(), conn, "echo $SSH_CONNECTION | cut -d' ' -f4", ""); err != nil || out != node.port+"\n" {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	wg.Wait()
	closed := startSSHD(t, "AllowTcpForwarding no\n")
	h = realHome(t, "Host node\n ProxyJump "+closed.addr+"\n", closed)
	if e := dialError(t, h.client(Options{}), "node", StageConnect); !strings.Contains(e.Error(), "AllowTcpForwarding") {
		t.Errorf("got %v", e)
	}
}

func TestRealAgentAndProxyCommand(t *testing.T) {
	s := startSSHD(t, "")
	h := realHome(t, "", s)
	sock := h.path("agent")
	cmd := exec.Command(needs(t, "ssh-agent"), "-D", "-a", sock)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	buf := make([]byte, 64)
	if _, err := out.Read(buf); err != nil { // it prints its variables once it listens
		t.Fatal(err)
	}
	t.Setenv("SSH_AUTH_SOCK", sock)
	locked := writeKey(t, h.path("locked"), "secret phrase")
	ask := h.path("ask")
	writeFile(t, ask, "#!/bin/sh\necho secret phrase\n")
	if err := os.Chmod(ask, 0o700); err != nil {
		t.Fatal(err)
	}
	add := exec.Command(needs(t, "ssh-add"), h.path("locked"))
	add.Env = append(os.Environ(), "SSH_ASKPASS="+ask, "SSH_ASKPASS_REQUIRE=force", "DISPLAY=x")
	if text, err := add.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, text)
	}
	s.authorize(t, keyText(locked.PublicKey()))
	u, _ := user.Current()
	h.config(fmt.Sprintf("User %s\nProxyCommand ssh -F %s -W %%h:%%p -p %s 127.0.0.1\n%s", u.Username, h.path("inner"), s.port, identities(h, "locked")))
	writeFile(t, h.path("inner"), fmt.Sprintf("User %s\nUserKnownHostsFile %s\n", u.Username, h.path("known_hosts")))
	if text, _, err := output(t.Context(), h.dial(h.client(Options{}), s.addr), "echo in", ""); err != nil || text != "in\n" {
		t.Errorf("%q, %v", text, err)
	}
}
