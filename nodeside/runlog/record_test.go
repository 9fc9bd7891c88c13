package runlog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"troops/nodeside/wire"
)

const (
	runA = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	runB = "01ARZ3NDEKTSV4RRFFQ69G5FAW"
)

func newRun(t *testing.T, runs, id string, state wire.State, notes ...string) (Dir, *os.File) {
	t.Helper()
	dir, alive, err := Create(runs, wire.Result{Run: id, Commit: "c", State: state, Queued: time.Unix(1, 0).UTC()}, notes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { alive.Close() })
	return dir, alive
}

func TestCreate(t *testing.T) {
	runs := t.TempDir()
	dir, alive := newRun(t, runs, runA, wire.Queued, "hello")
	for path, want := range map[string]os.FileMode{string(dir): DirMode, dir.Log(): FileMode, dir.Alive(): FileMode, string(dir) + "/record.json": FileMode} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if held, err := Held(dir.Alive()); !held || err != nil {
		t.Errorf("lock held: %v, %v", held, err)
	}
	alive.Close()
	if held, err := Held(dir.Alive()); held || err != nil {
		t.Errorf("lock held after the end: %v, %v", held, err)
	}
	if held, err := Held(dir.Alive() + "x"); held || err != nil {
		t.Errorf("lock of nothing held: %v, %v", held, err)
	}
	if _, _, err := Create(runs, wire.Result{Run: runA, State: wire.Queued}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	if left, _ := os.ReadDir(runs); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if _, _, err := Create(filepath.Join(runs, "missing"), wire.Result{Run: runA}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nowhere: %v", err)
	}
}

func TestRecord(t *testing.T) {
	dir, _ := newRun(t, t.TempDir(), runA, wire.Queued)
	if info, err := os.Stat(string(dir) + "/spare"); err != nil || info.Size() != spareSize {
		t.Errorf("room for the last steps: %v", err)
	}
	want := wire.Result{Run: runA, Commit: "c", State: wire.Failed, Phase: "deploy", ExitCode: 7, Error: "two\nlines\xff", Queued: time.Unix(1, 0).UTC()}
	if err := dir.SetRecord(want); err != nil {
		t.Fatal(err)
	}
	want.Error = "two lines\uFFFD"
	if got, err := dir.Record(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if left, _ := os.ReadDir(string(dir)); len(left) != 3 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := Dir(string(dir) + "x").Record(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no run: %v", err)
	}
	if err := os.WriteFile(string(dir)+"/record.json", []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Record(); err == nil || !strings.Contains(err.Error(), runA) {
		t.Errorf("malformed: %v", err)
	}
}

// Whatever a deployment reports, the result can be read.
func TestRecordLimits(t *testing.T) {
	dir, _ := newRun(t, t.TempDir(), runA, wire.Queued)
	r := wire.Result{Run: runA, State: wire.OK, Error: strings.Repeat("ä", 100_000), Reported: true}
	for range 5000 {
		r.Roles = append(r.Roles, strings.Repeat("r", 64))
	}
	if err := dir.SetRecord(r); err != nil {
		t.Fatal(err)
	}
	got, err := dir.Record()
	if err != nil || got.Roles != nil || got.Reported || len(got.Error) > 1010 || !strings.HasSuffix(got.Error, "ä [cut]") {
		t.Errorf("%d bytes of error, %d roles, %v", len(got.Error), len(got.Roles), err)
	}
}

// On a full disk a record is overwritten in place.
func TestOverwrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record.json")
	if err := os.WriteFile(path, []byte(`{"run":"a","state":"running","error":"long"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{"state":"ok"}`, `{"state":"failed","error":"` + strings.Repeat("x", 500) + `"}`, `{"state":"ok"}`} {
		if err := overwrite(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil || strings.TrimRight(string(b), " ") != text {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := wire.ParseResult(b); err != nil {
			t.Error(err)
		}
	}
	for err, want := range map[error]bool{unix.ENOSPC: true, unix.EDQUOT: true, unix.EFBIG: true, unix.EIO: false, unix.EACCES: false} {
		if full(&fs.PathError{Op: "write", Err: err}) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}

func TestList(t *testing.T) {
	runs := t.TempDir()
	a, _ := newRun(t, runs, runA, wire.Queued)
	b, _ := newRun(t, runs, runB, wire.OK)
	for _, other := range []string{"empty", ".new-1", "moved"} {
		if err := os.Mkdir(filepath.Join(runs, other), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(runs, "moved", "record.json"), []byte(`{"run":"`+runA+`","state":"ok"}`), 0o600)
	all, err := List(runs)
	if err != nil || len(all) != 2 || all[a].State != wire.Queued || all[b].State != wire.OK {
		t.Errorf("%v, %v", all, err)
	}
	if err := RemoveUnmade(runs); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(runs); len(left) != 4 {
		t.Errorf("kept %v", left)
	}
}

func TestTryLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	one, two := open(), open()
	defer two.Close()
	if err := Lock(one); err != nil {
		t.Fatal(err)
	}
	if got, err := TryLock(two); got || err != nil {
		t.Errorf("taken twice: %v, %v", got, err)
	}
	one.Close()
	if got, err := TryLock(two); !got || err != nil {
		t.Errorf("not free after closing: %v, %v", got, err)
	}
}
