package sshx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// resolveText resolves a host with a configuration.
func resolveText(t *testing.T, text, host string) (*settings, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	writeFile(t, file, text)
	r, err := newResolver(file, realLocal(t))
	if err != nil {
		return nil, err
	}
	target, err := ParseTarget(host)
	if err != nil {
		t.Fatal(err)
	}
	return r.resolve(t.Context(), target)
}

// TestWhatOlderSSHDoesNotKnow has criteria and keywords of releases after 9.2, which a test
// cannot compare with every ssh.
func TestWhatOlderSSHDoesNotKnow(t *testing.T) {
	for _, tt := range []struct {
		text, want string // the user, or a part of the error
	}{
		{"Match tagged x\n User a\nHost *\n User b\n", "b"},
		{"Tag xy\nMatch tagged x*,z\n User a\nHost *\n User b\n", "a"},
		{"Match tagged \"\"\n User a\nHost *\n User b\n", "a"},
		{"Tag x\nMatch tagged \"\"\n User a\nHost *\n User b\n", "b"},
		{"Host other\n RefuseConnection \"no way\"\nHost *\n User b\n", "b"},
		{"Host web\n RefuseConnection \"no way\"\n", "config:2: refuseconnection: the connection is refused: \"no way\""},
		{"User b\nProxyJump me@gate:7\nMatch exec \"test %j = gate\"\n IdentityFile /j\n", "b"},
	} {
		s, err := resolveText(t, tt.text, "web")
		if err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && s.User != tt.want {
			t.Errorf("%q: %+v, %v", tt.text, s, err)
		}
		if strings.Contains(tt.text, "%j") && (err != nil || s.IdentityFiles[0] != "/j") {
			t.Errorf("%q: %+v, %v", tt.text, s, err)
		}
	}
}

