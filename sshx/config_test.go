package sshx

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// needs finds a program of OpenSSH. Without it the test is skipped, but in CI it fails.
func needs(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		path = filepath.Join("/usr/sbin", program)
		_, err = os.Stat(path)
	}
	if err != nil {
		if ci := os.Getenv("CI"); ci != "" && ci != "false" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
	return path
}

// realLocal is the workstation as ssh itself sees it.
func realLocal(t testing.TB) local {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return local{home: u.HomeDir, user: u.Username, hostname: hostname}
}

// normal drops what ssh prints as a default, and what a comparison is not about.
func normal(t testing.TB, s *settings) settings {
	n := *s
	if n.AliveCount == 0 {
		n.AliveCount = 3
	}
	if n.ConnectionAttempts == 0 {
		n.ConnectionAttempts = 1
	}
	if n.RequiredRSASize == 0 {
		n.RequiredRSASize = minRSABits
	}
	if n.AddressFamily == "" {
		n.AddressFamily = "any"
	}
	n.HostKeyAlias = strings.ToLower(n.HostKeyAlias)
	n.Ciphers, n.MACs, n.KexAlgorithms, n.HostKeyAlgorithms, n.PubkeyAlgorithms, n.CASignatureAlgorithms = "", "", "", "", "", ""
	n.IdentityFiles = slices.DeleteFunc(slices.Clone(n.IdentityFiles), func(p string) bool { // of older versions' defaults
		return strings.HasSuffix(p, "/.ssh/id_xmss") || strings.HasSuffix(p, "/.ssh/id_dsa")
	})
	return n
}

// reading says how configurations were evaluated.
type reading struct{ here, bySSH, refused int }

// compare resolves hosts by both ways and reports differences, also of refusal.
func compare(t *testing.T, text string, hosts []string) (n reading) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	writeFile(t, file, text)
	l := realLocal(t)
	needs(t, "ssh")
	oracle := &resolver{local: l, sshArgs: []string{"-F", file}, cfg: &config{}}
	own, loadErr := newResolver(file, l)
	for _, host := range hosts {
		target, err := ParseTarget(host)
		if err != nil {
			t.Fatal(err)
		}
		answer, wantErr := oracle.run(t.Context(), target, "the test")
		var want, got *settings
		gotErr := loadErr
		if wantErr == nil {
			want, wantErr = answer.settings(target, l)
		}
		if gotErr == nil {
			got, gotErr = own.resolve(t.Context(), target)
		}
		if (wantErr != nil) != (gotErr != nil) {
			t.Errorf("host %s: error %v, of ssh %v\n%s", host, gotErr, wantErr, text)
			continue
		}
		switch {
		case wantErr != nil:
			n.refused++
			continue
		case len(own.answers) > 0:
			n.bySSH++
		default:
			n.here++
		}
		if a, b := normal(t, got), normal(t, want); !reflect.DeepEqual(a, b) {
			t.Errorf("host %s:\n got %+v\nwant %+v\n%s", host, a, b, text)
		}
	}
	return n
}

func TestConfigIsReadAsSSHReadsIt(t *testing.T) {
	t.Setenv("SSHX_TEST_DIR", "/x/y")
	for _, tt := range differential {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			hosts := tt.hosts
			if hosts == nil {
				hosts = []string{"web"}
			}
			compare(t, tt.text, hosts)
		})
	}
}

// TestGeneratedConfigs compares random files of plain constructs; the seed is fixed.
func TestGeneratedConfigs(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	for range 60 {
		var b strings.Builder
		for range 1 + r.IntN(10) {
			switch r.IntN(4) {
			case 0:
				fmt.Fprintf(&b, "Host %s\n", strings.Join([]string{pick("web", "db", "w*", "*", "?b"), pick("!web", "db", "x1", "\"web\"")}, pick(" ", "\t", "  ")))
			case 1:
				fmt.Fprintf(&b, "%s%s%s\n", pick("User", "user", " USER"), pick(" ", "=", " = "), pick("a", "b", "'c'", `"d e"`))
			case 2:
				fmt.Fprintf(&b, "\t%s\n", pick("Port 1", "Port=2 # x", "HostName %h.ex", "HostName ABC", "ProxyJump j", "ProxyCommand c %h", "HostKeyAlias K"))
			default:
				fmt.Fprintf(&b, "%s\n", pick("IdentityFile ~/a", "IdentityFile b", "IdentitiesOnly yes", "Match all", "ConnectTimeout 1m", "StrictHostKeyChecking no", "UserKnownHostsFile a b"))
			}
		}
		compare(t, b.String(), []string{"web", "db"})
	}
}

