package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

// client logs in to a plain node of a new fleet, as the configuration says.
func client(t *testing.T, sessions int) (*Fleet, *ssh.Client) {
	t.Helper()
	f, err := Start(t.Context(), Options{Dir: t.TempDir(), Names: []string{"a"}, Bare: true, Sessions: sessions})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	pem, err := os.ReadFile(f.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	known, err := os.ReadFile(f.Known)
	if err != nil {
		t.Fatal(err)
	}
	_, _, hostKey, _, _, err := ssh.ParseKnownHosts(known)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", f.Nodes[0].Port), &ssh.ClientConfig{
		User: "troops", Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(hostKey),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return f, c
}

func output(t *testing.T, c *ssh.Client, cmd string) (string, error) {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		return "", err
	}
	defer s.Close()
	out, err := s.Output(cmd)
	return string(out), err
}

func TestExec(t *testing.T) {
	_, c := client(t, 0)
	if out, err := output(t, c, "echo $HOME; git --git-dir="+RepoPath+" rev-parse --is-bare-repository"); err != nil || filepath.Base(out[:len(out)-len("\ntrue\n")]) != "a" {
		t.Errorf("printed %q, %v", out, err)
	}
	_, err := output(t, c, "exit 7")
	var exit *ssh.ExitError
	if !errors.As(err, &exit) || exit.ExitStatus() != 7 {
		t.Errorf("exit status: %v", err)
	}
}

func TestSessionLimit(t *testing.T) {
	_, c := client(t, 1)
	first, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var refused *ssh.OpenChannelError
	if _, err := c.NewSession(); !errors.As(err, &refused) {
		t.Errorf("a second session: %v", err)
	}
	if err := first.Run("true"); err != nil {
		t.Error(err)
	}
}

func TestDropBreaksConnections(t *testing.T) {
	f, c := client(t, 0)
	f.Nodes[0].Drop()
	if err := c.Wait(); err == nil {
		t.Error("the connection ended in good order")
	}
}

func TestOtherKeysAreRefused(t *testing.T) {
	f, _ := client(t, 0)
	other, err := newKey(filepath.Join(t.TempDir(), "other"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = ssh.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", f.Nodes[0].Port), &ssh.ClientConfig{
		User: "troops", Auth: []ssh.AuthMethod{ssh.PublicKeys(other)}, HostKeyCallback: func(string, net.Addr, ssh.PublicKey) error { return nil },
	})
	if err == nil {
		t.Error("logged in with another key")
	}
}

func TestNoSuchProgram(t *testing.T) {
	_, err := Start(t.Context(), Options{Dir: t.TempDir(), Names: []string{"a"}, Binary: "/no/such/troops"})
	if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("error %v", err)
	}
}
