package sshx

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestHostCertificates(t *testing.T) {
	h := newHome(t)
	ca, otherCA, plain := newKey(t), newKey(t), newKey(t)
	authority := "@cert-authority * " + keyText(ca.PublicKey()) + "\n"
	valid := func(c *ssh.Certificate) { c.ValidPrincipals = []string{"x", "127.0.0.1"} }
	for _, tt := range []struct {
		name   string
		known  string
		kind   uint32
		ca     ssh.Signer
		change func(*ssh.Certificate)
		want   HostKeyKind
	}{
		{"good", authority, ssh.HostCert, ca, valid, ""},
		{"pattern", authority, ssh.HostCert, ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"127.*"} }, ""},
		{"no principals", authority, ssh.HostCert, ca, nil, KeyUnknown},
		{"other principal", authority, ssh.HostCert, ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"web"} }, KeyUnknown},
		{"other authority", authority, ssh.HostCert, otherCA, valid, KeyUnknown},
		{"user certificate", authority, ssh.UserCert, ca, valid, KeyUnknown},
		{"expired", authority, ssh.HostCert, ca, func(c *ssh.Certificate) { valid(c); c.ValidBefore = 1000 }, KeyUnknown},
		{"not yet valid", authority, ssh.HostCert, ca, func(c *ssh.Certificate) { valid(c); c.ValidAfter = 1 << 62 }, KeyUnknown},
		{"authority for others", "@cert-authority *.example " + keyText(ca.PublicKey()) + "\n", ssh.HostCert, ca, valid, KeyUnknown},
		{"authority revoked", authority + "@revoked * " + keyText(ca.PublicKey()) + "\n", ssh.HostCert, ca, valid, KeyRevoked},
		{"key revoked", authority + "@revoked * " + keyText(plain.PublicKey()) + "\n", ssh.HostCert, ca, valid, KeyRevoked},
		{"bad certificate, known key", authority + "* " + keyText(plain.PublicKey()) + "\n", ssh.HostCert, otherCA, valid, ""},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			cert, err := ssh.NewCertSigner(signCert(t, plain.PublicKey(), tt.ca, tt.kind, tt.change), plain)
			if err != nil {
				t.Fatal(err)
			}
			s := (&server{hostKeys: []ssh.Signer{cert}}).start(t)
			writeFile(t, h.path("known_hosts"), tt.known)
			if tt.want == "" {
				h.dial(h.client(Options{}), s.addr)
			} else if e := hostKeyError(t, h.client(Options{}), s.addr); e.Kind != tt.want {
				t.Errorf("%v", e)
			}
		})
	}
}

func TestAlgorithmList(t *testing.T) {
	defaults, supported, insecure := []string{"a", "b", "c"}, []string{"a", "b", "c", "d"}, []string{"old"}
	for spec, want := range map[string]string{
		"": "a b c", "c,a": "c a", "+d": "a b c d", "^c,d": "c d a b", "-a*": "b c", "x,d": "d", "old,a": "old a", "+old": "a b c old", "-?": "!", "x": "!", "a,a": "a",
	} {
		got, err := algorithmList(spec, defaults, supported, insecure)
		if want == "!" {
			if err == nil {
				t.Errorf("%q: %v", spec, got)
			}
		} else if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, %v", spec, got, err)
		}
	}
}

func TestConfiguredAlgorithms(t *testing.T) {
	h, s := newHome(t), (&server{}).start(t)
	h.knows(s)
	h.config("Ciphers aes256-gcm@openssh.com,aes128-cbc\nMACs -hmac-sha1*\nKexAlgorithms ^curve25519-sha256\nHostKeyAlgorithms ssh-ed25519\n")
	h.dial(h.client(Options{}), s.addr)
	for _, config := range []string{"Ciphers aes256-cbc\n", "HostKeyAlgorithms sk-ssh-ed25519@openssh.com\n", "MACs umac-64@openssh.com\n"} {
		h.config(config)
		_, err := h.client(Options{Transport: TransportNative}).Dial(t.Context(), s.addr)
		var de *DialError
		if !errors.As(err, &de) || de.Stage != StageConfig || !strings.Contains(err.Error(), "is supported here") {
			t.Errorf("%s: %v", config, err)
		}
	}
	h.config("HostKeyAlgorithms ecdsa-sha2-nistp256\n")
	_, err := h.client(Options{}).Dial(t.Context(), s.addr)
	var de *DialError
	if !errors.As(err, &de) || de.Stage != StageHandshake || !strings.Contains(err.Error(), "no common algorithm") {
		t.Errorf("nothing in common: %v", err)
	}
}

// signCert makes a certificate for a key.
func signCert(t testing.TB, key ssh.PublicKey, ca ssh.Signer, kind uint32, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{Key: key, CertType: kind, ValidBefore: ssh.CertTimeInfinity, KeyId: "test"}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestUserCertificates(t *testing.T) {
	h := newHome(t)
	ca := newKey(t)
	cert := signCert(t, h.key.PublicKey(), ca, ssh.UserCert, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"tester"} })
	isCert := func(_ string, k ssh.PublicKey) bool {
		c, ok := k.(*ssh.Certificate)
		return ok && bytes.Equal(c.SignatureKey.Marshal(), ca.PublicKey().Marshal())
	}
	for _, tt := range []struct{ file, config string }{
		{"id-cert.pub", ""},
		{"elsewhere.pub", "CertificateFile " + h.path("elsewhere.pub") + "\n"},
	} {
		writeFile(t, h.path(tt.file), string(ssh.MarshalAuthorizedKey(cert)))
		h.config(tt.config)
		s := (&server{accepts: isCert}).start(t)
		h.knows(s)
		h.dial(h.client(Options{}), s.addr)
		if err := os.Remove(h.path(tt.file)); err != nil {
			t.Fatal(err)
		}
	}
}
