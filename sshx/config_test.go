package sshx

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
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
	if n := r.answers.len(); n != 1 {
		t.Errorf("%d answers are cached", n)
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
