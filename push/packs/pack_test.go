package packs

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"troops/gitcli"
	"troops/push/gitwire"
)

func TestOnePackForAllReaders(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	c := l.commits(5)
	s := l.open("work")
	stranger := gitwire.OID(strings.Repeat("1", 40))
	haves := [][]gitwire.OID{{c[3]}, {c[3], c[0]}, {c[1], c[3], c[3]}, {stranger, c[3]}}
	packs := make([][]byte, 40)
	var wg sync.WaitGroup
	for i := range packs {
		wg.Go(func() {
			p, err := s.Open(context.Background(), c[4], haves[i%len(haves)], Flags{})
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			var b bytes.Buffer
			if i%2 == 0 {
				_, err = io.Copy(&b, p) // by WriteTo
			} else {
				_, err = b.ReadFrom(struct{ io.Reader }{p})
			}
			if err != nil {
				t.Error(err)
			}
			packs[i] = b.Bytes()
		})
	}
	wg.Wait()
	for i, p := range packs {
		if !bytes.Equal(p, packs[0]) {
			t.Errorf("reader %d got another pack", i)
		}
	}
	if st := s.Stats(); st != (Stats{Groups: 1, PackObjects: 1, Bytes: int64(len(packs[0]))}) {
		t.Errorf("stats %+v, want one pack-objects and %d bytes", st, len(packs[0]))
	}
	if n := objectsIn(t, packs[0]); n != 3 {
		t.Errorf("pack has %d objects, want commit, tree and blob", n)
	}

	// Another need is another pack, and only that one is made.
	older := l.read(s, c[4], []gitwire.OID{c[1]}, Flags{})
	whole := l.read(s, c[4], []gitwire.OID{c[3]}, Flags{NoThin: true})
	if st := s.Stats(); st.PackObjects != 3 || st.Groups != 3 {
		t.Errorf("stats %+v, want three packs", st)
	}
	if n := objectsIn(t, older); n != 9 {
		t.Errorf("pack for the older node has %d objects, want 9", n)
	}
	if len(whole) <= len(packs[0]) {
		t.Errorf("whole pack has %d bytes, thin one %d", len(whole), len(packs[0]))
	}
}

func TestPackErrorIsEveryReaders(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	c := l.commits(2)
	l.fakeGit("printf PACK; echo 'fatal: disk on fire' >&2; exit 128")
	s := l.open("work")
	for range 3 {
		p, err := s.Open(context.Background(), c[1], c[:1], Flags{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Size(context.Background())
		_, rerr := io.ReadAll(p)
		for _, err := range []error{err, rerr} {
			var pe *Error
			var ge *gitcli.Error
			if !errors.As(err, &pe) || pe.Want != c[1] || !errors.As(err, &ge) || ge.Stderr != "fatal: disk on fire" || ge.ExitCode() != 128 {
				t.Errorf("error %#v", err)
			}
		}
	}
	if n := s.Stats().PackObjects; n != 1 {
		t.Errorf("%d pack-objects, want 1", n)
	}
}

func TestNoSuchCommit(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	l.commits(1)
	s := l.open("work")
	p, err := s.Open(context.Background(), gitwire.OID(strings.Repeat("1", 40)), nil, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	var pe *Error
	if _, err := io.ReadAll(p); !errors.As(err, &pe) || !strings.Contains(err.Error(), "bad object") {
		t.Errorf("error %v", err)
	}
	if _, err := s.Open(context.Background(), "HEAD", nil, Flags{}); err == nil {
		t.Error("a name that is no object name was taken")
	}
	if _, err := s.Has(context.Background(), "x\ny"); err == nil {
		t.Error("Has took a name that is no object name")
	}
}

func TestSpoolFails(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	big := make([]byte, 2*memoryLimit)
	if _, err := rand.Read(big); err != nil {
		t.Fatal(err)
	}
	c := l.commit("big", string(big))
	s := l.open("work")
	t.Setenv("TMPDIR", l.path("nowhere"))
	p, err := s.Open(context.Background(), c, nil, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	var pe *Error
	if _, err := io.ReadAll(p); !errors.As(err, &pe) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("error %v", err)
	}
}

// TestBigPackLeavesNoFile: a pack beyond the memory limit is spooled in an unlinked file.
func TestBigPackLeavesNoFile(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	big := make([]byte, 4*memoryLimit)
	if _, err := rand.Read(big); err != nil {
		t.Fatal(err)
	}
	c := l.commit("big", string(big))
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s := l.open("work")
	a := l.read(s, c, nil, Flags{})
	if len(a) < len(big) || !bytes.Equal(a, l.read(s, c, nil, Flags{})) {
		t.Errorf("the pack of %d bytes was read differently twice", len(a))
	}
	left, err := filepath.Glob(filepath.Join(tmp, "troops-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
}

// TestSlotsAndClose: two pack-objects at once; Close ends them and every reader.
func TestSlotsAndClose(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	c := l.commits(4)
	gate, started := l.path("gate"), l.path("started")
	for _, fifo := range []string{gate, started} {
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l.fakeGit("echo started >" + started + "; printf PACK; read x <" + gate)
	s := l.open("work")
	events, err := os.OpenFile(started, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Close()
	var wg sync.WaitGroup
	errs := make(chan error, 3)
	for _, have := range c[:3] {
		p, err := s.Open(context.Background(), c[3], []gitwire.OID{have}, Flags{})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			_, err := io.Copy(io.Discard, p)
			errs <- err
		})
	}
	if _, err := io.ReadFull(events, make([]byte, 2*len("started\n"))); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.PackObjects != MaxPackObjects || st.Groups != 3 {
		t.Errorf("stats %+v, want %d of 3 at work", st, MaxPackObjects)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	for range 3 {
		if err := <-errs; !errors.Is(err, ErrClosed) {
			t.Errorf("reader's error %v, want ErrClosed", err)
		}
	}
	_, oerr := s.Open(context.Background(), c[3], c[:1], Flags{})
	_, herr := s.Has(context.Background(), gitwire.OID(strings.Repeat("2", 40)))
	_, rerr := s.Relation(context.Background(), c[0], c[2])
	for _, err := range []error{oerr, herr, rerr} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v, want ErrClosed", err)
		}
	}
}

// TestStoreContext: the children end with the context that the store was opened with.
func TestStoreContext(t *testing.T) {
	l := newLab(t, gitwire.SHA1)
	c := l.commits(2)
	gate := l.path("gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	l.fakeGit("printf PACK; read x <" + gate)
	stop := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	s, err := Open(ctx, gitcli.Repo{Dir: l.path("work")}, Known{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p, err := s.Open(context.Background(), c[1], nil, Flags{})
	if err != nil {
		t.Fatal(err)
	}
	if b := make([]byte, 4); true {
		if _, err := io.ReadFull(p, b); err != nil || string(b) != "PACK" { // follows while it grows
			t.Fatalf("read %q, %v", b, err)
		}
	}
	cancel(stop)
	if _, err := io.ReadAll(p); !errors.Is(err, stop) {
		t.Errorf("error %v, want %v", err, stop)
	}
}

func TestOpenNoRepository(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(dir))
	var ge *gitcli.Error
	if _, err := Open(context.Background(), gitcli.Repo{Dir: dir}, Known{}); !errors.As(err, &ge) {
		t.Errorf("error %v", err)
	}
}
