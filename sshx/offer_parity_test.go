package sshx

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// offerCase is one set-up of keys.
type offerCase struct {
	name   string
	config string   // of the host; @ is the home directory
	agent  []string // key files it holds, +cert for a key with its certificate
	remove []string // files that are not there
	open   string   // a file that others can read
	want   string   // what is offered, in order, checked against both
}

// offerCases use the keys a to d (ed25519), e (ecdsa) and r (rsa); a, b and r have a certificate
// in FILE-cert.pub, c one in c-other.pub, host.pub is a certificate for hosts.
var offerCases = []offerCase{
	{"files in their order", "IdentityFile @/d\nIdentityFile @/c", nil, nil, "", "d c"},
	{"twice the same file", "IdentityFile @/d\nIdentityFile @/c\nIdentityFile @/d", nil, nil, "", "d c"},
	{"a certificate beside its key", "IdentityFile @/a\nIdentityFile @/d", nil, nil, "", "a a-cert d"},
	{"the agent before files", "IdentityFile @/c\nIdentityFile @/d", []string{"e"}, nil, "", "e c d"},
	{"configured keys of the agent first, in its order", "IdentityFile @/c\nIdentityFile @/d", []string{"e", "d", "r", "c"}, nil, "", "d c e r"},
	{"IdentitiesOnly", "IdentitiesOnly yes\nIdentityFile @/c\nIdentityFile @/d", []string{"e", "d", "r"}, nil, "", "d c"},
	{"IdentityAgent none", "IdentityAgent none\nIdentityFile @/c", []string{"e"}, nil, "", "c"},
	{"IdentityAgent is a socket", "IdentityAgent @/agent.sock\nIdentityFile @/c", []string{"e"}, nil, "", "e c"},
	{"IdentityAgent is a variable", "IdentityAgent $TROOPS_TEST_AGENT\nIdentityFile @/c", []string{"e"}, nil, "", "e c"},
	{"a public key selects from the agent", "IdentitiesOnly yes\nIdentityFile @/d.pub", []string{"e", "d"}, nil, "", "d"},
	{"a public key without a private file", "IdentitiesOnly yes\nIdentityFile @/d", []string{"e", "d"}, []string{"d"}, "", "d"},
	{"without .pub files", "IdentityFile @/c\nIdentityFile @/d", []string{"e", "d"}, []string{"c.pub", "d.pub"}, "", "d e c"},
	{"no IdentityFile at all", "IdentityFile none", []string{"e", "c"}, nil, "", "e c"},
	{"CertificateFile first", "CertificateFile @/c-other.pub\nIdentityFile @/d\nIdentityFile @/c", nil, nil, "", "c-other d c"},
	{"CertificateFile before the agent", "CertificateFile @/c-other.pub\nIdentityFile @/d", []string{"e", "c"}, nil, "", "c-other e c d"},
	{"CertificateFile before configured keys of the agent", "CertificateFile @/c-other.pub\nIdentityFile @/d\nIdentityFile @/c", []string{"e", "d"}, nil, "", "c-other d e c"},
	{"two CertificateFiles", "CertificateFile @/c-other.pub\nCertificateFile @/a-cert.pub\nIdentityFile @/a\nIdentityFile @/c", nil, nil, "", "c-other a-cert a c"},
	{"CertificateFile hides those beside keys", "CertificateFile @/c-other.pub\nIdentityFile @/a\nIdentityFile @/c", nil, nil, "", "c-other a c"},
	{"a certificate for hosts is none for users", "CertificateFile @/host.pub\nIdentityFile @/c", nil, nil, "", "c"},
	{"a missing CertificateFile", "CertificateFile @/gone.pub\nIdentityFile @/a", nil, nil, "", "a"},
	{"a certificate beside a key of the agent", "IdentityFile @/a", []string{"e", "a"}, nil, "", "a e a-cert"},
	{"a certificate in the agent", "IdentityFile @/c", []string{"+a"}, nil, "", "a a-cert c"},
	{"a configured certificate in the agent", "IdentitiesOnly yes\nIdentityFile @/a", []string{"+a", "e"}, nil, "", "a a-cert"},
	{"another certificate in the agent, IdentitiesOnly", "IdentitiesOnly yes\nIdentityFile @/a", []string{"+a"}, []string{"a-cert.pub"}, "", "a"},
	{"PubkeyAcceptedAlgorithms takes types away", "PubkeyAcceptedAlgorithms -ssh-ed25519\nIdentityFile @/c\nIdentityFile @/r\nIdentityFile @/e", []string{"d"}, nil, "", "r r-cert e"},
	{"PubkeyAcceptedAlgorithms names types", "PubkeyAcceptedAlgorithms rsa-sha2-256,ecdsa-*\nIdentityFile @/c\nIdentityFile @/r\nIdentityFile @/e", nil, nil, "", "r e"},
	{"PubkeyAcceptedAlgorithms, first", "PubkeyAcceptedAlgorithms ^ecdsa-sha2-nistp256\nIdentityFile @/c\nIdentityFile @/e", nil, nil, "", "c e"},
	{"certificates only", "PubkeyAcceptedAlgorithms *-cert-*\nIdentityFile @/a\nIdentityFile @/b\nIdentityFile @/r", nil, nil, "", "a-cert b-cert r-cert"},
	{"a key that others can read selects from the agent", "IdentitiesOnly yes\nIdentityFile @/d", []string{"e", "d"}, []string{"d.pub"}, "d", "d"},
	{"RequiredRSASize", "RequiredRSASize 4096\nIdentityFile @/r\nIdentityFile @/c", []string{"r"}, nil, "", "c"},
}

