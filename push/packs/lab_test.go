package packs

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"troops/gitcli"
	"troops/push/gitwire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is a directory with a local repository "work" and whatever a test makes beside it.
type lab struct {
	t   testing.TB
	dir string
}

// newLab makes the directory. It sets the process's environment, so its tests are not parallel.
func newLab(t testing.TB, format string) *lab {
	t.Helper()
	l := &lab{t: t, dir: t.TempDir()}
	for name, value := range map[string]string{
		"HOME": l.dir, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
		"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.com", "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.com",
	} {
		t.Setenv(name, value)
	}
	l.git("", "init", "-q", "--object-format="+format, "-b", "main", "work")
	return l
}

func (l *lab) path(sub string) string { return filepath.Join(l.dir, sub) }

func (l *lab) git(sub string, args ...string) string {
	l.t.Helper()
	return l.gitIn(sub, nil, args...)
}

func (l *lab) gitIn(sub string, stdin io.Reader, args ...string) string {
	l.t.Helper()
	out, err := gitcli.Repo{Dir: l.path(sub)}.Run(context.Background(), stdin, args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func (l *lab) write(sub, text string) {
	l.t.Helper()
	if err := os.WriteFile(l.path(sub), []byte(text), 0o755); err != nil {
		l.t.Fatal(err)
	}
}

// commit adds a commit that writes text to a file of "work" and returns its name.
func (l *lab) commit(file, text string) gitwire.OID {
	l.t.Helper()
	return l.commitIn("work", file, text)
}

func (l *lab) commitIn(repo, file, text string) gitwire.OID {
	l.t.Helper()
	l.write(filepath.Join(repo, file), text)
	l.git(repo, "add", file)
	l.git(repo, "commit", "-q", "-m", file)
	return l.rev(repo, "HEAD")
}

func (l *lab) rev(repo, name string) gitwire.OID {
	l.t.Helper()
	return gitwire.OID(l.git(repo, "rev-parse", name))
}

// commits adds n commits to a text of some length.
func (l *lab) commits(n int) []gitwire.OID {
	l.t.Helper()
	var oids []gitwire.OID
	text := strings.Repeat("a line of text\n", 200)
	for i := range n {
		text += strings.Repeat("x", i) + "\n"
		oids = append(oids, l.commit("file", text))
	}
	return oids
}

func (l *lab) open(repo string) *Store {
	l.t.Helper()
	s, err := Open(context.Background(), gitcli.Repo{Dir: l.path(repo)}, Known{})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			l.t.Error(err)
		}
	})
	return s
}

// read opens a pack and reads it whole.
func (l *lab) read(s *Store, want gitwire.OID, have []gitwire.OID, flags Flags) []byte {
	l.t.Helper()
	p, err := s.Open(context.Background(), want, have, flags)
	if err != nil {
		l.t.Fatal(err)
	}
	defer p.Close()
	b, err := io.ReadAll(p)
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// objectsIn is the number of objects that a pack's header tells.
func objectsIn(t *testing.T, pack []byte) int {
	t.Helper()
	if len(pack) < 12 || string(pack[:8]) != "PACK\x00\x00\x00\x02" {
		t.Fatalf("no pack: %q", pack[:min(len(pack), 40)])
	}
	return int(binary.BigEndian.Uint32(pack[8:]))
}

// push pushes want to a ref of a real bare repository, with a pack of the store for what that
// repository advertises, and returns the report.
func (l *lab) push(s *Store, bare, ref string, want gitwire.OID) *gitwire.Report {
	l.t.Helper()
	ctx := context.Background()
	cmd := exec.Command("git", "receive-pack", l.path(bare))
	in, err := cmd.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	sess, adv, err := gitwire.ReadAdvertisement(ctx, out)
	if err != nil {
		l.t.Fatal(err)
	}
	old, ok := adv.Ref(ref)
	if !ok {
		old = gitwire.ZeroOID(adv.ObjectFormat)
	}
	pack, err := s.Open(ctx, want, HavesOf(adv, nil), FlagsOf(adv))
	if err != nil {
		l.t.Fatal(err)
	}
	var said bytes.Buffer
	rep, err := sess.Push(ctx, in, gitwire.Request{
		Commands: []gitwire.Command{{Ref: ref, Old: old, New: want}}, Shallow: s.Shallow(), Pack: pack,
	}, sideband{&said})
	if err != nil {
		l.t.Fatalf("%v; server said %q", err, &said)
	}
	if err := cmd.Wait(); err != nil {
		l.t.Fatal(err)
	}
	if !rep.OK() {
		l.t.Logf("server said %q", &said)
	}
	return rep
}

type sideband struct{ b *bytes.Buffer }

func (s sideband) Sideband(p []byte) { s.b.Write(p) }

// fakeGit puts a git on PATH that runs a shell script for pack-objects and the real one otherwise.
func (l *lab) fakeGit(script string) {
	l.t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.Mkdir(l.path("bin"), 0o755); err != nil {
		l.t.Fatal(err)
	}
	l.write("bin/git", "#!/bin/sh\nif [ \"$1\" = pack-objects ]; then\n"+script+"\nfi\nexec "+git+" \"$@\"\n")
	l.t.Setenv("PATH", l.path("bin")+":"+os.Getenv("PATH"))
}
