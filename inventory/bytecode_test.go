package inventory

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
)

// An evaluation leaves the compiled evaluator, the next one takes it, and whatever is wrong
// with it, or with its place, is as if there were none.
func TestBytecodeIsKept(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	repo, commit := testRepo(t, map[string]string{"deploy.py": oneHost})
	read := func() {
		t.Helper()
		forget(t) // what deploy.py says: it is evaluated each time
		inv, err := Read(t.Context(), repo, commit, Options{})
		if err != nil || len(inv.Entries) != 1 || inv.Entries[0].Host.String() != "a" {
			t.Fatalf("%+v, %v", inv, err)
		}
	}
	read()
	files, err := filepath.Glob(filepath.Join(cache, "troops", "evaluator-*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	kept, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	c := userBytecode()
	if code := c.load(files[0]); code == nil || !bytes.HasSuffix(kept, code) {
		t.Error("what was kept is not taken")
	}
	// Marks the file: one that is stored again is another one.
	stat := func() os.FileInfo {
		t.Helper()
		info, err := os.Stat(files[0])
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	before := stat()
	read()
	if !os.SameFile(before, stat()) {
		t.Error("what was kept was not used")
	}
	for _, bad := range []struct {
		name string
		do   func() error
	}{
		{"damaged", func() error { return os.WriteFile(files[0], append(bytes.Clone(kept[:len(kept)-1]), 'x'), 0o600) }},
		{"cut short", func() error { return os.WriteFile(files[0], kept[:10], 0o600) }},
		{"writable for others", func() error { return os.Chmod(files[0], 0o666) }},
		{"a link", func() error {
			other := filepath.Join(t.TempDir(), "other")
			if err := os.WriteFile(other, kept, 0o600); err != nil {
				return err
			}
			if err := os.Remove(files[0]); err != nil {
				return err
			}
			return os.Symlink(other, files[0])
		}},
		{"in a directory for all", func() error { return os.Chmod(filepath.Dir(files[0]), 0o777) }},
	} {
		if err := bad.do(); err != nil {
			t.Fatal(err)
		}
		if c.load(files[0]) != nil {
			t.Errorf("%s: it is taken", bad.name)
		}
		read()
	}
	if c.load(files[0]) != nil {
		t.Error("a directory that all may write is used")
	}
}

func TestBytecodeWithoutAPlace(t *testing.T) {
	for _, c := range []bytecode{{}, {dir: "/proc/nowhere"}} {
		if path := c.path([]byte("x"), "cpython-311"); c.dir == "" && path != "" {
			t.Errorf("path %q", path)
		} else if err := c.store(path, []byte("y")); c.dir != "" && err == nil {
			t.Error("it is stored nowhere")
		}
	}
	if path := (bytecode{dir: "/x"}).path(nil, "../../etc/x"); path != "" {
		t.Errorf("a tag leads to %q", path)
	}
}

// TestEvaluatorSum: another evaluator has another sum, or an old one's answers and bytecode were taken for its own.
func TestEvaluatorSum(t *testing.T) {
	seen := make(map[string]bool)
	for _, files := range []fstest.MapFS{
		{},
		{"pyeval/a.py": {Data: []byte("x = 1")}},
		{"pyeval/a.py": {Data: []byte("x = 2")}},
		{"pyeval/b.py": {Data: []byte("x = 1")}},
		{"pyeval/a.py": {Data: []byte("x = 1")}, "pyeval/b.py": {Data: []byte("y = 1")}},
		{"pyeval/a.py": {Data: []byte("x = 1")}, "pyeval/b.py": {Data: []byte("y = 2")}},
	} {
		sum, err := sumOf(files)
		if err != nil || seen[string(sum)] {
			t.Errorf("%v: %x, %v", files, sum, err)
		}
		seen[string(sum)] = true
	}
}
