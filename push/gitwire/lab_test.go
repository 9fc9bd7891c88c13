package gitwire

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a directory with a local repository "work" and bare ones to push to.
type lab struct {
	t      *testing.T
	dir    string
	format string
}

func newLab(t *testing.T, format string) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir(), format: format}
	l.git("", "init", "-q", "--object-format="+format, "-b", "main", "work")
	return l
}

func (l *lab) env(extra ...string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com",
		"GIT_AUTHOR_DATE=2024-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2024-01-01T00:00:00Z",
	}
	return append(env, extra...)
}

// git runs git in the directory sub and returns what it printed.
func (l *lab) git(sub string, args ...string) string {
	l.t.Helper()
	return l.gitIn(sub, nil, args...)
}

func (l *lab) gitIn(sub string, stdin io.Reader, args ...string) string {
	l.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = filepath.Join(l.dir, sub), l.env(), stdin
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("git %s: %v: %s", strings.Join(args, " "), err, &errs)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// commit adds a commit that writes text to a file and returns its name.
func (l *lab) commit(file, text string) OID {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, "work", file), []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
	l.git("work", "add", file)
	l.git("work", "commit", "-q", "-m", "write "+file)
	return l.head()
}

func (l *lab) head() OID { l.t.Helper(); return OID(l.git("work", "rev-parse", "HEAD")) }

// bare makes a bare repository.
func (l *lab) bare(name string) {
	l.t.Helper()
	l.git("", "init", "-q", "--bare", "--object-format="+l.format, "-b", "main", name)
}

// hook installs a shell script as a hook of a bare repository.
func (l *lab) hook(repo, name, script string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, repo, "hooks", name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		l.t.Fatal(err)
	}
}

// pack makes a pack of what want has and the haves have not.
func (l *lab) pack(want OID, haves ...OID) io.ReadCloser {
	l.t.Helper()
	spec := string(want) + "\n"
	for _, h := range haves {
		spec += "^" + string(h) + "\n"
	}
	args := []string{"pack-objects", "--stdout", "--revs", "--thin", "--delta-base-offset", "-q"}
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = filepath.Join(l.dir, "work"), l.env(), strings.NewReader(spec)
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("pack-objects: %v", err)
	}
	return io.NopCloser(bytes.NewReader(out))
}

// server is a real receive-pack.
type server struct {
	out    io.ReadCloser
	in     io.WriteCloser
	stderr bytes.Buffer
	wait   func() error
}

// serve starts receive-pack on a repository by a shell command in which "$0" is its path.
func (l *lab) serve(repo, command string, env ...string) *server {
	l.t.Helper()
	cmd := exec.Command("sh", "-c", command, filepath.Join(l.dir, repo))
	cmd.Dir, cmd.Env = l.dir, l.env(env...)
	s := &server{}
	var err error
	if s.in, err = cmd.StdinPipe(); err != nil {
		l.t.Fatal(err)
	}
	if s.out, err = cmd.StdoutPipe(); err != nil {
		l.t.Fatal(err)
	}
	cmd.Stderr = &s.stderr
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	s.wait = sync.OnceValue(cmd.Wait)
	l.t.Cleanup(func() { _ = s.in.Close(); _ = s.out.Close(); _ = s.wait() })
	return s
}

const plainServer = `exec git receive-pack "$0"`

// connect starts receive-pack on a repository and reads its advertisement.
func (l *lab) connect(repo string) (*server, *Session, *Advertisement) {
	l.t.Helper()
	srv := l.serve(repo, plainServer)
	s, adv, err := ReadAdvertisement(context.Background(), srv.out)
	if err != nil {
		l.t.Fatalf("ReadAdvertisement: %v; stderr %q", err, &srv.stderr)
	}
	return srv, s, adv
}

// ref is a ref's value in a repository, empty where it has none.
func (l *lab) ref(repo, name string) OID {
	l.t.Helper()
	return OID(l.git(repo, "for-each-ref", "--format=%(objectname)", name))
}

// heard is a Handler that keeps what it hears.
type heard struct {
	text     bytes.Buffer
	reported *Report
	onText   func(sofar string) // may be nil
}

func (h *heard) Sideband(p []byte) {
	h.text.Write(p)
	if h.onText != nil {
		h.onText(h.text.String())
	}
}

func (h *heard) Reported(r *Report) { c := *r; h.reported = &c }

var _ ReportHandler = (*heard)(nil)
