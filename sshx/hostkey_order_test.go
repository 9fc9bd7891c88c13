package sshx

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

func TestOrderAlgorithms(t *testing.T) {
	ed, edCert, ec, ecCert, rsa := ssh.KeyAlgoED25519, ssh.CertAlgoED25519v01, ssh.KeyAlgoECDSA256, ssh.CertAlgoECDSA256v01, ssh.KeyAlgoRSASHA512
	for _, tt := range []struct {
		base  []string
		kinds string
		ca    bool
		want  []string
	}{
		{[]string{edCert, ecCert, ed, ec, rsa}, "", false, []string{edCert, ecCert, ed, ec, rsa}},
		{[]string{edCert, ecCert, ed, ec, rsa}, ed, false, []string{edCert, ecCert, ed, ec, rsa}},
		{[]string{edCert, ecCert, ed, ec, rsa}, ec, false, []string{ecCert, ec, edCert, ed, rsa}},
		{[]string{edCert, ecCert, ed, ec, rsa}, ssh.KeyAlgoRSA, false, []string{rsa, edCert, ecCert, ed, ec}},
		{[]string{edCert, ecCert, ed, ec, rsa}, ssh.KeyAlgoRSA, true, []string{edCert, ecCert, rsa, ed, ec}},
		{[]string{ed, edCert, ec}, "", true, []string{edCert, ed, ec}},
	} {
		got := orderAlgorithms(tt.base, knownTypes{kinds: map[string]bool{tt.kinds: true}, ca: tt.ca})
		if strings.Join(got, " ") != strings.Join(tt.want, " ") {
			t.Errorf("%v with %q, %v: %v", tt.base, tt.kinds, tt.ca, got)
		}
	}
}

// TestListedAlgorithmsAreNotOrdered has known_hosts know the type that the user wants last.
func TestListedAlgorithmsAreNotOrdered(t *testing.T) {
	key := newECDSA(t).PublicKey()
	files := loadText(t, "web "+keyText(key)+"\n")
	for spec, want := range map[string]string{
		"":                                     ssh.CertAlgoECDSA256v01,
		"-ssh-rsa":                             ssh.CertAlgoECDSA256v01,
		"+ssh-rsa":                             ssh.CertAlgoECDSA256v01,
		"^rsa-sha2-512":                        ssh.KeyAlgoRSASHA512,
		"ssh-ed25519,ecdsa-sha2-nistp256":      ssh.KeyAlgoED25519,
		strings.Join(defaultHostKeyOrder, ","): ssh.CertAlgoECDSA256v01, // what ssh -G prints
		"sk-ssh-ed25519@openssh.com," + strings.Join(defaultHostKeyOrder, ","): ssh.CertAlgoECDSA256v01,
	} {
		c := &hostKeyCheck{s: &settings{HostKeyAlgorithms: spec}, files: files, name: "web"}
		if got, err := c.algorithms(); err != nil || got[0] != want {
			t.Errorf("%q: %v, %v", spec, got, err)
		}
	}
}

// TestOrderOfHostKeyTypesInALongHashedFile needs a second connection where the types that the
// file has, which is not searched for each host, lead to a key that is not the host's.
func TestOrderOfHostKeyTypesInALongHashedFile(t *testing.T) {
	h := newHome(t)
	ed, ec, other := newKey(t), newECDSA(t), newECDSA(t)
	var long strings.Builder
	for i := range exactScanLines {
		fmt.Fprintf(&long, "%s %s\n", hashed(fmt.Sprintf("n%d", i)), keyText(ed.PublicKey()))
	}
	fmt.Fprintf(&long, "%s %s\n", hashed("ec"), keyText(other.PublicKey()))
	revoked := "@revoked * " + keyText(ed.PublicKey()) + "\n"
	for _, tt := range []struct {
		name, config string
		keys         []ssh.Signer
		known        ssh.Signer // nil for none
		more         string
		want         HostKeyKind
		dials        int
	}{
		{"known", "", []ssh.Signer{ed, ec}, ed, "", "", 1},
		{"known by its other key", "", []ssh.Signer{ed, ec}, ec, "", "", 2},
		{"known by its only key", "", []ssh.Signer{ec}, ec, "", "", 1},
		{"changed", "", []ssh.Signer{other}, ec, "", KeyChanged, 2},
		{"first of two is revoked", "", []ssh.Signer{ed, ec}, ec, revoked, "", 2},
		{"unknown", "", []ssh.Signer{ed, ec}, nil, "", KeyUnknown, 1},
		{"accepted", "StrictHostKeyChecking accept-new\n", []ssh.Signer{ed, ec}, nil, "", "", 1},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			s := (&server{hostKeys: tt.keys}).start(t)
			text := long.String() + tt.more
			if tt.known != nil {
				text += hashed(s.name()) + " " + keyText(tt.known.PublicKey()) + "\n"
			}
			writeFile(t, h.path("known_hosts"), text)
			h.config(tt.config)
			c := h.client(Options{})
			if tt.want == "" {
				h.dial(c, s.addr)
			} else if e := hostKeyError(t, c, s.addr); e.Kind != tt.want {
				t.Errorf("%v", e)
			}
			if s.dialled() != tt.dials {
				t.Errorf("%d connections, want %d", s.dialled(), tt.dials)
			}
		})
	}
}
