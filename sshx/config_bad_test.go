package sshx

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestBadConfigFiles has files that are no files, or that others can write, as -F and as
// Include: they are refused where ssh refuses them.
func TestBadConfigFiles(t *testing.T) {
	needs(t, "ssh")
	cases := []struct {
		name            string
		make            func(path string) error
		given, included string // part of the error, empty where it is accepted
		stricter        bool   // than ssh, as -F
	}{
		{name: "missing", make: func(string) error { return nil }, given: "no such file"},
		{name: "fine", make: withMode(0o600)},
		{name: "readable by all", make: withMode(0o644)},
		{name: "writable by all", make: withMode(0o666), included: "chmod 0644"},
		{name: "writable by others", make: withMode(0o602), included: "chmod 0600"},
		{name: "directory", make: func(path string) error { return os.Mkdir(path, 0o755) }, given: "is a directory", stricter: true},
		{name: "link to itself", make: func(path string) error { return os.Symlink(path, path) }, given: "too many levels", included: "too many levels"},
		{name: "link to nothing", make: func(path string) error { return os.Symlink(path+"-none", path) }, given: "no such file"},
		{name: "without rights", make: withMode(0), given: "permission denied", included: "permission denied"},
	}
	if os.Getuid() == 0 { // who may read all files, and give them away
		last := &cases[len(cases)-1]
		last.name, last.given, last.included = "of somebody else", "", "belongs to uid 4242"
		last.make = func(path string) error { return errors.Join(withMode(0o644)(path), os.Chown(path, 4242, 4242)) }
	}
	for _, tt := range cases {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			dir := t.TempDir()
			file, main := filepath.Join(dir, "file"), filepath.Join(dir, "main")
			if err := tt.make(file); err != nil {
				t.Fatal(err)
			}
			writeFile(t, main, "Include "+file+"\n")
			for path, want := range map[string]string{file: tt.given, main: tt.included} {
				_, err := New(Options{ConfigFile: path})
				var ce *ConfigError
				if (err != nil) != (want != "") || err != nil && (!errors.As(err, &ce) || ce.File != file || !strings.Contains(err.Error(), want)) {
					t.Errorf("%s: %v, want %q", path, err, want)
				}
				accepted := exec.Command("ssh", "-G", "-F", path, "web").Run() == nil
				if accepted != (want == "") && !(tt.stricter && path == file) {
					t.Errorf("%s: ssh accepts it: %v", path, accepted)
				}
			}
		})
	}
}

// withMode makes a file with some rights.
func withMode(mode os.FileMode) func(string) error {
	return func(path string) error {
		return errors.Join(os.WriteFile(path, []byte("User u\n"), 0o600), os.Chmod(path, mode))
	}
}

// TestPipeAsConfigDoesNotHang gives a pipe nobody writes to.
func TestPipeAsConfigDoesNotHang(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{ConfigFile: pipe}); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("got %v", err)
	}
}

// TestOwnConfigThatCannotBeOpened is passed over, as by ssh, but not in silence.
func TestOwnConfigThatCannotBeOpened(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(home string) error
		log  string
	}{
		"missing":   {func(string) error { return nil }, ""},
		"directory": {func(home string) error { return os.MkdirAll(filepath.Join(home, ".ssh", "config"), 0o700) }, ""},
		"link to itself": {func(home string) error {
			return errors.Join(os.Mkdir(filepath.Join(home, ".ssh"), 0o700), os.Symlink("config", filepath.Join(home, ".ssh", "config")))
		}, "too many levels of symbolic links"},
		"ssh is a file": {func(home string) error { return os.WriteFile(filepath.Join(home, ".ssh"), nil, 0o600) }, "not a directory"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			home := t.TempDir()
			if err := tt.make(home); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			c, err := New(Options{Home: home, User: "me", Logf: func(format string, args ...any) { fmt.Fprintf(&log, format+"\n", args...) }})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if s, err := c.config.resolve(t.Context(), Target{Name: "web"}); err != nil || s.User != "me" {
				t.Errorf("%+v, %v", s, err)
			}
			if got := log.String(); !strings.Contains(got, tt.log) || (tt.log == "") != (got == "") {
				t.Errorf("log %q, want %q", got, tt.log)
			}
		})
	}
}

// TestNamesThatSSHRefuses compares which host names, users and ports are refused.
func TestNamesThatSSHRefuses(t *testing.T) {
	needs(t, "ssh")
	for _, tt := range []struct {
		name     string
		stricter string // why we refuse what ssh accepts
	}{
		{"web", ""}, {"web.example.com", ""}, {"web_1", ""}, {"WEB", ""}, {"web.", ""}, {"10.0.0.1", ""}, {"::1", ""}, {"fe80::1%lo", ""}, {"grün", ""},
		{"a+b", ""}, {"a=b", ""}, {"a~b", ""}, {"a^b", ""},
		{"-oProxyCommand=id", ""}, {"-web", ""}, {"", "no name"}, {"a b", ""}, {" a", ""}, {"a\tb", ""}, {"a\nb", ""}, {"a\x01", ""}, {"a\x7f", ""},
		{"a;b", ""}, {"$(id)", ""}, {"a$b", ""}, {"`id`", ""}, {"a'b", ""}, {`a"b`, ""}, {`a\b`, ""}, {"a|b", ""}, {"a&b", ""}, {"<a", ""}, {"a>", ""},
		{"(a)", ""}, {"{a}", ""}, {strings.Repeat("a", 2000), "longer than a name can be"},
		{"a%h", "a token of a command"}, {"%n", "a token of a command"}, {"a%", "a token of a command"}, {"a:b:c", "no address"}, {"a,b", ""},
		{"a#b", "a comment"}, {"a*", "a pattern"}, {"a?", "a pattern"}, {"!a", "a pattern"}, {"a/b", "a path"}, {"[a", "no address"},
	} {
		_, err := ParseTarget(tt.name)
		sshErr := exec.Command("ssh", "-G", "-F", "none", "--", tt.name).Run()
		if (err != nil) != (sshErr != nil || tt.stricter != "") || tt.stricter != "" && sshErr != nil {
			t.Errorf("%.20q: %v; of ssh: %v", tt.name, err, sshErr)
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\x01\x7f\n\t") || !strings.Contains(err.Error(), "host")) {
			t.Errorf("%.20q: unclear error %q", tt.name, err)
		}
	}
	for _, user := range []string{"-x", "a;b", "a|b", "a b -c", "a'b", `a\`, "a\x01"} {
		if got, err := ParseTarget(user + "@web"); err == nil {
			t.Errorf("user %q: %+v", user, got)
		}
	}
}
