package gitcli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func newRepo(t *testing.T) Repo {
	t.Helper()
	r := Repo{Dir: t.TempDir()}
	if _, err := r.Run(t.Context(), nil, "init", "-q", "-b", "master"); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRun(t *testing.T) {
	r := newRepo(t)
	out, err := r.Run(t.Context(), strings.NewReader("some text"), "hash-object", "-w", "--stdin")
	if err != nil {
		t.Fatal(err)
	}
	line, err := r.Line(t.Context(), "cat-file", "-p", strings.TrimSpace(string(out)))
	if err != nil || line != "some text" {
		t.Errorf("read %q, %v", line, err)
	}
	bare := Repo{GitDir: filepath.Join(r.Dir, ".git")}
	if line, err := bare.Line(t.Context(), "symbolic-ref", "HEAD"); err != nil || line != "refs/heads/master" {
		t.Errorf("with a GitDir: %q, %v", line, err)
	}
}

func TestErrors(t *testing.T) {
	r := newRepo(t)
	_, err := r.Run(t.Context(), nil, "cat-file", "-t", "nothing")
	var ge *Error
	if !errors.As(err, &ge) || ge.ExitCode() != 128 || !strings.Contains(ge.Stderr, "Not a valid object name") {
		t.Fatalf("error %#v", err)
	}
	if got := err.Error(); got != "git cat-file: "+ge.Stderr {
		t.Errorf("says %q", got)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := r.Run(t.Context(), nil, "version"); !errors.Is(err, exec.ErrNotFound) || !errors.As(err, &ge) || ge.ExitCode() != -1 {
		t.Errorf("without git: %#v", err)
	}
}

func TestTest(t *testing.T) {
	r := newRepo(t)
	tests := []struct {
		args []string
		want bool
		bad  bool
	}{
		{[]string{"config", "--get", "core.bare"}, true, false},
		{[]string{"config", "--get", "core.nothing"}, false, false},
		{[]string{"no-such-command"}, false, false}, // git exits 1 for it, too
		{[]string{"rev-parse", "--verify", "nothing"}, false, true},
	}
	for _, tt := range tests {
		got, err := r.Test(t.Context(), tt.args...)
		if got != tt.want || (err != nil) != tt.bad {
			t.Errorf("%v: %v, %v", tt.args, got, err)
		}
	}
}

func TestCancelledGitEnds(t *testing.T) {
	r := newRepo(t)
	ctx, cancel := context.WithCancel(t.Context())
	cmd := r.Command(ctx, "cat-file", "--batch")
	in, err := cmd.StdinPipe() // never closed: git would wait for ever
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := cmd.Wait(); !errors.Is(err, context.Canceled) && cmd.ProcessState.Success() {
		t.Errorf("ended with %v", err)
	}
}

func TestCleanEnv(t *testing.T) {
	got := CleanEnv([]string{
		"PATH=/bin", "GIT_DIR=/elsewhere", "GIT_QUARANTINE_PATH=/q", "GIT_PUSH_OPTION_0=x", "GIT_INDEX_FILE=i",
		"GIT_SSH_COMMAND=ssh -F x", "LC_ALL=de_DE.UTF-8", "ODD",
	})
	want := []string{"PATH=/bin", "GIT_SSH_COMMAND=ssh -F x", "ODD", "LC_ALL=C.UTF-8"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// The variables that git itself says bind it to a repository must all be on our list.
func TestCleanEnvKnowsGitsList(t *testing.T) {
	out, err := newRepo(t).Line(t.Context(), "rev-parse", "--local-env-vars")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.SplitSeq(out, "\n") {
		if len(CleanEnv([]string{name + "=x"})) != 1 {
			t.Errorf("%s is kept", name)
		}
	}
}

func TestClip(t *testing.T) {
	if got := clip(strings.Repeat("x", 5000)); len(got) != 4096+len(" [cut]") {
		t.Errorf("%d bytes are left", len(got))
	}
	if got := clip(" a\n"); got != "a" {
		t.Errorf("got %q", got)
	}
}

func TestMain(m *testing.M) {
	os.Unsetenv("GIT_DIR") // as set when the tests run in a hook
	os.Exit(m.Run())
}
