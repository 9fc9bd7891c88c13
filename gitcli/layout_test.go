package gitcli

import (
	"os"
	"path/filepath"
	"testing"
)

// TestLayout looks for what is there in the places that it names, from wherever it was asked.
func TestLayout(t *testing.T) {
	for _, format := range []string{"sha1", "sha256"} {
		dir := t.TempDir()
		git := func(args ...string) {
			t.Helper()
			if _, err := (Repo{Dir: dir}).Run(t.Context(), nil, args...); err != nil {
				t.Fatal(err)
			}
		}
		git("init", "-q", "-b", "master", "--object-format="+format, "work")
		git("-C", "work", "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "One.")
		git("-C", "work", "repack", "-q", "-a", "-d")
		git("-C", "work", "config", "core.hooksPath", filepath.Join(dir, "hooks"))
		git("-C", "work", "worktree", "add", "-q", "../tree")
		git("clone", "-q", "--bare", "--depth=1", "file://"+dir+"/work", "cut.git")
		for _, name := range []string{"hooks", "work/sub"} {
			if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		hook := filepath.Join(dir, "hooks", "pre-push")
		if err := os.WriteFile(hook, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, r := range []Repo{
			{Dir: filepath.Join(dir, "work")}, {Dir: filepath.Join(dir, "work/sub")}, {Dir: filepath.Join(dir, "tree")},
			{Dir: filepath.Join(dir, "cut.git")}, {GitDir: filepath.Join(dir, "cut.git")},
		} {
			l, err := r.Layout(t.Context())
			if err != nil || l.ObjectFormat != format {
				t.Fatalf("%+v: %+v, %v", r, l, err)
			}
			bare := r.GitDir != "" || filepath.Base(r.Dir) == "cut.git"
			exists(t, l.Head, true)
			exists(t, l.Packs, true)
			exists(t, l.Shallow, bare)
			exists(t, l.PrePush, !bare)
		}
	}
	if l, err := (Repo{Dir: t.TempDir()}).Layout(t.Context()); err == nil {
		t.Errorf("outside of a repository: %+v", l)
	}
}

func exists(t *testing.T, path string, want bool) {
	t.Helper()
	if _, err := os.Stat(path); (err == nil) != want {
		t.Errorf("%s: %v", path, err)
	}
}
