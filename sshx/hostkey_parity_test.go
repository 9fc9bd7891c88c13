package sshx

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// minParityCases is how many host key cases are compared with ssh at the least.
const minParityCases = 60

// parityCase is a connection that sshx and the ssh program must both accept or both refuse.
// In its texts, {x} stands for what parityKit.texts has.
type parityCase struct {
	name   string
	on     string // the server: one of parityKit.servers, "all" where empty
	known  string // the user's known_hosts, a line feed added
	config string // first in the configuration
	files  map[string]string
	accept bool

	stricter bool // ssh accepts, and we do not: on purpose
	looser   bool // ssh before 10.3 refuses, and we do not
	laxSSH   bool // ssh before 10.3 accepts, and we do not
}

// parityKit is the servers and keys of all cases.
type parityKit struct {
	h       *home
	dir     string
	servers map[string]*sshd
	texts   map[string]string
	user    string
	oldSSH  bool // before 10.3
}

// TestHostKeysLikeSSH runs every case against a real sshd with the real ssh beside sshx.
func TestHostKeysLikeSSH(t *testing.T) {
	cases := parityCases
	if len(cases) < minParityCases {
		t.Errorf("%d cases, at least %d are promised", len(cases), minParityCases)
	}
	kit := newParityKit(t)
	t.Run("cases", func(t *testing.T) {
		for _, c := range cases {
			t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				kit.compare(t, c)
			})
		}
	})
	t.Logf("%d cases", len(cases))
}

func newParityKit(t *testing.T) *parityKit {
	k := &parityKit{h: newHome(t), dir: t.TempDir(), servers: make(map[string]*sshd), texts: make(map[string]string), user: localUser(t)}
	out, err := exec.Command(needs(t, "ssh"), "-V").CombinedOutput()
	m := regexp.MustCompile(`OpenSSH_(\d+)\.(\d+)`).FindStringSubmatch(string(out))
	if err != nil || m == nil {
		t.Fatalf("ssh -V: %v: %s", err, out)
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	k.oldSSH = major < 10 || major == 10 && minor < 3

	signers := map[string]ssh.Signer{}
	for name, args := range map[string][]string{
		"ed": {"-t", "ed25519"}, "ec": {"-t", "ecdsa"}, "rsa": {"-t", "rsa", "-b", "2048"},
		"ca": {"-t", "ed25519"}, "ca2": {"-t", "ed25519"}, "rsaca": {"-t", "rsa", "-b", "2048"},
		"other": {"-t", "ed25519"}, "otherec": {"-t", "ecdsa"}, "otherrsa": {"-t", "rsa", "-b", "2048"},
	} {
		path := filepath.Join(k.dir, name)
		if out, err := exec.Command(needs(t, "ssh-keygen"), append(args, "-q", "-N", "", "-C", "", "-f", path)...).CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
		if signers[name], err = ssh.ParsePrivateKey(readFile(t, path)); err != nil {
			t.Fatal(err)
		}
		k.texts["{"+name+"}"] = keyText(signers[name].PublicKey())
		k.texts["{"+name+"64}"] = strings.Fields(keyText(signers[name].PublicKey()))[1]
	}
	writeFile(t, filepath.Join(k.dir, "authorized_keys"), keyText(k.h.key.PublicKey())+"\n")
	serve := func(name string, lines ...string) {
		var config strings.Builder
		for _, line := range lines {
			fmt.Fprintf(&config, "%s\n", strings.ReplaceAll(line, "{dir}", k.dir))
		}
		k.servers[name] = serveSSHD(t, k.dir, config.String())
	}
	serve("all", "HostKey {dir}/rsa", "HostKey {dir}/ec", "HostKey {dir}/ed")
	serve("ec", "HostKey {dir}/ec")
	serve("rsa", "HostKey {dir}/rsa")
	names := []string{"web.example", "127.0.0.1", "fleet"}
	past := uint64(time.Now().Add(-time.Hour).Unix())
	for name, c := range map[string]struct {
		key, ca string
		change  func(*ssh.Certificate)
	}{
		"cert":           {"ed", "ca", func(c *ssh.Certificate) { c.ValidPrincipals = names }},
		"rsa cert":       {"rsa", "ca", func(c *ssh.Certificate) { c.ValidPrincipals = names }},
		"rsa authority":  {"ed", "rsaca", func(c *ssh.Certificate) { c.ValidPrincipals = names }},
		"other ca":       {"ed", "ca2", func(c *ssh.Certificate) { c.ValidPrincipals = names }},
		"other name":     {"ed", "ca", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"web.example", "[127.0.0.1]"} }},
		"upper name":     {"ed", "ca", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"FLEET"} }},
		"wildcard":       {"ed", "ca", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"127.0.?.*"} }},
		"wrong wildcard": {"ed", "ca", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"128.*"} }},
		"no names":       {"ed", "ca", func(*ssh.Certificate) {}},
		"expired":        {"ed", "ca", func(c *ssh.Certificate) { c.ValidPrincipals, c.ValidBefore = names, past }},
		"not yet":        {"ed", "ca", func(c *ssh.Certificate) { c.ValidPrincipals, c.ValidAfter = names, past+1e6 }},
		"of a user":      {"ed", "ca", func(c *ssh.Certificate) { c.ValidPrincipals, c.CertType = names, ssh.UserCert }},
		"critical": {"ed", "ca", func(c *ssh.Certificate) {
			c.ValidPrincipals, c.CriticalOptions = names, map[string]string{"unheard-of": "yes"}
		}},
	} {
		cert := signCert(t, signers[c.key].PublicKey(), signers[c.ca], ssh.HostCert, func(cert *ssh.Certificate) { cert.Serial = 7; c.change(cert) })
		file := strings.ReplaceAll(name, " ", "-") + "-cert.pub"
		writeFile(t, filepath.Join(k.dir, file), string(ssh.MarshalAuthorizedKey(cert)))
		serve(name, "HostKey {dir}/"+c.key, "HostKey {dir}/ec", "HostCertificate {dir}/"+file)
		if name == "cert" {
			k.texts["{cert}"] = keyText(cert)
		}
	}
	k.revocations(t)
	return k
}

