package sshx

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
)

// TestErrorTexts holds the messages as users see them: one sentence with the way out.
func TestErrorTexts(t *testing.T) {
	refused := errors.New("connection refused")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{&DialError{Host: "web", Stage: StageConfig, Err: refused}, "sshx: dialling web: configuration: connection refused"},
		{&DialError{Host: "web", Addr: "10.0.0.1:22", Stage: StageConnect, Err: refused}, "sshx: dialling web (10.0.0.1:22): connect: connection refused"},
		{&DialError{Host: "web", Addr: "web:22", Stage: StageConnect, Err: refused}, "sshx: dialling web: connect: connection refused"},
		{&DialError{Host: "web:22", Addr: "web:22", Stage: StageConnect, Err: refused}, "sshx: dialling web:22: connect: connection refused"},
		{&DialError{Host: "web", Stage: StageHandshake, Err: errors.New("bad\x1b[2J\ntext")}, `sshx: dialling web: handshake: bad\x1b[2J text`},
		{&DialError{Host: "web", Stage: StageJump, Err: &DialError{Host: "bastion", Addr: "bastion:22", Stage: StageConnect, Err: refused}},
			"sshx: dialling web: proxy jump: dialling bastion: connect: connection refused"},
		{&DialError{Host: "web", Addr: "web:22", Stage: StageHostKey, Err: &HostKeyError{Host: "web", Kind: KeyUnknown, KeyType: "ssh-ed25519", Fingerprint: "SHA256:x", File: "/k", Target: "web"}},
			"sshx: dialling web: host key of web is not known (ssh-ed25519 SHA256:x): connect once with `ssh web`, or add the output of `ssh-keyscan web` to /k after checking it"},
		{&HostKeyError{Host: "[web]:22", Kind: KeyChanged, KeyType: "ssh-rsa", Fingerprint: "SHA256:x", File: "/k", Line: 3},
			"host key of [web]:22 has CHANGED: the server's ssh-rsa SHA256:x is not the one in /k:3; somebody may be in between, or the host was " +
				"reinstalled: check the fingerprint on the host, then remove the old line with `ssh-keygen -R '[web]:22' -f /k`"},
		{&HostKeyError{Host: "web", Kind: KeyRevoked, KeyType: "ssh-rsa", Fingerprint: "SHA256:x", File: "/k", Line: 3},
			"host key of web is REVOKED: ssh-rsa SHA256:x is listed in /k:3; the host needs a new key"},
		{&AuthError{User: "u", Host: "web", Skipped: []string{"the agent has no keys", "~/.ssh/id_ed25519 missing"}},
			"no usable key for u@web; not offered: the agent has no keys, ~/.ssh/id_ed25519 missing; load a key with ssh-add, or name one with IdentityFile in your ssh configuration"},
		{&AuthError{User: "u", Host: "web", Tried: []string{"~/a", "b (agent)"}, Methods: []string{"publickey"}, Err: errors.New("said \x07")},
			`u@web refused: the server took none of ~/a, b (agent); add one of these keys to ~u/.ssh/authorized_keys on the host, or name the right one with IdentityFile (said \a)`},
		{&AuthError{User: "u", Host: "web", Tried: []string{"~/a"}, Limit: true},
			"u@web refused: the server took none of ~/a; only 15 keys are tried: name the right one with IdentityFile in your ssh configuration"},
		{&AuthError{User: "u", Host: "web", Methods: []string{"password", "x\x1b"}},
			`no usable key for u@web; the server accepts only password, x\x1b, and only keys are supported here`},
		{&ChannelError{Host: "web", Op: "exec", Reason: "request denied"}, "sshx: running a command on web: the server refused it: request denied"},
		{&ExitError{Status: 7}, "command exited with status 7"},
		{&ExitError{Status: -1, Signal: "KILL"}, "command ended by signal KILL"},
		{&LostError{Host: "web", Err: ErrNoStatus}, "sshx: connection to web lost: the server ended the session without an exit status"},
		{&ThrottleError{Tries: 6, Err: io.EOF},
			"the server closed the connection before its banner (tried 6 times): it limits new connections, see MaxStartups and PerSourcePenalties in its sshd_config"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

func TestErrorsUnwrap(t *testing.T) {
	cause := errors.New("cause")
	for _, err := range []error{&DialError{Err: cause}, &LostError{Err: cause}, &AuthError{Err: cause}, &ThrottleError{Err: cause}, &ConfigError{Err: cause}, &errRedial{cause}} {
		if !errors.Is(err, cause) {
			t.Errorf("%T hides its cause", err)
		}
	}
	var timeout net.Error = &TimeoutError{What: "x", After: "1s"}
	if !timeout.Timeout() || timeout.Error() != "x within 1s" {
		t.Error(timeout)
	}
}

func TestFinalErrors(t *testing.T) {
	for err, want := range map[error]bool{
		&DialError{Err: &AuthError{}}: true, &DialError{Err: &HostKeyError{}}: true, &DialError{Err: &DialError{Err: &AuthError{}}}: true,
		&DialError{Err: &TimeoutError{}}: false, &DialError{Err: &ThrottleError{}}: false, context.Canceled: false,
	} {
		if isFinal(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
	if s := lastLines("Pseudo-terminal will not be allocated because stdin is not a terminal.\r\na\r\nb\r\n", io.EOF); s != "a; b" {
		t.Errorf("got %q", s)
	}
	if s := lastLines("", io.EOF); s != "EOF" {
		t.Errorf("got %q", s)
	}
}

// countingConn counts how often it is read.
type countingConn struct {
	net.Conn
	reads int
}

func (c *countingConn) Read(p []byte) (int, error) {
	c.reads++
	return c.Conn.Read(p)
}

// TestVersionIsReadAtOnce: the ssh library reads the version byte by byte.
func TestVersionIsReadAtOnce(t *testing.T) {
	const said = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10\r\n"
	client, srv := net.Pipe()
	done := make(chan struct{})
	go func() {
		io.WriteString(srv, said)
		io.WriteString(srv, strings.Repeat("y", 4096))
		srv.Close()
		close(done)
	}()
	count := &countingConn{Conn: client}
	w := newWire(count)
	var got []byte
	for b := make([]byte, 1); len(got) < len(said); got = append(got, b...) {
		if _, err := io.ReadFull(w, b); err != nil {
			t.Fatal(err)
		}
	}
	if count.reads != 1 || string(got) != said {
		t.Errorf("%d reads for %q", count.reads, got)
	}
	if n, err := w.Read(make([]byte, 4096)); n != 4096 || err != nil || count.reads != 2 {
		t.Errorf("then %d bytes by %d reads, %v: larger reads are to go straight through", n, count.reads, err)
	}
	<-done
	w.Close()
}

func TestThrottledIsToldFromOtherEnds(t *testing.T) {
	for _, tt := range []struct {
		head string
		err  error
		want bool
	}{
		{"Exceeded MaxStartups\r\n", io.EOF, true}, {"Not allowed at this time\r\n", io.EOF, true}, {"", io.EOF, true}, {"", net.ErrClosed, false},
		{"SSH-2.0-x\r\n", io.EOF, false}, {"hello\r\nSSH-2.0-x\r\n", io.EOF, false}, {"go away\r\n", io.EOF, false}, {"SSH-2.0-Exceeded MaxStartups", io.EOF, false},
	} {
		client, srv := net.Pipe()
		w := newWire(client)
		done := make(chan struct{})
		go func() { io.WriteString(srv, tt.head); srv.Close(); close(done) }()
		io.Copy(io.Discard, w)
		<-done
		if _, got := w.throttled(tt.err); got != tt.want {
			t.Errorf("%q: %v", tt.head, got)
		}
		w.Close()
	}
	client, srv := net.Pipe()
	w := newWire(client)
	go func() { io.WriteString(srv, strings.Repeat("x", 100_000)); srv.Close() }()
	n, _ := io.Copy(io.Discard, w)
	if said, _ := w.beforeBanner(); len(said) > maxHead || n != 100_000 || w.received.Load() != n {
		t.Errorf("%d bytes are kept of %d", len(said), n)
	}
	w.Close()
}
