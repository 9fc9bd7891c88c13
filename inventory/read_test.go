package inventory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"troops/gitcli"
)

// TestMain keeps the user's cache out of it: what an earlier run found out would hide a fault.
func TestMain(m *testing.M) {
	cache, err := os.MkdirTemp("", "troops-inventory-test-")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_CACHE_HOME", cache)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(cache)
		os.Exit(code)
	}))
}

const oneHost = "import troops\ntroops.define_role('web', hosts=['a'])\n"

// read reads deploy.py alone.
func read(t *testing.T, deploy string) (*Inventory, error) {
	t.Helper()
	repo, commit := testRepo(t, map[string]string{"deploy.py": deploy})
	return Read(t.Context(), repo, commit, Options{})
}

// TestNoSideEffects reads a file that does at its top level, in functions, classes,
// decorators and imported modules what a deployment does, and shows that nothing was done.
func TestNoSideEffects(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	marks := t.TempDir()
	text, err := os.ReadFile("testdata/sideeffects.py")
	if err != nil {
		t.Fatal(err)
	}
	deploy := strings.NewReplacer("@MARKS@", marks, "@PORT@", fmt.Sprint(l.Addr().(*net.TCPAddr).Port)).Replace(string(text))
	repo, commit := testRepo(t, map[string]string{
		"deploy.py": deploy,
		"helper.py": strings.ReplaceAll("open('@MARKS@/helper', 'w').write('x')\n", "@MARKS@", marks),
		"os.py":     strings.ReplaceAll("open('@MARKS@/os', 'w').write('x')\n", "@MARKS@", marks),
		"ast.py":    strings.ReplaceAll("open('@MARKS@/ast', 'w').write('x')\n", "@MARKS@", marks),
		"json.py":   strings.ReplaceAll("open('@MARKS@/json', 'w').write('x')\n", "@MARKS@", marks),
	})
	inv, err := Read(t.Context(), repo, commit, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := render(inv, nil); !strings.HasPrefix(got, "a: web (deploy.py:") {
		t.Errorf("hosts:\n%s", got)
	}
	left, err := os.ReadDir(marks)
	if err != nil || len(left) > 0 {
		t.Errorf("files were made: %v, %v", left, err)
	}
	// A connection that was made would be first in the queue, before this one.
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	defer l.Close()
	if first.RemoteAddr().String() != c.LocalAddr().String() {
		t.Error("a connection was made")
	}
	// The same file does leave its marks when Python runs it, or the test shows nothing.
	dir := t.TempDir()
	for name, text := range map[string]string{"deploy.py": deploy, "helper.py": "", "troops.py": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	_ = exec.CommandContext(t.Context(), pythons("")[0], filepath.Join(dir, "deploy.py")).Run()
	if left, _ := os.ReadDir(marks); len(left) < 3 {
		t.Errorf("run for real it left only %v", left)
	}
}

func TestReadsTheCommitOnly(t *testing.T) {
	dir := t.TempDir()
	git := gitcli.Repo{Dir: dir, Env: append(gitcli.CleanEnv(os.Environ()), "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com",
		"GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")}
	run := func(args ...string) string {
		t.Helper()
		out, err := git.Line(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	run("init", "-q", ".")
	write("deploy.py", "import fleet\nimport troops\ntroops.define_role('web', hosts=fleet.HOSTS)\n")
	write("fleet.py", "HOSTS = ['committed']\n")
	write("sub/deploy.py", "import troops\ntroops.define_role('web', hosts=['sub'])\n")
	run("add", ".")
	run("commit", "-q", "-m", "x")
	commit := run("rev-parse", "HEAD")
	write("fleet.py", "HOSTS = ['staged']\n")
	run("add", ".")
	write("fleet.py", "HOSTS = ['dirty']\n")
	write("roles.toml", "[web]\nhosts = ['untracked']\n")
	write("troops.py", "")

	bare := filepath.Join(t.TempDir(), "bare.git")
	run("clone", "-q", "--bare", ".", bare)
	for name, repo := range map[string]gitcli.Repo{
		"work tree": {Dir: dir}, "sub-directory": {Dir: filepath.Join(dir, "sub")}, "bare": {Dir: bare}, "git dir": {Dir: "/", GitDir: bare},
	} {
		inv, err := Read(t.Context(), repo, commit, Options{})
		if got, want := render(inv, err), "committed: web (deploy.py:3)\n"; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestNoPython(t *testing.T) {
	old := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(old, []byte("#!/bin/sh\necho '{\"hello\": [3, 6]}'\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\nexit 127\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	repo, commit := testRepo(t, map[string]string{"deploy.py": oneHost})
	for name, python := range map[string]string{"missing": "/nonexistent/python3", "old": old, "broken": broken} {
		inv, err := Read(t.Context(), repo, commit, Options{Python: python})
		if !errors.Is(err, ErrNoPython) || !Unavailable(err) || inv != nil {
			t.Fatalf("%s: %v, %v", name, inv, err)
		}
		for _, way := range []string{"install python3", "roles.toml", "--host", python} {
			if !strings.Contains(err.Error(), way) {
				t.Errorf("%s: %q lacks %q", name, err, way)
			}
		}
	}
	repo, commit = testRepo(t, map[string]string{"deploy.py": oneHost, "roles.toml": "[db]\nhosts = ['b']\n"})
	inv, err := Read(t.Context(), repo, commit, Options{Python: broken})
	want := "b: db (roles.toml:2)\n    complete: false\nwarning: deploy.py: it was not read, since there is no python3 (3.8 or later) here: only roles.toml counts\n"
	if got := render(inv, err); got != want {
		t.Errorf("with roles.toml: %s", got)
	}
	repo, commit = testRepo(t, map[string]string{"roles.toml": "[db]\nhosts = ['b']\n"})
	if inv, err = Read(t.Context(), repo, commit, Options{Python: broken}); render(inv, err) != "b: db (roles.toml:2)\n" {
		t.Errorf("without deploy.py: %s", render(inv, err))
	}
}

// TestPythonOnPath also shows that a python3 that does not start is passed over.
func TestPythonOnPath(t *testing.T) {
	real := pythons("")
	if len(real) == 0 {
		t.Fatal("these tests need python3")
	}
	repo, commit := testRepo(t, map[string]string{"deploy.py": oneHost})
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	bin, broken := t.TempDir(), t.TempDir()
	if err := os.Symlink(git, filepath.Join(bin, "git")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":relative")
	if inv, err := Read(t.Context(), repo, commit, Options{}); !errors.Is(err, ErrNoPython) {
		t.Errorf("without python3: %v, %v", inv, err)
	}
	if err := os.Symlink("/bin/false", filepath.Join(broken, "python3")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real[0], filepath.Join(bin, "python3")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", broken+":"+bin)
	if inv, err := Read(t.Context(), repo, commit, Options{}); render(inv, err) != "a: web (deploy.py:2)\n" {
		t.Errorf("with a broken one first: %s", render(inv, err))
	}
}

func TestMissing(t *testing.T) {
	repo, commit := testRepo(t, map[string]string{"README": "x"})
	_, err := Read(t.Context(), repo, commit, Options{})
	if !errors.Is(err, ErrNoDeployment) || !Unavailable(err) || !strings.Contains(err.Error(), commit[:12]) {
		t.Errorf("no deploy.py: %v", err)
	}
	var ge *gitcli.Error
	for _, bad := range []string{strings.Repeat("1", 40), "--output=/tmp/x", ""} {
		if _, err := Read(t.Context(), repo, bad, Options{}); !errors.As(err, &ge) {
			t.Errorf("commit %q: %v", bad, err)
		}
	}
	if _, err := Read(t.Context(), gitcli.Repo{Dir: t.TempDir()}, commit, Options{}); !errors.As(err, &ge) {
		t.Errorf("no repository: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	if err := syscall.Mkfifo(started, 0o600); err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(dir, "python3")
	if err := os.WriteFile(slow, []byte("#!/bin/sh\necho > "+started+"\nexec sleep 1000\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	repo, commit := testRepo(t, map[string]string{"deploy.py": oneHost})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := Read(ctx, repo, commit, Options{Python: slow})
		done <- err
	}()
	if _, err := os.ReadFile(started); err != nil { // waits for the writer
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
