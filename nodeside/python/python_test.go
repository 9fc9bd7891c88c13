package python_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"troops/nodeside/python"
	"troops/nodeside/python/installed"
)

func TestModule(t *testing.T) {
	for version, exe := range installed.Pythons(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), exe, "-B", "-W", "error", "-m", "unittest", "discover", "-s", "tests", "-t", ".")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestReadme has all that the module offers explained where people look first.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("python3", "-B", "-c", "import troops; print(*troops.__all__)").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(string(out)) {
		if name != "__version__" && !strings.Contains(string(readme), "| `troops."+name) && !strings.Contains(string(readme), "`troops."+name+"`") &&
			!strings.Contains(string(readme), "| `@troops."+name) {
			t.Errorf("README.md says nothing of troops.%s", name)
		}
	}
}

func TestVersion(t *testing.T) {
	out, err := exec.Command("python3", "-B", "-c", "import troops; print(troops.__version__)").Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != python.Version() {
		t.Errorf("the module says %q (%v), Version() %q", got, err, python.Version())
	}
	if d := python.Digest(); len(d) != 64 {
		t.Errorf("Digest() = %q", d)
	}
}

func TestInstall(t *testing.T) {
	site := t.TempDir()
	for range 2 { // twice: over an older one
		if err := python.Install(site); err != nil {
			t.Fatal(err)
		}
	}
	info := filepath.Join(site, "troops-"+python.Version()+".dist-info")
	record, err := os.ReadFile(filepath.Join(info, "RECORD"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(record)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ",")
		if len(f) != 3 {
			t.Fatalf("RECORD has %q", line)
		}
		listed[f[0]] = true
		data, err := os.ReadFile(filepath.Join(site, f[0]))
		if err != nil {
			t.Error(err)
		}
		sum := sha256.Sum256(data)
		want := fmt.Sprintf("sha256=%s,%d", base64.RawURLEncoding.EncodeToString(sum[:]), len(data))
		if got := f[1] + "," + f[2]; got != want && f[0] != filepath.Base(info)+"/RECORD" {
			t.Errorf("RECORD has %q for %s, want %q", got, f[0], want)
		}
	}
	err = filepath.WalkDir(site, func(path string, d os.DirEntry, err error) error {
		if rel, _ := filepath.Rel(site, path); err == nil && !d.IsDir() && !listed[rel] {
			t.Errorf("RECORD lacks %s", rel)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if !listed["troops/__init__.py"] || !listed["troops/_version.py"] || !listed["troops/py.typed"] {
		t.Errorf("RECORD lacks a part of the module:\n%s", record)
	}
}

// TestMetadata asks Python's own reader of metadata about the installed module.
func TestMetadata(t *testing.T) {
	site := t.TempDir()
	if err := python.Install(site); err != nil {
		t.Fatal(err)
	}
	for version, exe := range installed.Pythons(t) {
		cmd := exec.Command(exe, "-B", "-c", "import importlib.metadata as m; d = m.distribution('troops'); "+
			"print(d.version, d.metadata['Requires-Python'], len(d.files) > 8)")
		cmd.Env = append(os.Environ(), "PYTHONPATH="+site)
		cmd.Dir = t.TempDir()
		out, err := cmd.CombinedOutput()
		if want := []byte(python.Version() + " >=3.8 True\n"); err != nil || !bytes.Equal(out, want) {
			t.Errorf("%s: %v: %q, want %q", version, err, out, want)
		}
	}
}

func TestInstallErrors(t *testing.T) {
	site := t.TempDir()
	if err := os.WriteFile(filepath.Join(site, "troops"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := python.Install(site); err == nil || !strings.HasPrefix(err.Error(), "python: installing the module: ") {
		t.Errorf("over a file: %v", err)
	}
}
