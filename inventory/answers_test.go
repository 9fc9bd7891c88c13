package inventory

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// forget removes what evaluations have left in the user's cache.
func forget(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(userBytecode().dir, answersPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnswersAreKept counts how often Python is started: only where something that the answer
// stands on has changed, or the answer is not to be trusted.
func TestAnswersAreKept(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	real, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	python := filepath.Join(t.TempDir(), "python3")
	if err := os.WriteFile(python, fmt.Appendf(nil, "#!/bin/sh\necho x >>%s\nexec %s \"$@\"\n", log, real), 0o755); err != nil {
		t.Fatal(err)
	}
	starts := 0
	read := func(what string, files map[string]string, anew bool, hosts string) {
		t.Helper()
		repo, commit := testRepo(t, files)
		inv, err := Read(t.Context(), repo, commit, Options{Python: python})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		var got []string
		for _, e := range inv.Entries {
			got = append(got, e.Host.String())
		}
		b, _ := os.ReadFile(log)
		now := strings.Count(string(b), "x")
		if (now > starts) != anew || strings.Join(got, " ") != hosts {
			t.Errorf("%s: Python was started %d times more, hosts %v, want %s", what, now-starts, got, hosts)
		}
		starts = now
	}
	files := map[string]string{"deploy.py": "import troops, names\ntroops.define_role('web', hosts=names.hosts)\n", "names.py": "hosts = ['a']\n"}
	with := func(kv ...string) map[string]string {
		m := map[string]string{}
		for k, v := range files {
			m[k] = v
		}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	read("first", files, true, "a")
	read("again", files, false, "a")
	read("another file", with("README", "x"), false, "a")
	read("a module it imports", with("names.py", "hosts = ['b']\n"), true, "b")
	read("back", files, true, "a") // one answer for each state of what is told, not of what is read
	read("a module it does not import", with("other.py", "x = 1\n"), true, "a")
	read("deploy.py", with("deploy.py", files["deploy.py"]+"\n"), true, "a")
	read("roles.toml", with("roles.toml", "[db]\nhosts = ['c']\n"), true, "a c")
	read("once more", files, false, "a")
	kept, err := filepath.Glob(filepath.Join(userBytecode().dir, answersPrefix+"*"))
	if err != nil || len(kept) == 0 {
		t.Fatal(kept, err)
	}
	for _, f := range kept {
		if err := os.Chmod(f, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	read("writable for others", files, true, "a")
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(python, later, later); err != nil {
		t.Fatal(err)
	}
	read("another Python", files, true, "a")
}

func TestAnswersArePruned(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	a := answers{userBytecode()}
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range maxAnswers + 5 {
		if err := a.store(filepath.Join(a.dir, fmt.Sprintf("%s%d", answersPrefix, i)), answer{Reply: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(a.dir, answersPrefix+"*"))
	if err != nil || len(left) != maxAnswers {
		t.Errorf("%d are left, %v", len(left), err)
	}
}
