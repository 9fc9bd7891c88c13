package sshx

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Two names of one jump host: what one of them trusts is no business of the other.
func TestNamesOfOneJumpHostAreNotMixedUp(t *testing.T) {
	first, node := startBastion(t, ""), startSSHD(t, "")
	h := bastionHome(t, "User root", node, first)
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	writeKey(t, h.path("other"), "")
	writeFile(t, h.path("strict_known"), "[127.0.0.1]:"+first.port+" "+keyText(newKey(t).PublicKey())+"\n")
	const config = `Host lax same strict otherkey
 HostName 127.0.0.1
 Port %s
Host strict
 UserKnownHostsFile %s
Host otherkey
 IdentityFile %s
 IdentitiesOnly yes
Host by-*
 HostName 127.0.1.1
 Port %s
Host by-lax
 ProxyJump lax
Host by-same
 ProxyJump same
Host by-strict
 ProxyJump strict
Host by-otherkey
 ProxyJump otherkey
Host otherkey
 IdentityFile none
Host *
 User %s
`
	own := h.path("id")
	h.config(fmt.Sprintf(config, first.port, h.path("strict_known"), h.path("other"), node.port, u.Username))
	node.nodes(t, 1)
	c := h.client(Options{})
	h.dial(c, "by-lax")
	h.dial(c, "by-same")
	if n := first.connections(); n != 1 {
		t.Errorf("%d connections for two names with equal settings", n)
	}
	var key *HostKeyError
	if conn, err := c.Dial(t.Context(), "by-strict"); !errors.As(err, &key) || key.Kind != KeyChanged {
		t.Errorf("the key of the jump host is another one: %v", err)
		if err == nil {
			conn.Close()
		}
	}
	before := first.connections()
	if conn, err := c.Dial(t.Context(), "by-otherkey"); err == nil {
		conn.Close() // the key in id is there for all hosts
	}
	if first.connections() == before {
		t.Errorf("a jump host with another key than %s has the connection made with that", own)
	}
}

// An agent whose last of eight keys is right, and more hosts than turns at their sshd: those
// that wait for the scout's find must not keep it from going on.
func TestTheScoutOfKeysNeedsNoTurn(t *testing.T) {
	for _, way := range []string{"jump", "ssh -W", "direct"} {
		t.Run(way, func(t *testing.T) {
			bastion, node := startBastion(t, ""), startSSHD(t, "")
			through := waysThrough[way]
			if way == "direct" {
				through = "User root"
			}
			h := bastionHome(t, through, node, bastion)
			t.Setenv("SSH_AUTH_SOCK", realAgent(t))
			var right ssh.Signer
			for i := range 8 {
				name := h.path(fmt.Sprint("k", i))
				right = writeKey(t, name, "")
				addKey(t, name)
			}
			node.authorize(t, keyText(right.PublicKey()))
			writeFile(t, h.path("config"), "Host 127.0.1.*\n IdentitiesOnly no\n"+string(readFile(t, h.path("config"))))
			c := h.client(Options{})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var wg sync.WaitGroup
			for _, addr := range node.nodes(t, 14) {
				wg.Go(func() {
					conn, err := c.Dial(ctx, addr)
					if err != nil {
						t.Errorf("%s: %v", addr, err)
						return
					}
					conn.Close()
				})
			}
			wg.Wait()
		})
	}
}
