package sshx

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// eachProgram runs f with options for our own connections, for ssh and for a program of git's.
func eachProgram(t *testing.T, f func(t *testing.T, h *home, options Options)) {
	for _, way := range []string{"native", "openssh", "git"} {
		t.Run(way, func(t *testing.T) {
			h := newHome(t)
			options := Options{Transport: Transport(way)}
			if way == "git" {
				options = Options{Program: &Program{Command: "ssh", Source: "GIT_SSH"}}
			}
			f(t, h, options)
		})
	}
}

// TestNamesAreNoOptionsAndNoCommands gives host names, and HostNames of the configuration, that
// a shell or ssh would take for something else.
func TestNamesAreNoOptionsAndNoCommands(t *testing.T) {
	eachProgram(t, func(t *testing.T, h *home, options Options) {
		dir := shortDir(t)
		mark := filepath.Join(dir, "mark")
		names := []string{"-oProxyCommand=touch " + mark, "-oProxyCommand=touch${IFS}" + mark, "-F/dev/null", "a;touch " + mark, "a b", " a", "`touch " + mark + "`", "$(touch " + mark + ")", "a|b", "a%h", "%p", "a\nb", "a'b"}
		for _, name := range names {
			_, err := h.client(options).Dial(t.Context(), name)
			var de *DialError
			if !errors.As(err, &de) || de.Stage != StageConfig {
				t.Errorf("%q: %v", name, err)
			}
		}
		for _, name := range []string{"-oProxyCommand=touch", "a;b", "$(touch)", "a%%b;c", "\"a b\"", "%z"} {
			h.config("Host node\n HostName " + name + "\n")
			_, err := h.client(options).Dial(t.Context(), "node")
			var de *DialError
			if !errors.As(err, &de) || de.Stage != StageConfig {
				t.Errorf("HostName %q: %v", name, err)
			}
		}
		if _, err := os.Lstat(mark); err == nil {
			t.Error("a command was run")
		}
	})
}

// TestIPv6Addresses reaches a real server by one, if this machine has any, and fails to with a
// zone that there is not.
func TestIPv6Addresses(t *testing.T) {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Logf("there is no IPv6 here: %v", err)
		return
	}
	s := startSSHD(t, "")
	s.accept(t, l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	eachProgram(t, func(t *testing.T, h *home, options Options) {
		s.authorize(t, keyText(h.key.PublicKey()))
		writeFile(t, h.path("known_hosts"), fmt.Sprintf("[::1]:%s %s\n", port, s.publicLine(t, "ed25519")))
		h.config("User " + remoteUser(t) + "\nHost short\n HostName ::1\n Port " + port + "\n")
		for _, name := range []string{"[::1]:" + port, "short"} {
			out, _, err := output(t.Context(), h.dial(h.client(options), name), "echo $SSH_CONNECTION | cut -d' ' -f3", "")
			if out != "::1\n" || err != nil {
				t.Errorf("%s: %q, %v", name, out, err)
			}
		}
		for _, name := range []string{"fe80::1%nosuch0", "[fe80::1%nosuch0]:" + port} {
			_, err := h.client(options).Dial(t.Context(), name)
			var de *DialError
			if !errors.As(err, &de) || de.Stage != StageResolve && de.Stage != StageConnect {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