// revocations makes the lists of RevokedHostKeys that need ssh-keygen.
func (k *parityKit) revocations(t *testing.T) {
	writeFile(t, filepath.Join(k.dir, "serial"), "serial: 7\n")
	for list, args := range map[string][]string{
		"krl-ed": {"ed.pub"}, "krl-other": {"other.pub"}, "krl-ca": {"ca.pub"}, "krl-serial": {"-s", "ca.pub", "serial"},
	} {
		cmd := exec.Command(needs(t, "ssh-keygen"), append([]string{"-q", "-k", "-f", list}, args...)...)
		cmd.Dir = k.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v: %s", err, out)
		}
	}
}

// compare runs one case, both programs on files of their own.
func (k *parityKit) compare(t *testing.T, c parityCase) {
	if c.on == "" {
		c.on = "all"
	}
	s := k.servers[c.on]
	like, after := k.ssh(t, c, s)
	own, afterOwn := k.sshx(t, c, s)
	want := c.accept
	switch {
	case c.stricter, c.laxSSH && k.oldSSH:
		want = true
	case c.looser && k.oldSSH:
		want = false
	}
	if like != want {
		t.Errorf("ssh accepts: %v, expected %v", like, want)
	}
	if own != c.accept {
		t.Errorf("sshx accepts: %v, expected %v", own, c.accept)
	}
	if like == own && after != afterOwn {
		t.Errorf("ssh left known_hosts\n%s\nsshx left\n%s", after, afterOwn)
	}
}

// write makes the files of a case in dir.
func (k *parityKit) write(t *testing.T, c parityCase, s *sshd, dir string) (fill func(string) string) {
	fill = func(text string) string {
		pairs := []string{"{dir}", dir, "{kit}", k.dir, "{port}", s.port, "{name}", "[127.0.0.1]:" + s.port,
			"{hash}", hashed("[127.0.0.1]:" + s.port), "{hashaddr}", hashed("127.0.0.1")}
		for from, to := range k.texts {
			pairs = append(pairs, from, to)
		}
		return strings.NewReplacer(pairs...).Replace(text)
	}
	if c.known != "" {
		writeFile(t, filepath.Join(dir, "known_hosts"), fill(c.known)+"\n")
	}
	for name, text := range c.files {
		writeFile(t, filepath.Join(dir, name), fill(text))
	}
	writeFile(t, filepath.Join(dir, "config"), fill(c.config)+fmt.Sprintf(`
Host *
	User %s
	IdentityFile %s
	IdentitiesOnly yes
	IdentityAgent none
	UserKnownHostsFile %s/known_hosts
	GlobalKnownHostsFile %[3]s/global
`, k.user, k.h.path("id"), dir))
	return fill
}

// left is what a program made of the user's known_hosts, with salts taken out.
func (k *parityKit) left(t *testing.T, dir, port string) string {
	data, err := os.ReadFile(filepath.Join(dir, "known_hosts"))
	if errors.Is(err, os.ErrNotExist) {
		return "no file"
	} else if err != nil {
		return "not readable"
	}
	var out strings.Builder
	for line := range strings.Lines(string(data)) {
		if k, err := parseKnownLine(line); err == nil && k.matches("[127.0.0.1]:"+port) && k.hashed != nil {
			line = "hashed " + line[strings.Index(line, " "):]
		}
		out.WriteString(line)
	}
	return out.String()
}

func (k *parityKit) ssh(t *testing.T, c parityCase, s *sshd) (accepted bool, left string) {
	dir := t.TempDir()
	k.write(t, c, s, dir)
	cmd := exec.CommandContext(t.Context(), "ssh", "-F", filepath.Join(dir, "config"), "-oBatchMode=yes", "-p", s.port, "127.0.0.1", "true")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	refused := regexp.MustCompile(`Host key verification failed|Bad server host key|no matching host key type`).Match(out)
	if err != nil && !refused {
		t.Fatalf("ssh failed otherwise: %v\n%s", err, out)
	}
	return err == nil, k.left(t, dir, s.port)
}

func (k *parityKit) sshx(t *testing.T, c parityCase, s *sshd) (accepted bool, left string) {
	dir := t.TempDir()
	k.write(t, c, s, dir)
	client, err := New(Options{ConfigFile: filepath.Join(dir, "config"), Home: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	client.backoff = func(context.Context, time.Duration) error { return nil }
	conn, err := client.Dial(t.Context(), net.JoinHostPort("127.0.0.1", s.port))
	if err == nil {
		conn.Close()
		return true, k.left(t, dir, s.port)
	}
	var de *DialError
	if !errors.As(err, &de) || de.Stage != StageHostKey && !strings.Contains(err.Error(), "no common algorithm for host key") {
		t.Fatalf("sshx failed otherwise: %v", err)
	}
	t.Log(err)
	return false, k.left(t, dir, s.port)
}

// longSalted is a hashed name whose salt is longer than HashKnownHosts makes them.
var longSalted = formatHashedName("127.0.0.1", make([]byte, sha1.Size+1))