// TestMatchExecRunsOnce resolves many hosts at once: each different command is run once,
// one that a cancelled dial took with it is run again.
func TestMatchExecRunsOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	writeFile(t, file, "Match exec \"echo run >>"+dir+"/%u-runs\"\n User found\n")
	l := realLocal(t)
	l.user = "me"
	r, err := newResolver(file, l)
	if err != nil {
		t.Fatal(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.resolve(gone, Target{Name: "web"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if s, err := r.resolve(t.Context(), Target{Name: "web"}); err != nil || s.User != "found" {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	wg.Wait()
	if runs, err := os.ReadFile(filepath.Join(dir, "me-runs")); err != nil || string(runs) != "run\n" {
		t.Errorf("%q, %v", runs, err)
	}
}

// TestSSHIsAskedOnceForAHost asks for 40 hosts, each five times at once, with a program in
// the place of ssh that writes down when it runs.
func TestSSHIsAskedOnceForAHost(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "ssh"), "#!/bin/sh\nfor last; do :; done\necho + >>"+dir+"/log\necho user of-$last\necho port 22\necho - >>"+dir+"/log\n")
	if err := os.Chmod(filepath.Join(dir, "ssh"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	writeFile(t, filepath.Join(dir, "config"), "Include /no/such/%h\n")
	r, err := newResolver(filepath.Join(dir, "config"), realLocal(t))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			name := fmt.Sprintf("web%d", i%40)
			if s, err := r.resolve(t.Context(), Target{Name: name}); err != nil || s.User != "of-"+name {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
	wg.Wait()
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	running, most := 0, 0
	for line := range strings.Lines(string(log)) {
		if running--; line == "+\n" {
			running += 2
		}
		most = max(most, running)
	}
	if runs := strings.Count(string(log), "+"); runs != 40 || most > maxParallelSSH {
		t.Errorf("%d runs, %d at once", runs, most)
	}
}

func TestMatchExecFails(t *testing.T) {
	t.Setenv("SHELL", "/no/such/shell")
	_, err := resolveText(t, "\nMatch exec true\n User a\n", "web")
	var ce *ConfigError
	if !errors.As(err, &ce) || ce.Line != 2 || !strings.Contains(err.Error(), "/no/such/shell") {
		t.Errorf("got %v", err)
	}
	t.Setenv("SHELL", "/bin/sh")
	if s, err := resolveText(t, "Match exec \"kill -9 $$\"\n User a\nHost *\n User b\n", "web"); err == nil || s != nil {
		t.Errorf("killed: %+v, %v", s, err)
	}
}

// TestForeignAlgorithms has names that this package does not know: the installed ssh says
// whether they are any.
func TestForeignAlgorithms(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "ssh"), "#!/bin/sh\ncase \"$*\" in *ciphers=aes128-ctr,new-cipher*) exit 0;; esac\necho no such thing >&2\nexit 255\n")
	if err := os.Chmod(filepath.Join(dir, "ssh"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	s, err := resolveText(t, "Ciphers aes128-ctr,new-cipher\n", "web")
	if err != nil {
		t.Fatal(err)
	}
	if c, err := s.cryptoConfig(); err != nil || !slices.Equal(c.Ciphers, []string{"aes128-ctr"}) {
		t.Errorf("%v, %v", c.Ciphers, err)
	}
	if _, err := resolveText(t, "Host other\nMACs no-mac\n", "web"); err == nil || !strings.Contains(err.Error(), `config:2: macs: unknown algorithm "no-mac"`) || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("got %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := resolveText(t, "Ciphers aes128-ctr,new-cipher\n", "web"); err == nil || !strings.Contains(err.Error(), "install openssh-client") {
		t.Errorf("without ssh: %v", err)
	}
}

// TestFilesAreExpandedAsSSHExpandsThem reads what ssh says in its debug output, since
// `ssh -G` prints the names of keys and the command of a proxy as they stand.
func TestFilesAreExpandedAsSSHExpandsThem(t *testing.T) {
	t.Setenv("SSHX_TEST_DIR", "/x/y")
	file := filepath.Join(t.TempDir(), "config")
	writeFile(t, file, `HostName real.example
User me
Port 44
HostKeyAlias Alias
IdentityFile ~/i
IdentityFile /no/%C_%L_%d_%h_%i_%k_%l_%n_%p_%r_%u_%%
IdentityFile ${SSHX_TEST_DIR}/%n
CertificateFile ~root/c_%h
ProxyCommand true %h %k %n %p %r %%
`)
	r, err := newResolver(file, realLocal(t))
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.resolve(t.Context(), Target{Name: "Web"})
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(needs(t, "ssh"), "-v", "-F", file, "-o", "BatchMode=yes", "Web", "true").CombinedOutput()
	if err == nil {
		t.Fatal("ssh has connected through `true`")
	}
	found := func(pattern string) (all []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(out), -1) {
			if !strings.HasSuffix(m[1], "-cert") {
				all = append(all, m[1])
			}
		}
		return all
	}
	if got := found(`identity file (\S+) type`); !slices.Equal(got, s.IdentityFiles) {
		t.Errorf("ssh has the identities\n%q, here\n%q", got, s.IdentityFiles)
	}
	if got := found(`certificate file (\S+) type`); !slices.Equal(got, s.CertificateFiles) {
		t.Errorf("ssh has the certificates %q, here %q\n%s", got, s.CertificateFiles, out)
	}
	if got := found(`Executing proxy command: exec (.*?)\r?\n`); !slices.Equal(got, []string{s.ProxyCommand}) {
		t.Errorf("ssh runs %q, here %q", got, s.ProxyCommand)
	}
}

// TestProxyCommandTokens has a token that paths may hold, but not the command of a proxy.
func TestProxyCommandTokens(t *testing.T) {
	_, err := resolveText(t, "\nProxyCommand x %h %d\n", "web")
	var ce *ConfigError
	if !errors.As(err, &ce) || ce.Line != 2 || !strings.Contains(err.Error(), "unknown token %d") {
		t.Errorf("got %v", err)
	}
}

// TestAuthenticationWithoutKeys is left to ssh: our own connections have nothing but keys.
func TestAuthenticationWithoutKeys(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "PubkeyAuthentication no\n": true, "PubkeyAuthentication host-bound\n": false,
		"PreferredAuthentications password,keyboard-interactive\n": true, "PreferredAuthentications password,publickey\n": false,
	} {
		s, err := resolveText(t, text, "web")
		if err != nil || (onlySSH(s) != "") != want {
			t.Errorf("%q: %q, %v", text, onlySSH(s), err)
		}
	}
}