// offerKeys writes the keys of the cases and gives their names by fingerprint.
func offerKeys(t testing.TB, h *home) map[string]string {
	t.Helper()
	names := make(map[string]string)
	for _, n := range []string{"a", "b", "c", "d"} {
		names[ssh.FingerprintSHA256(writeKey(t, h.path(n), "").PublicKey())] = n
	}
	for n, kind := range map[string][]string{"e": {"-t", "ecdsa"}, "r": {"-t", "rsa", "-b", "2048"}} {
		args := append(kind, "-q", "-N", "", "-f", h.path(n))
		if out, err := exec.Command(needs(t, "ssh-keygen"), args...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		names[ssh.FingerprintSHA256(readPublic(h.path(n+".pub")))] = n
	}
	ca := newKey(t)
	for file, key := range map[string]string{"a-cert": "a", "b-cert": "b", "r-cert": "r", "c-other": "c", "host": "c"} {
		kind := uint32(ssh.UserCert)
		if file == "host" {
			kind = ssh.HostCert
		}
		cert := signCert(t, readPublic(h.path(key+".pub")), ca, kind, nil)
		writeFile(t, h.path(file+".pub"), string(ssh.MarshalAuthorizedKey(cert)))
		names[ssh.FingerprintSHA256(cert)] = file
	}
	return names
}

// load has an agent hold keys.
func (a *testAgent) load(t testing.TB, h *home, names []string) {
	t.Helper()
	for _, n := range names {
		n, certified := strings.CutPrefix(n, "+")
		private, err := ssh.ParseRawPrivateKey(readFile(t, h.path(n)))
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Add(agent.AddedKey{PrivateKey: private, Comment: n}); err != nil {
			t.Fatal(err)
		}
		if certified {
			cert := readPublic(h.path(n + "-cert.pub")).(*ssh.Certificate)
			if err := a.Add(agent.AddedKey{PrivateKey: private, Certificate: cert, Comment: n}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOrderOfKeysIsThatOfSSH has ssh and us offer keys to a server that takes none.
func TestOrderOfKeysIsThatOfSSH(t *testing.T) {
	for _, tt := range offerCases {
		t.Run(tt.name, func(t *testing.T) {
			h := newHome(t)
			names := offerKeys(t, h)
			a := newAgent(t, h)
			t.Setenv("TROOPS_TEST_AGENT", a.socket)
			if strings.Contains(tt.config, "IdentityAgent @") {
				t.Setenv("SSH_AUTH_SOCK", "")
			}
			a.load(t, h, tt.agent)
			for _, f := range tt.remove {
				if err := os.Remove(h.path(f)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.open != "" {
				if err := os.Chmod(h.path(tt.open), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s := (&server{accepts: func(string, ssh.PublicKey) bool { return false }}).start(t)
			writeFile(t, h.path("config"), fmt.Sprintf("Host *\nUser tester\nUserKnownHostsFile %s\nGlobalKnownHostsFile none\n%s\n", h.path("known_hosts"), strings.ReplaceAll(tt.config, "@", h.dir)))
			h.knows(s)
			named := func(prints []string) string {
				var out []string
				for _, f := range prints {
					out = append(out, names[f])
				}
				return strings.Join(out, " ")
			}
			cmd := exec.Command(needs(t, "ssh"), "-v", "-F", h.path("config"), "-o", "BatchMode=yes", "-p", s.port(), "127.0.0.1", "true")
			text, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("ssh was let in")
			}
			theirs := s.offered()
			if got := named(theirs); got != tt.want {
				t.Errorf("ssh offers %q, want %q\n%s", got, tt.want, text)
			}
			if _, err := h.client(Options{}).Dial(t.Context(), s.addr); err == nil {
				t.Fatal("we were let in")
			}
			ours := s.offered()[len(theirs):]
			if !slices.Equal(ours, theirs) {
				t.Errorf("we offer %q, ssh %q", named(ours), named(theirs))
			}
		})
	}
}
