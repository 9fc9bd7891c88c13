package sshx

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestRealKeyWithDestinationConstraints signs for ssh only, which can prove to the agent which
// host asks for the signature.
func TestRealKeyWithDestinationConstraints(t *testing.T) {
	s := startSSHD(t, "")
	h := realHome(t, "", s)
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	bound := writeKey(t, h.path("bound"), "")
	s.authorize(t, keyText(bound.PublicKey()))
	writeFile(t, h.path("known_hosts"), fmt.Sprintf("[127.0.0.1]:%[1]s %[2]s\nbound %[2]s\n", s.port, s.publicLine(t, "ed25519")))
	t.Setenv("SSH_AUTH_SOCK", realAgent(t))
	addKey(t, "-q", "-H", h.path("known_hosts"), "-h", "bound", h.path("bound"))
	if err := os.Remove(h.path("bound")); err != nil {
		t.Fatal(err)
	}
	h.config(fmt.Sprintf("Host *\n User %s\n HostKeyAlias bound\n IdentitiesOnly yes\n IdentityFile %s\n", u.Username, h.path("bound.pub")))
	_, err = h.client(Options{Transport: TransportNative}).Dial(t.Context(), s.addr)
	var ae *AuthError
	if !errors.As(err, &ae) || ae.Elsewhere == "" || !strings.Contains(err.Error(), "the agent did not sign") {
		t.Errorf("natively: %v", err)
	}
	c := h.client(Options{})
	for range 2 {
		conn := h.dial(c, s.addr)
		if out, _, err := output(t.Context(), conn, "echo in", ""); err != nil || out != "in\n" || !strings.HasPrefix(conn.Transport(), "ssh, for a key of the agent") {
			t.Errorf("%q, %v, by %s", out, err, conn.Transport())
		}
	}
}

// TestRealUserCertificates has an sshd that trusts an authority and no key by itself.
func TestRealUserCertificates(t *testing.T) {
	h := newHome(t)
	ca := newKey(t)
	writeFile(t, h.path("ca.pub"), string(ssh.MarshalAuthorizedKey(ca.PublicKey())))
	s := startSSHD(t, "TrustedUserCAKeys "+h.path("ca.pub")+"\n")
	s.authorize(t, "# nobody")
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, h.path("known_hosts"), fmt.Sprintf("[127.0.0.1]:%s %s\n", s.port, s.publicLine(t, "ed25519")))
	certify := func(name string, change func(*ssh.Certificate)) {
		cert := signCert(t, h.key.PublicKey(), ca, ssh.UserCert, func(c *ssh.Certificate) {
			c.ValidPrincipals = []string{u.Username}
			c.Extensions = map[string]string{"permit-pty": ""}
			if change != nil {
				change(c)
			}
		})
		writeFile(t, h.path(name), string(ssh.MarshalAuthorizedKey(cert)))
	}
	certify("good.pub", nil)
	certify("expired.pub", func(c *ssh.Certificate) { c.ValidBefore = 1 })
	certify("other.pub", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"somebody"} })
	for _, tt := range []struct {
		name, config string
		beside       string // what lies at id-cert.pub
		agent        []string
		refused      bool
	}{
		{name: "beside its key", beside: "good.pub"},
		{name: "CertificateFile", config: "CertificateFile @/good.pub\n"},
		{name: "CertificateFile, its key in the agent", config: "CertificateFile @/good.pub\nIdentityFile @/id.pub\n", agent: []string{"id"}},
		{name: "beside its key, which is in the agent", beside: "good.pub", agent: []string{"id"}},
		{name: "the second CertificateFile", config: "CertificateFile @/expired.pub\nCertificateFile @/good.pub\n"},
		{name: "expired", beside: "expired.pub", refused: true},
		{name: "for somebody else", beside: "other.pub", refused: true},
		{name: "none", refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("SSH_AUTH_SOCK", "")
			if tt.agent != nil {
				newAgent(t, h, tt.agent...)
			}
			if tt.beside != "" {
				writeFile(t, h.path("id-cert.pub"), string(readFile(t, h.path(tt.beside))))
				defer os.Remove(h.path("id-cert.pub"))
			}
			h.config("User " + u.Username + "\n" + strings.ReplaceAll(tt.config, "@", h.dir))
			c, err := New(Options{ConfigFile: h.path("config"), Home: h.dir})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conn, err := c.Dial(t.Context(), s.addr)
			if (err != nil) != tt.refused {
				t.Errorf("got %v", err)
			}
			if err == nil {
				conn.Close()
			}
		})
	}
}
