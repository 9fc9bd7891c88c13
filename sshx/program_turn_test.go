package sshx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// byProgram are the ways through bastions that an ssh program takes, with or without our
// knowing of them: a program of git's has a configuration of its own.
var byProgram = map[string]struct {
	way    string
	hidden bool
}{
	"jump": {waysThrough["jump"], false}, "two hops": {waysThrough["two hops"], false}, "ssh -W": {waysThrough["ssh -W"], false}, "with a user": {"ProxyCommand SSH -W %h:%p %r@first", false},
	"git's jump": {waysThrough["jump"], true}, "git's two hops": {waysThrough["two hops"], true}, "git's ssh -W": {waysThrough["ssh -W"], true}, "git's with a user": {"ProxyCommand SSH -W %h:%p %r@first", true},
}

// programHome is a home for nodes behind bastions, and a Client that reaches them by a program.
func programHome(t *testing.T, way string, hidden bool, node *sshd, bastions ...*sshd) (*home, *Client) {
	t.Helper()
	h := bastionHome(t, way, node, bastions...)
	if !hidden {
		return h, h.client(Options{Transport: TransportOpenSSH})
	}
	c := gitClient(t, h, Program{Command: "ssh -F " + h.path("config"), Shell: true, Source: "GIT_SSH_COMMAND"})
	c.backoff = func(context.Context, time.Duration) error { return nil }
	return h, c
}

// TestAProgramMeetsARefusalAtAJumpHostOnce has a bastion refuse the key, or have another one.
func TestAProgramMeetsARefusalAtAJumpHostOnce(t *testing.T) {
	for name, tt := range byProgram {
		for _, what := range []string{"refused", "changed"} {
			t.Run(name+" "+what, func(t *testing.T) {
				first, second, node := startBastion(t, ""), startBastion(t, ""), startSSHD(t, "")
				h, c := programHome(t, tt.way, tt.hidden, node, first, second)
				says := "took none of the keys"
				if what == "refused" {
					first.authorize(t, keyText(newKey(t).PublicKey()))
				} else {
					says = "not the one in " + h.path("known_hosts") + ":2; somebody may be in between"
					known := strings.SplitAfter(string(readFile(t, h.path("known_hosts"))), "\n")
					known[1] = first.knownAs(t, true, "127.0.0.1")
					writeFile(t, h.path("known_hosts"), strings.Join(known, ""))
				}
				c.backoff = func(context.Context, time.Duration) error { t.Error("it was tried again"); return nil }
				errs := reach(t, c, node.nodes(t, 12))
				for _, err := range errs {
					var de *DialError
					if !isFinal(err) || !errors.As(err, &de) || de.Stage != StageJump || !strings.Contains(err.Error(), says) {
						t.Errorf("got %v", err)
					}
				}
				if n := first.connections(); len(errs) != 12 || n != 1 {
					t.Errorf("%d connections to the bastion, %d errors", n, len(errs))
				}
			})
		}
	}
}

// TestAProgramWaitsForACrowdedBastion meets one that turns every connection away until others
// leave it, and one that they do not leave.
func TestAProgramWaitsForACrowdedBastion(t *testing.T) {
	for name, tt := range byProgram {
		t.Run(name, func(t *testing.T) {
			first, second, node := startBastion(t, "MaxStartups 10"), startBastion(t, ""), startSSHD(t, "")
			_, c := programHome(t, tt.way, tt.hidden, node, first, second)
			leave := first.squat(t, 10)
			addrs := node.nodes(t, 5)
			for _, err := range reach(t, c, addrs[:2]) {
				if !strings.Contains(err.Error(), fmt.Sprintf("(tried %d times): %s", maxThrottleTries, throttleHint)) {
					t.Errorf("got %v", err)
				}
			}
			var told sync.Once
			waited := false
			c.backoff = func(ctx context.Context, d time.Duration) error {
				told.Do(func() { waited = true; leave() })
				return sleep(ctx, d)
			}
			for _, err := range reach(t, c, addrs) {
				t.Error(err)
			}
			if !waited {
				t.Error("the bastion turned nobody away")
			}
		})
	}
}

// TestAProgramAtABastionThatDoesNotForward says what to set there, and does not try again.
func TestAProgramAtABastionThatDoesNotForward(t *testing.T) {
	for name, tt := range byProgram {
		t.Run(name, func(t *testing.T) {
			first, second, node := startBastion(t, "AllowTcpForwarding no"), startBastion(t, ""), startSSHD(t, "")
			_, c := programHome(t, tt.way, tt.hidden, node, first, second)
			c.backoff = func(context.Context, time.Duration) error { t.Error("it was tried again"); return nil }
			errs := reach(t, c, node.nodes(t, 2))
			for _, err := range errs {
				if !strings.Contains(err.Error(), forbiddenHint) {
					t.Errorf("got %v", err)
				}
			}
			if len(errs) != 2 {
				t.Errorf("%d of 2 nodes are not reached", len(errs))
			}
		})
	}
}

// TestANodeCannotSpeakForItsJumpHost has a node claim in its banner that the jump host refuses
// us, which would keep all others behind that from being reached.
func TestANodeCannotSpeakForItsJumpHost(t *testing.T) {
	first, node := startBastion(t, ""), startSSHD(t, "")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, errors.New("no") },
		BannerCallback: func(ssh.ConnMetadata) string {
			return "u@first: Permission denied (publickey).\nkex_exchange_identification: Connection closed by remote host\n"
		},
		MaxAuthTries: 1,
	}
	key := newKey(t)
	config.AddHostKey(key)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			_, _, _, _ = ssh.NewServerConn(raw, config) // fails, and hangs up then
			raw.Close()
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	addrs := node.nodes(t, 1)
	for _, hidden := range []bool{false, true} {
		h, c := programHome(t, "ProxyJump first\nHost hostile\n HostName 127.0.0.1\n ProxyJump first\n Port "+port, hidden, node, first)
		known := string(readFile(t, h.path("known_hosts")))
		writeFile(t, h.path("known_hosts"), known+"[127.0.0.1]:"+port+" "+keyText(key.PublicKey())+"\n")
		_, err := c.Dial(t.Context(), "hostile")
		if err == nil || jumpRefusal(err) != nil || strings.Contains(err.Error(), "u@first") {
			t.Errorf("hidden %v: got %v", hidden, err)
		}
		for _, err := range reach(t, c, addrs) {
			t.Error(err)
		}
	}
}
