package sshx

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostileConfig asks for everything that must not happen: forwardings, commands here and there,
// terminals, masters of the user's own and life in the background. Commands leave marks in dir.
func hostileConfig(t testing.TB, dir string) (text string, ports map[string]string) {
	t.Helper()
	ports = make(map[string]string)
	for _, what := range []string{"local", "dynamic", "remote"} {
		_, ports[what], _ = net.SplitHostPort(freeAddr(t))
	}
	return fmt.Sprintf("ForwardAgent yes\nForwardX11 yes\nForwardX11Trusted yes\nLocalForward %s 127.0.0.1:1\nDynamicForward %s\nRemoteForward %s 127.0.0.1:1\n"+
		"PermitLocalCommand yes\nLocalCommand touch %[4]s/mark-%%n\nRemoteCommand touch %[4]s/mark-remote\nRequestTTY force\nControlMaster auto\nControlPersist yes\nControlPath %[4]s/own-%%n\n"+
		"ExitOnForwardFailure yes\nForkAfterAuthentication yes\nStdinNull yes\nSessionType default\nLogLevel QUIET\nTunnel yes\nProxyUseFdpass yes\n",
		ports["local"], ports["dynamic"], ports["remote"], dir), ports
}

// nothingHappened looks for what a hostile configuration asks for.
func nothingHappened(t *testing.T, conn *Conn, dir string, ports map[string]string) {
	t.Helper()
	out, _, err := output(t.Context(), conn, "echo agent=$SSH_AUTH_SOCK display=$DISPLAY; tty", "")
	if err != nil && out == "" || !strings.HasPrefix(out, "agent= display=\nnot a tty") {
		t.Errorf("%q, %v", out, err)
	}
	for what, port := range ports {
		if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			c.Close()
			t.Errorf("a %s forwarding listens", what)
		}
	}
	if left, err := filepath.Glob(dir + "/*"); err != nil || len(left) > 0 {
		t.Errorf("commands were run, or masters left: %v, %v", left, err)
	}
}

func TestNothingIsForwardedWhateverTheConfigurationSays(t *testing.T) {
	agent := realAgent(t)
	t.Setenv("DISPLAY", ":0")
	for name, options := range map[string]Options{"native": {Transport: TransportNative}, "openssh": {Transport: TransportOpenSSH}} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			hostile, ports := hostileConfig(t, dir)
			h, _ := realHost(t, "IdentityAgent none\n"+hostile, "")
			t.Setenv("SSH_AUTH_SOCK", agent)
			nothingHappened(t, h.dial(h.client(options), "node"), dir, ports)
		})
	}
}

// TestNothingHappensAtJumpHosts has a chain of jump hosts whose configuration asks for all of
// it, too. The names need quoting, by a shell in a shell.
func TestNothingHappensAtJumpHosts(t *testing.T) {
	agent := realAgent(t)
	t.Setenv("DISPLAY", ":0")
	a, b, node := startSSHD(t, ""), startSSHD(t, ""), startSSHD(t, "")
	for name, options := range map[string]Options{"native": {Transport: TransportNative}, "openssh": {Transport: TransportOpenSSH}} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			hostile, ports := hostileConfig(t, dir)
			h := realHome(t, fmt.Sprintf("IdentityAgent none\n%sHost a b node\n HostName 127.0.0.1\nHost node\n ProxyJump %[2]s@a:%s,b\n Port %s\nHost b\n Port %s\n",
				hostile, remoteUser(t), a.port, node.port, b.port), a, b, node)
			t.Setenv("SSH_AUTH_SOCK", agent)
			options.Home, options.ConfigFile = h.dir, h.path(`it's "100%h" \ $HOME`)
			if err := os.Rename(h.path("config"), options.ConfigFile); err != nil {
				t.Fatal(err)
			}
			c, err := New(options)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			conn := h.dial(c, "node")
			nothingHappened(t, conn, dir, ports)
			if out, _, err := output(t.Context(), conn, "echo $SSH_CONNECTION | cut -d' ' -f4", ""); err != nil || out != node.port+"\n" {
				t.Errorf("arrived at %q, %v", out, err)
			}
		})
	}
}

func TestJumpCommand(t *testing.T) {
	p := &program{Program: Program{Command: "/usr/bin/ssh"}, args: []string{"-F", "/a b"}}
	far := &route{target: Target{Name: "fe80::1%eth0"}, s: &settings{StrictHostKey: "no"}}
	near := &route{target: Target{User: "u", Name: "near", Port: 22}, s: new(settings), jump: far}
	got := p.jumpCommand(near, masterOptions{})
	for _, want := range []string{
		`/usr/bin/ssh -W \[%h\]:%p -F /a\ b -T -a -x -o ControlMaster=no `, ` -o PermitLocalCommand=no `, ` -l u -p 22 -- near`,
		` -o ProxyCommand=/usr/bin/ssh\ -W\ \\\[%%h\\\]:%%p\ -F\ /a\\\ b\ -T\ -a\ -x\ `, `\ StrictHostKeyChecking=accept-new\ `, `\ --\ fe80::1%%%%eth0 `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if args := p.masterArgs(&route{target: Target{Name: "node"}, s: new(settings), jump: near}, "/s", masterOptions{}); slices.Contains(args, "-J") || strings.Contains(strings.Join(args, " "), "ProxyCommand") {
		t.Errorf("a program of the user's is told of jump hosts: %q", args)
	}
}
