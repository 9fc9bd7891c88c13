package sshx

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// TestFailuresSayWhatToDo holds what a user reads where a connection fails: which host and
// hop, which stage, which address, what happened, what to do. ADDR and PORT are the host's,
// JUMP is the jump host's address.
func TestFailuresSayWhatToDo(t *testing.T) {
	jump := (&server{}).start(t)
	noForward := (&server{onChannel: func(n ssh.NewChannel) bool { n.Reject(ssh.Prohibited, "open failed"); return true }}).start(t)
	noJump := (&server{accepts: func(string, ssh.PublicKey) bool { return false }}).start(t)
	hangs := (&server{onConn: func(c net.Conn) bool { io.Copy(io.Discard, c); return false }}).start(t)
	web := (&server{onConn: func(c net.Conn) bool { io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n"); return false }}).start(t)
	full := (&server{onConn: func(c net.Conn) bool {
		io.WriteString(c, startupsText+"\r\n")
		io.CopyN(io.Discard, c, int64(len(clientVersion)))
		return false
	}}).start(t)
	resets := (&server{onConn: func(c net.Conn) bool {
		io.CopyN(io.Discard, c, 1)
		c.(*net.TCPConn).SetLinger(0)
		return false
	}}).start(t)
	gone := freeAddr(t)
	const limits = ": it limits new connections, see MaxStartups and PerSourcePenalties in its sshd_config"
	for _, tt := range []struct {
		name, addr, config string
		jump               *server
		opts               Options
		want               string
	}{
		{"refused", gone, "", nil, Options{}, "node (ADDR): connect: connection refused: check that sshd runs there, and Port in your ssh configuration"},
		{"unresolvable", "127.0.0.1:22", "HostName name.invalid", nil, Options{}, "node (name.invalid:22): resolve: lookup name.invalid*: no such host: check HostName in your ssh configuration"},
		{"connect timeout", hangs.addr, "", nil, Options{ConnectTimeout: 1}, "node (ADDR): connect: no answer within 1ns: check HostName in your ssh configuration, and firewalls on the way"},
		{"silent", hangs.addr, "", nil, Options{HandshakeTimeout: 30 * time.Millisecond},
			"node (ADDR): handshake: the server did not finish the handshake within 30ms: check that it is an sshd, by Port in your ssh configuration, and not overloaded"},
		{"no ssh server", web.addr, "", nil, Options{}, `node (ADDR): handshake: the server is no ssh server, or refuses us: it said "HTTP/1.1 400 Bad Request": check Port in your ssh configuration`},
		{"full", full.addr, "", nil, Options{}, `node (ADDR): handshake: the server said "Exceeded MaxStartups" (tried 6 times)` + limits},
		{"reset", resets.addr, "", nil, Options{}, "node (ADDR): handshake: the server closed the connection before its banner (tried 6 times)" + limits},
		{"reset behind a jump host", resets.addr, "ProxyJump JUMP", jump, Options{}, "node (ADDR): handshake: the server closed the connection before its banner (tried 6 times)" + limits},
		{"refused behind a jump host", gone, "ProxyJump JUMP", jump, Options{},
			`node (ADDR): connect: the jump host JUMP cannot connect to it, it said "Connection refused": check HostName and Port as the jump host sees them, and that sshd runs there`},
		{"no forwarding", gone, "ProxyJump JUMP", noForward, Options{}, "node (ADDR): connect: the jump host JUMP does not forward to it: set AllowTcpForwarding yes, and check PermitOpen, " +
			`in its sshd_config, and the options of our key in its authorized_keys (it said "open failed")`},
		{"jump host refuses", gone, "ProxyJump JUMP", noJump, Options{}, "node: proxy jump: dialling JUMP: tester@127.0.0.1 refused: the server took none of ~/id; not offered: no agent is running (SSH_AUTH_SOCK is not set); add one of these keys " +
			"to ~tester/.ssh/authorized_keys on the host, or name the right one with IdentityFile"},
		{"jump host is full", gone, "ProxyJump JUMP", full, Options{}, `node: proxy jump: dialling JUMP: handshake: the server said "Exceeded MaxStartups" (tried 6 times)` + limits},
		{"proxy fails", gone, "ProxyCommand sh -c 'echo no route to the bastion >&2; exit 3'", nil, Options{}, `node (ADDR): its ProxyCommand ended (exit status 3), it said: "no route to the bastion"`},
		{"proxy fails silently", gone, "ProxyCommand sh -c 'exit 3'", nil, Options{}, "node (ADDR): its ProxyCommand ended (exit status 3); run it by hand to see why"},
		{"proxy is missing", gone, "ProxyCommand /nowhere/nc %h %p", nil, Options{}, "node (ADDR): its ProxyCommand ended (exit status 127), it said: */nowhere/nc: not found*"},
		{"proxy meets a reset", gone, "ProxyCommand sh -c 'echo Connection reset by 10.0.0.1 port 22 >&2; exit 255'", nil, Options{}, "node (ADDR): handshake: the server closed the connection before its banner, " +
			`or its jump host did: its ProxyCommand said "Connection reset by 10.0.0.1 port 22" (tried 6 times)` + limits},
		{"proxy is refused", gone, "ProxyCommand sh -c 'echo \"u@b: Permission denied (publickey).\" >&2; exit 255'", nil, Options{},
			`node (ADDR): its ProxyCommand ended (exit status 255), it said: "u@b: Permission denied (publickey)."; its jump host refuses us: try it alone by ssh, and put its key in order`},
		{"proxy may not forward", gone, "ProxyCommand sh -c 'echo channel 0: open failed: administratively prohibited: open failed >&2; exit 255'", nil, Options{},
			`node (ADDR): its ProxyCommand ended (exit status 255), it said: "channel 0: open failed: administratively prohibited: open failed"; its jump host does not forward: ` +
				"set AllowTcpForwarding yes, and check PermitOpen, in the sshd_config there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			t.Setenv("SHELL", "/bin/sh")
			words := strings.NewReplacer("ADDR", tt.addr)
			if tt.jump != nil {
				h.knows(tt.jump)
				words = strings.NewReplacer("ADDR", tt.addr, "JUMP", tt.jump.addr)
			}
			host, port, err := net.SplitHostPort(tt.addr)
			if err != nil {
				t.Fatal(err)
			}
			h.config(fmt.Sprintf("Host node\n %s\n HostName %s\n Port %s\n", words.Replace(tt.config), host, port))
			conn, err := h.client(tt.opts).Dial(t.Context(), "node")
			if err == nil {
				conn.Close()
				t.Fatal("it was reached")
			}
			want := "sshx: dialling " + words.Replace(tt.want)
			if !matchWords(want, err.Error()) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// matchWords compares a text with a pattern in which `*` is anything.
func matchWords(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	for _, p := range parts[1:] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return ok && (rest == "" || parts[len(parts)-1] == "")
}
