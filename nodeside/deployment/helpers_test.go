package deployment

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"troops/nodeside/python/installed"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("TROOPS_TEST_BUILD"); dir != "" {
		os.Exit(buildForTest(dir))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(plain.venvs)
		os.Exit(code)
	}))
}

// plain is a virtualenv without requirements, for the tests that need no other.
var plain struct {
	once  sync.Once
	venvs string // its store
	dir   string
}

func plainVenv(t *testing.T) string {
	t.Helper()
	plain.once.Do(func() {
		var err error
		if plain.venvs, err = os.MkdirTemp("", "troops-venvs"); err != nil {
			t.Fatal(err)
		}
		n := newNode(t, map[string]string{"deploy.py": ""})
		n.Spec.Venvs = plain.venvs
		plain.dir = n.venv()
	})
	if plain.dir == "" {
		t.Fatal("another test could not make the virtualenv")
	}
	return plain.dir
}

// node is a place to deploy in: a checkout, virtualenvs, a home with pip's own
// configuration, and what a deployment said.
type node struct {
	t              *testing.T
	Spec           Spec
	dir            string
	wheels         string
	stdout, stderr *buffer
	notes          []string
	runs           int
}

// newNode makes a node with the files of a checkout. Its pip.conf knows no index but
// the directory wheels.
func newNode(t *testing.T, files map[string]string) *node {
	t.Helper()
	dir := t.TempDir()
	n := &node{t: t, dir: dir, wheels: filepath.Join(dir, "wheels"), stdout: &buffer{}, stderr: &buffer{}}
	home := filepath.Join(dir, "home")
	write(t, filepath.Join(home, ".config/pip/pip.conf"), "[global]\nno-index = true\nfind-links = "+n.wheels+"\n")
	mkdir(t, n.wheels)
	n.Spec = Spec{
		Checkout:   filepath.Join(dir, "checkout"),
		Venvs:      filepath.Join(dir, "venvs"),
		Hostname:   "shellbox-1.example.com",
		Commit:     strings.Repeat("ab", 20),
		ReportFile: filepath.Join(dir, "roles.json"),
		Env:        setEnv(CleanEnv(), "HOME", home),
		Stdout:     n.stdout,
		Stderr:     n.stderr,
		Note:       func(s string) { n.notes = append(n.notes, s) },
	}
	n.next()
	mkdir(t, n.Spec.Checkout)
	n.files(files)
	return n
}

// next begins another run of the same node.
func (n *node) next() {
	n.runs++
	n.Spec.Run = fmt.Sprintf("01J8ZQ5V3N9F0000000000%04d", n.runs)
	n.stdout.Reset()
	n.stderr.Reset()
	n.notes = nil
}

// files writes files into the checkout; the one called deploy is executable.
func (n *node) files(files map[string]string) {
	n.t.Helper()
	for name, text := range files {
		path := filepath.Join(n.Spec.Checkout, name)
		write(n.t, path, text)
		if name == executable {
			if err := os.Chmod(path, 0o755); err != nil {
				n.t.Fatal(err)
			}
		}
	}
}

// venv runs EnsureVenv, which must succeed.
func (n *node) venv() string {
	n.t.Helper()
	venv, err := EnsureVenv(n.t.Context(), n.Spec)
	if err != nil {
		n.t.Fatalf("EnsureVenv: %v\n%s", err, n.said())
	}
	return venv
}

// deploy runs both phases, which must succeed, and returns the reported roles.
func (n *node) deploy() []string {
	n.t.Helper()
	roles, _, err := Deploy(n.t.Context(), n.Spec, n.venv())
	if err != nil {
		n.t.Fatalf("Deploy: %v\n%s", err, n.said())
	}
	return roles
}

func (n *node) said() string {
	return n.stdout.String() + n.stderr.String() + strings.Join(n.notes, "\n")
}

// noted reports whether a note contains text.
func (n *node) noted(text string) bool { return strings.Contains(strings.Join(n.notes, "\n"), text) }

// usePython puts the directory of an interpreter first on the node's PATH.
func (n *node) usePython(exe string) {
	n.Spec.Env = setEnv(n.Spec.Env, "PATH", filepath.Dir(exe)+":"+standardPath)
}

// fakePython makes python3 of the node a shell script.
func (n *node) fakePython(shell string) {
	n.t.Helper()
	exe := filepath.Join(n.dir, "fake", "python3")
	write(n.t, exe, "#!/bin/sh\n"+shell+"\n")
	if err := os.Chmod(exe, 0o755); err != nil {
		n.t.Fatal(err)
	}
	n.usePython(exe)
}

// buffer is a bytes.Buffer for several writers, that tells of what is written.
type buffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	wrote chan struct{} // when set, gets one message for each write
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	n, err := b.b.Write(p)
	b.mu.Unlock()
	if b.wrote != nil {
		b.wrote <- struct{}{}
	}
	return n, err
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (b *buffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.b.Reset()
}

// wheel writes a pure wheel into dir and returns its path.
func wheel(t *testing.T, dir, name, version string, files map[string]string) string {
	t.Helper()
	info := name + "-" + version + ".dist-info/"
	all := map[string]string{
		info + "METADATA": "Metadata-Version: 2.1\nName: " + name + "\nVersion: " + version + "\n",
		info + "WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
	}
	for file, text := range files {
		all[file] = text
	}
	record := info + "RECORD,,\n"
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(file, text string) {
		w, err := z.Create(file)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range all {
		add(file, text)
		sum := sha256.Sum256([]byte(text))
		record += fmt.Sprintf("%s,sha256=%s,%d\n", file, base64.RawURLEncoding.EncodeToString(sum[:]), len(text))
	}
	add(info+"RECORD", record)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name+"-"+version+"-py3-none-any.whl")
	write(t, path, b.String())
	return path
}

// interpreters returns every Python of the machine that EnsureVenv finds: as python3, in the
// directory of the program.
func interpreters(t *testing.T) map[string]string {
	t.Helper()
	found := installed.Pythons(t)
	for version, exe := range found {
		if !sameFile(exe, filepath.Join(filepath.Dir(exe), "python3")) {
			t.Logf("%s is not called python3: left out", exe)
			delete(found, version)
		}
	}
	return found
}

func write(t *testing.T, path, text string) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
