package deployment

import (
	"os"
	"path/filepath"
	"testing"
)

func TestHasChecks(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  bool
	}{
		{"none", map[string]string{"deploy.py": "import troops\n"}, false},
		{"plain", map[string]string{"deploy.py": "import troops\n@troops.check\ndef f(): pass\n"}, true},
		{"alias", map[string]string{"deploy.py": "from troops import check as c\n@c\ndef f(): pass\n"}, true},
		{"in a module", map[string]string{"deploy.py": "import sub.mod\n", "sub/mod.py": "import troops as t\n@t.check()\ndef f(): pass\n"}, true},
		{"another check", map[string]string{"deploy.py": "import subprocess\nsubprocess.run([], check=True)\n"}, false},
		{"not Python", map[string]string{"deploy.py": "", "README": "troops check"}, false},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := (Spec{Checkout: dir}).hasChecks(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if !(Spec{Checkout: "/nonexistent"}).hasChecks() {
		t.Error("what cannot be read has none")
	}
}