func TestIncludes(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sub", "a.conf"), "User fromA\nHost web\n Port 10\n")
	writeFile(t, filepath.Join(dir, "sub", "b.conf"), "Host *\n IdentityFile /b\n")
	writeFile(t, filepath.Join(dir, "loop"), "Include "+filepath.Join(dir, "loop")+"\n")
	writeFile(t, filepath.Join(dir, "open"), "User x\n")
	if err := os.Chmod(filepath.Join(dir, "open"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		"Include %s/sub/*.conf\nUser late\n",
		"Host web\n Include %[1]s/sub/*.conf\n HostName inner\nHost *\n Port 20\n",
		"Host db\n Include %[1]s/sub/a.conf %[1]s/sub/b.conf\n User d\n",
		"Include %s/nothing/*\nUser u\n",
		"Include %s/missing\nUser u\n",
		"Include %s/loop\n",
		"Include %s/open\n",
		"Host web\nInclude \"%s/sub/a.conf\"\n Port 11\n",
	} {
		compare(t, fmt.Sprintf(text, dir), []string{"web", "db"})
	}
}

func TestSSHGAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	writeFile(t, file, "CanonicalizeHostname always\nMatch user bob\n Port 1234\nMatch originalhost web\n Hostname 127.0.0.1\nMatch all\n FooBar yes\n")
	needs(t, "ssh")
	r, err := newResolver(file, realLocal(t))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.resolve(t.Context(), Target{Name: "web"})
	if err == nil || !strings.Contains(err.Error(), "line 7: Bad configuration option: foobar") {
		t.Errorf("a keyword that ssh does not know: %v", err)
	}
	writeFile(t, file, "Include %h\nMatch user bob\n Port 1234\nMatch originalhost web\n Hostname web.example\n")
	if r, err = newResolver(file, realLocal(t)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from the cache
		s, err := r.resolve(t.Context(), Target{Name: "web", User: "bob"})
		if err != nil || s.Port != 1234 || s.HostName != "web.example" || s.User != "bob" {
			t.Errorf("got %+v, %v", s, err)
		}
	}
	if len(r.answers) != 1 {
		t.Errorf("%d answers are cached", len(r.answers))
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := newResolver(file, realLocal(t)); err == nil || !strings.Contains(err.Error(), "install openssh-client") {
		t.Errorf("without ssh: %v", err)
	}
}

func TestConfigErrorsNameFileAndLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	for text, want := range map[string]string{
		"User a\n\nPort abc\n":       `config:3: "port": bad value "abc"`,
		"User \"a\n":                 "config:1: invalid quotes",
		"Host a\nPort 1 2\n":         `config:2: "port": extra argument "2"`,
		"ConnectTimeout \x1b[31m\n":  `bad value "\x1b[31m"`,
		"UserKnownHostsFile \"\"\n":  "empty argument",
		"User a\x00b\n":              "config:1: NUL byte",
		strings.Repeat("a", 1<<17):   "longer than",
		"Include " + file + "\n":     "too many recursive includes",
		"Host *\n  Host\n":           `no argument after keyword "host"`,
		"IgnoreUnknown Foo\nFoo\n":   "no argument",
		"Ciphers a b\n":              "extra argument",
		"Include \"\"\n":             "empty Include path",
		"Include ~nobody-such/x\n":   "",
		"Include [\n":                "",
		"ServerAliveCountMax -1\n":   "bad value",
		"ServerAliveInterval 99w9w9": "",
	} {
		writeFile(t, file, text)
		_, err := loadConfig(local{home: dir}, []configSource{{path: file, user: true}})
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		var ce *ConfigError
		if !errors.As(err, &ce) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
	if _, err := New(Options{ConfigFile: filepath.Join(dir, "missing")}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "missing") {
		t.Errorf("missing -F file: %v", err)
	}
	if _, err := New(Options{ConfigFile: dir}); err == nil {
		t.Error("a directory as -F file is no error")
	}
}

func TestOwnConfigMustNotBeWritableByOthers(t *testing.T) {
	home := t.TempDir()
	file := filepath.Join(home, ".ssh", "config")
	writeFile(t, file, "User a\n")
	if err := os.Chmod(file, 0o664); err != nil {
		t.Fatal(err)
	}
	_, err := New(Options{Home: home})
	if err == nil || !strings.Contains(err.Error(), "chmod 0644") {
		t.Errorf("got %v", err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Home: home, User: "local"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.config.resolve(t.Context(), Target{Name: "web"})
	if err != nil || s.User != "a" {
		t.Errorf("got %+v, %v", s, err)
	}
	none, err := New(Options{Home: home, User: "local", ConfigFile: "none"})
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	if s, err = none.config.resolve(t.Context(), Target{Name: "web"}); err != nil || s.User != "local" {
		t.Errorf("none: got %+v, %v", s, err)
	}
}
