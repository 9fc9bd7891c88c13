package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// realAgent starts ssh-agent, without keys, and gives its socket.
func realAgent(t testing.TB) string {
	t.Helper()
	sock := filepath.Join(shortDir(t), "agent")
	cmd := exec.Command(needs(t, "ssh-agent"), "-D", "-a", sock)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if _, err := out.Read(make([]byte, 64)); err != nil { // it prints its variables once it listens
		t.Fatal(err)
	}
	return sock
}

// addKey gives a key file to the agent at SSH_AUTH_SOCK.
func addKey(t testing.TB, args ...string) {
	t.Helper()
	cmd := exec.Command(needs(t, "ssh-add"), args...)
	cmd.Env = os.Environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, out)
	}
}

// wrapper writes a script that can stand for ssh.
func wrapper(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(shortDir(t), "my wrapper")
	writeFile(t, path, "#!/bin/sh\n"+text)
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// gitHost is a host that is reached only with the key and the known_hosts of options that the
// configuration of the home does not have.
func gitHost(t testing.TB) (h *home, options string) {
	t.Helper()
	h, s := realHost(t, "", "")
	if err := os.Rename(h.path("id"), h.path("deploy key")); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("Host node\n HostName 127.0.0.1\n Port %s\n UserKnownHostsFile %s\n GlobalKnownHostsFile none\n IdentitiesOnly yes\n", s.port, h.path("known_hosts"))
	writeFile(t, h.path("git config"), text)
	h.config("UserKnownHostsFile none\n")
	return h, fmt.Sprintf("-F '%s' -i '%s'", h.path("git config"), h.path("deploy key"))
}

func TestProgramsOfGit(t *testing.T) {
	h, options := gitHost(t)
	// Programs that have no idea of options: git takes them for "simple".
	log := filepath.Join(h.dir, "log")
	simple := wrapper(t, fmt.Sprintf("case $1 in -*) exit 64;; esac\necho \"$#:$1:$2\" >>'%s'\nhost=$1; shift\nexec ssh %s -oBatchMode=yes -- \"$host\" \"$@\"\n", log, options))
	openssh := wrapper(t, fmt.Sprintf("exec ssh %s \"$@\"\n", options))
	for name, tt := range map[string]struct {
		program Program
		want    string
	}{
		"GIT_SSH_COMMAND":          {Program{Command: "ssh " + options, Shell: true, Source: "GIT_SSH_COMMAND"}, "the program of GIT_SSH_COMMAND"},
		"with a variable":          {Program{Command: "LC_X=1 ssh " + options, Shell: true, Source: "core.sshCommand"}, "the program of core.sshCommand"},
		"GIT_SSH, like OpenSSH":    {Program{Command: openssh, Source: "GIT_SSH"}, "the program of GIT_SSH"},
		"GIT_SSH, simple":          {Program{Command: simple, Source: "GIT_SSH"}, "the program of GIT_SSH, a process for each command"},
		"command, simple":          {Program{Command: "'" + simple + "'", Shell: true, Source: "GIT_SSH_COMMAND"}, "the program of GIT_SSH_COMMAND, a process for each command"},
		"like OpenSSH, but simple": {Program{Command: wrapper(t, "exec ssh "+options+" -oBatchMode=yes \"$@\"\n"), Variant: "simple", Source: "GIT_SSH"}, "the program of GIT_SSH, a process for each command"},
		"in the background": {Program{Command: "ssh -oControlMaster=auto -oControlPath=" + h.dir + "/cm -oControlPersist=yes " + options, Shell: true, Source: "GIT_SSH_COMMAND"},
			"the program of GIT_SSH_COMMAND"},
	} {
		t.Run(name, func(t *testing.T) {
			// The machine's ssh reads the home directory of the password database: not that one.
			opts := Options{Program: &tt.program, Home: h.dir}
			c, err := New(opts)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conn := h.dial(c, "node")
			if conn.Transport() != tt.want {
				t.Errorf("by %q", conn.Transport())
			}
			out, errs, err := output(t.Context(), conn, "cat; echo '$x' \"it's\" >&2; exit 7", "hello\n")
			var exit *ExitError
			if out != "hello\n" || errs != "$x it's\n" || !errors.As(err, &exit) || exit.Status != 7 {
				t.Errorf("%q, %q, %v", out, errs, err)
			}
			carryMuch(t, conn)
			var wg sync.WaitGroup
			for i := range 5 {
				wg.Go(func() {
					if out, _, err := output(t.Context(), conn, fmt.Sprint("echo ", i), ""); err != nil || out != fmt.Sprintln(i) {
						t.Errorf("%q, %v", out, err)
					}
				})
			}
			wg.Wait()
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if pids := mastersOf(t, c); c.other.sockets.path != "" && len(pids) > 0 {
				t.Errorf("processes are left: %v", pids)
			}
		})
	}
	if b := string(readFile(t, log)); !strings.Contains(b, "2:node:cat; echo '$x'") {
		t.Errorf("the simple program got %s", b)
	}
}

// gitClient is a Client with a program of git's, and without a configuration file of its own,
// which not every program takes.
func gitClient(t testing.TB, h *home, p Program) *Client {
	t.Helper()
	c, err := New(Options{Program: &p, Home: h.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestSimpleProgramThatFails(t *testing.T) {
	h, _ := realHost(t, "", "")
	connect := func(text, host string) (*Conn, error) {
		t.Helper()
		return gitClient(t, h, Program{Command: wrapper(t, text), Variant: "simple", Source: "GIT_SSH"}).Dial(t.Context(), host)
	}
	conn, err := connect("echo 'u@node: Permission denied (publickey).' >&2; exit 255", "node")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, errs, err := output(t.Context(), conn, "true", "")
	var lost *LostError
	var auth *AuthError
	if !errors.As(err, &lost) || !errors.As(err, &auth) || !strings.Contains(err.Error(), "Permission denied") || !strings.Contains(errs, "Permission denied") {
		t.Errorf("status 255: %q, %v", errs, err)
	}
	if _, err := conn.Exec(t.Context(), "true"); !errors.As(err, &lost) {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := connect("", "node:2222"); err == nil || !strings.Contains(err.Error(), "takes no port") {
		t.Errorf("port: %v", err)
	}
	c := h.client(Options{Program: &Program{Command: "ssh", Variant: "simple", Source: "GIT_SSH"}})
	if e := dialError(t, c, "node", StageConfig); !strings.Contains(e.Error(), "takes no ssh configuration file") {
		t.Errorf("-F: %v", e)
	}
	c = h.client(Options{Program: &Program{Command: "/no/such program", Source: "GIT_SSH"}})
	if e := dialError(t, c, "node", StageConfig); !strings.Contains(e.Error(), "no such file") {
		t.Errorf("missing: %v", e)
	}
	c = h.client(Options{Program: &Program{Command: "/no/such-program -x", Shell: true, Source: "GIT_SSH_COMMAND"}})
	if e := dialError(t, c, "node", StageConfig); !strings.Contains(e.Error(), "not found") {
		t.Errorf("missing in a shell: %v", e)
	}
}

func TestSimpleProgramIsCancelled(t *testing.T) {
	h, _ := realHost(t, "", "")
	c := gitClient(t, h, Program{Command: wrapper(t, "trap '' TERM; echo begun; cat >/dev/null; while :; do sleep 1; done"), Variant: "simple", Source: "GIT_SSH"})
	conn := h.dial(c, "node")
	ctx, cancel := context.WithCancel(t.Context())
	p, err := conn.Exec(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(p.Stdout(), make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := p.Wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "y"); err != nil {
		t.Errorf("another command: %v", err)
	}
	if err := conn.Close(); err != nil { // waits for both, which have to be killed
		t.Error(err)
	}
	if !c.other.programs.TryAcquire(MaxPrograms) {
		t.Error("a turn was not given back")
	}
}

func TestVariants(t *testing.T) {
	for _, tt := range []struct {
		p    Program
		want string
	}{
		{Program{Command: "ssh"}, "ssh"}, {Program{Command: "/opt/x/ssh"}, "ssh"}, {Program{Command: "SSH.EXE"}, "ssh"}, {Program{Command: "/x/plink"}, "plink"},
		{Program{Command: "tortoiseplink.exe"}, "tortoiseplink"}, {Program{Command: "corp-ssh"}, "auto"}, {Program{Command: "ssh -i x"}, "auto"},
		{Program{Command: " '/a b/ssh' -i x", Shell: true}, "ssh"}, {Program{Command: "X=1 ssh", Shell: true}, "auto"}, {Program{Command: "'ssh", Shell: true}, "auto"},
		{Program{Command: "ssh", Variant: "auto"}, "ssh"}, {Program{Command: "x", Variant: "auto"}, "auto"}, {Program{Command: "x", Variant: "putty"}, "putty"}, {Program{Command: "x", Variant: "ssh"}, "ssh"}, {Program{Command: "x", Variant: "odd"}, "ssh"},
	} {
		if got := declaredVariant(tt.p); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.p, got, tt.want)
		}
	}
	p, target := &program{}, Target{User: "bob", Name: "web", Port: 22}
	for variant, want := range map[string]string{"plink": "-P 22 bob@web x y", "putty": "-P 22 bob@web x y", "tortoiseplink": "-batch -P 22 bob@web x y"} {
		if args, err := p.commandArgs(variant, target, "x y"); err != nil || strings.Join(args, " ") != want {
			t.Errorf("%s: %q, %v", variant, args, err)
		}
	}
	for said, want := range map[string]bool{"OpenSSH_8.0p1, OpenSSL 1.1.1k": true, "OpenSSH_8.7p1": false, "OpenSSH_9.2p1 Debian-2": false, "OpenSSH_10.0": false, "OpenSSH_7.9": true, "dropbear": false, "": false} {
		if olderThan(said, 8, 7) != want {
			t.Errorf("%q: %v", said, !want)
		}
	}
}

func TestAskingNeedsAProgramForIt(t *testing.T) {
	for _, tt := range []struct {
		env  string
		want bool
	}{
		{"", false}, {"DISPLAY=:0", false}, {"SSH_ASKPASS=x", false}, {"SSH_ASKPASS=x DISPLAY=:0", true}, {"SSH_ASKPASS=x WAYLAND_DISPLAY=w", true},
		{"SSH_ASKPASS=x SSH_ASKPASS_REQUIRE=force", true}, {"SSH_ASKPASS=x DISPLAY=:0 SSH_ASKPASS_REQUIRE=never", false},
	} {
		env := func(name string) string {
			for _, kv := range strings.Fields(tt.env) {
				if k, v, _ := strings.Cut(kv, "="); k == name {
					return v
				}
			}
			return ""
		}
		if canAsk(env) != tt.want {
			t.Errorf("%q: %v", tt.env, !tt.want)
		}
	}
}

func TestChoiceOfTransport(t *testing.T) {
	git := &Program{Command: "ssh", Shell: true, Source: "GIT_SSH_COMMAND"}
	h, s := realHost(t, "", "")
	git.Command = "ssh -F " + h.path("config")
	khc := fmt.Sprintf("UserKnownHostsFile none\nKnownHostsCommand /bin/echo [127.0.0.1]:%s %s\n", s.port, s.publicLine(t, "ed25519"))
	for _, tt := range []struct {
		config  string
		options Options
		want    string
	}{
		{"", Options{}, "native"},
		{"", Options{Transport: TransportNative, Program: git}, "native"},
		{"", Options{Program: git}, "the program of GIT_SSH_COMMAND"},
		{"", Options{Transport: TransportOpenSSH, Program: git}, "the program of GIT_SSH_COMMAND"},
		{"", Options{Transport: TransportOpenSSH}, "ssh, for the transport openssh"},
		{khc, Options{}, "ssh, for KnownHostsCommand"},
		{"HostbasedAuthentication yes\n", Options{}, "ssh, for HostbasedAuthentication"},
		{"PKCS11Provider /no/such\n", Options{}, "ssh, for PKCS11Provider"},
		{"PKCS11Provider none\nHostbasedAuthentication no\n", Options{}, "native"},
		{"MACs umac-64@openssh.com\nCiphers aes128-ctr\n", Options{}, `ssh, for macs: none of "umac-64@openssh.com" is supported here`},
		{"BindInterface lo\n", Options{}, "ssh, for BindInterface"},
	} {
		h.config(fmt.Sprintf("%sHost node\n HostName 127.0.0.1\n Port %s\n User %s\n", tt.config, s.port, remoteUser(t)))
		conn, err := h.client(tt.options).Dial(t.Context(), "node")
		if err != nil {
			t.Errorf("%q: %v", tt.config, err)
			continue
		}
		defer conn.Close()
		if conn.Transport() != tt.want {
			t.Errorf("%q: by %q", tt.config, conn.Transport())
		}
		if out, _, err := output(t.Context(), conn, "echo in", ""); err != nil || out != "in\n" {
			t.Errorf("%q: %q, %v", tt.config, out, err)
		}
	}
	h.config(khc)
	if e := dialError(t, h.client(Options{Transport: TransportNative}), "node", StageConfig); !strings.Contains(e.Error(), "KnownHostsCommand") {
		t.Errorf("native where ssh is needed: %v", e)
	}
	t.Setenv("PATH", t.TempDir())
	if e := dialError(t, h.client(Options{}), "node", StageConfig); !strings.Contains(e.Error(), "KnownHostsCommand") || !strings.Contains(e.Error(), "openssh-client") {
		t.Errorf("without ssh: %v", e)
	}
}

func remoteUser(t testing.TB) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

func TestParseTransport(t *testing.T) {
	for in, want := range map[string]Transport{"": TransportAuto, "auto": TransportAuto, "native": TransportNative, "openssh": TransportOpenSSH} {
		if got, err := ParseTransport(in); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	if _, err := ParseTransport("plink"); err == nil {
		t.Error("plink is no transport")
	}
}

// TestDestinationConstrainedKey has a key in a real agent that signs only for whoever shows
// the agent which host it talks to, as ssh does.
func TestDestinationConstrainedKey(t *testing.T) {
	h, s := realHost(t, "IdentitiesOnly no\n", "")
	other := startSSHD(t, "")
	other.authorize(t, keyText(h.key.PublicKey()))
	known := string(readFile(t, h.path("known_hosts"))) + fmt.Sprintf("[127.0.0.1]:%s %s\n", other.port, other.publicLine(t, "ed25519"))
	writeFile(t, h.path("known_hosts"), known)
	t.Setenv("SSH_AUTH_SOCK", realAgent(t))
	addKey(t, "-q", "-H", h.path("known_hosts"), "-h", fmt.Sprintf("[127.0.0.1]:%s", s.port), h.path("id"))
	if err := os.Remove(h.path("id")); err != nil {
		t.Fatal(err)
	}
	c := h.client(Options{})
	for range 2 {
		conn := h.dial(c, "node")
		if want := "ssh, for a key of the agent that signs for ssh only"; conn.Transport() != want {
			t.Errorf("by %q", conn.Transport())
		}
		if out, _, err := output(t.Context(), conn, "echo in", ""); err != nil || out != "in\n" {
			t.Errorf("%q, %v", out, err)
		}
	}
	if len(c.other.groups) != 1 {
		t.Errorf("remembered: %v", c.other.groups)
	}
	// The key is not for that one: neither gets in, and the error has both.
	_, err := h.client(Options{}).Dial(t.Context(), other.addr)
	var auth *AuthError
	var pe *ProgramError
	if !errors.As(err, &auth) || !errors.As(err, &pe) || !isFinal(err) {
		t.Errorf("a host that the key is not for: %v", err)
	}
}

func TestGSSAPIIsLeftToSSH(t *testing.T) {
	h, s := newHome(t), &server{onExec: echo, accepts: func(string, ssh.PublicKey) bool { return false }, gssapi: true}
	s.start(t)
	h.knows(s)
	for _, tt := range []struct {
		config string
		ticket bool
		want   bool
	}{{"GSSAPIAuthentication yes\n", true, true}, {"GSSAPIAuthentication yes\n", false, false}, {"", true, false}} {
		h.config(tt.config)
		c := h.client(Options{})
		c.other.ticket = func() bool { return tt.ticket }
		_, err := c.Dial(t.Context(), s.addr)
		var pe *ProgramError
		if got := errors.As(err, &pe); got != tt.want || got && pe.Why != "GSSAPIAuthentication" {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	s = (&server{accepts: s.accepts}).start(t)
	h.knows(s)
	h.config("GSSAPIAuthentication yes\n")
	c := h.client(Options{})
	c.other.ticket = func() bool { return true }
	var pe *ProgramError
	if _, err := c.Dial(t.Context(), s.addr); errors.As(err, &pe) {
		t.Errorf("a server that does not offer it: %v", err)
	}
}

func TestTickets(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	writeFile(t, cache, "x")
	for name, want := range map[string]bool{cache: true, "FILE:" + cache: true, "KCM:0": true, "FILE:/no/such": false, "/no/such": false} {
		t.Setenv("KRB5CCNAME", name)
		if hasTicket() != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// TestJumpHostsOverMasters has each hop choose for itself.
func TestJumpHostsOverMasters(t *testing.T) {
	first, second, node := startSSHD(t, ""), startSSHD(t, "MaxSessions 0\n"), startSSHD(t, "")
	sock := filepath.Join(shortDir(t), "cm")
	h := realHome(t, fmt.Sprintf("Host first\n HostName 127.0.0.1\n Port %s\n HostbasedAuthentication yes\nHost second\n HostName 127.0.0.1\n Port %s\n ControlPath %s\n"+
		"Host behind-first\n HostName 127.0.0.1\n Port %[4]s\n ProxyJump first\nHost behind-second\n HostName 127.0.0.1\n Port %[4]s\n ProxyJump second\n"+
		"Host all-ssh\n HostName 127.0.0.1\n Port %[4]s\n ProxyJump first\n HostbasedAuthentication yes\n", first.port, second.port, sock, node.port), first, second, node)
	ownMaster(t, h, sock, "second")
	// ssh runs itself for jumps, and reads the configuration given to it by -F.
	c := h.client(Options{})
	for host, want := range map[string]string{"behind-first": "native", "behind-second": "native", "all-ssh": "ssh, for HostbasedAuthentication"} {
		conn := h.dial(c, host)
		if conn.Transport() != want {
			t.Errorf("%s by %q", host, conn.Transport())
		}
		if out, _, err := output(t.Context(), conn, "echo $SSH_CONNECTION | cut -d' ' -f4", ""); err != nil || out != node.port+"\n" {
			t.Errorf("%s: %q, %v", host, out, err)
		}
	}
	var jumps []string
	for _, conns := range c.jumps.conns {
		for _, s := range conns {
			jumps = append(jumps, s.conn.Transport())
		}
	}
	slices.Sort(jumps)
	if want := []string{"ssh, for HostbasedAuthentication", "the ControlMaster at " + sock}; !slices.Equal(jumps, want) {
		t.Errorf("jump hosts by %q", jumps)
	}
}
