package deployment

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

func TestVenvErrors(t *testing.T) {
	const answer = `echo '{"executable": "/usr/bin/python3", "version": "3.11.2", "recent": true, "venv": true, "ensurepip": true}'`
	for _, test := range []struct {
		name, python, want string
	}{
		{"no pip", strings.Replace(answer, `"ensurepip": true`, `"ensurepip": false`, 1), "apt-get install python3-venv"},
		{"no venv", strings.Replace(answer, `"venv": true`, `"venv": false`, 1), "apt-get install python3-venv"},
		{"too old", strings.NewReplacer("3.11.2", "3.7.3", `"recent": true`, `"recent": false`).Replace(answer), "3.7.3, troops needs 3.8"},
		{"broken", "echo no libpython >&2; exit 127", "exit status 127: no libpython"},
		{"talkative", "echo hello", `it said "hello`},
		{"empty", "echo {}", `it said "{}`},
		{"bad interpreter", strings.Replace(answer, "/usr/bin/python3", "/nowhere/python3", 1), "/nowhere/python3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := withFoo(t)
			n.fakePython(test.python)
			_, err := EnsureVenv(t.Context(), n.Spec)
			if err == nil || !strings.HasPrefix(err.Error(), "deployment: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
	n := withFoo(t)
	n.Spec.Env = setEnv(n.Spec.Env, "PATH", n.dir)
	if _, err := EnsureVenv(t.Context(), n.Spec); err == nil || !strings.Contains(err.Error(), "apt-get install python3 ") {
		t.Errorf("no python3: %v", err)
	}
	n = withFoo(t)
	n.Spec.Venvs = "relative"
	if _, err := EnsureVenv(t.Context(), n.Spec); err == nil {
		t.Error("a relative directory of virtualenvs was taken")
	}
}

// TestWithoutEnsurepip shows that what needs no pip works on a machine without it.
func TestWithoutEnsurepip(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"deploy.py": "import troops\ntry:\n    import pip\nexcept ImportError:\n    print('no pip')\n"})
	n.fakePython(`echo '{"executable": "/usr/bin/python3", "version": "3.11.2", "recent": true, "venv": true, "ensurepip": false}'`)
	n.deploy()
	if n.stdout.String() != "no pip\n" || !n.noted("apt-get install python3-venv") {
		t.Errorf("said %q", n.said())
	}
}

func TestNothingToDeploy(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"empty": {}, "requirements only": {"requirements.txt": "foo\n"}, "directory": {"deploy.py/x": "", "deploy/x": ""},
	} {
		n := newNode(t, files)
		if _, err := EnsureVenv(t.Context(), n.Spec); !errors.Is(err, ErrNothing) {
			t.Errorf("%s: EnsureVenv: %v", name, err)
		}
		if _, _, err := Deploy(t.Context(), n.Spec, ""); !errors.Is(err, ErrNothing) {
			t.Errorf("%s: Deploy: %v", name, err)
		}
	}
	n := newNode(t, nil)
	write(t, filepath.Join(n.Spec.Checkout, "deploy"), "#!/bin/sh\n")
	if _, err := EnsureVenv(t.Context(), n.Spec); !errors.Is(err, ErrNothing) || !strings.Contains(err.Error(), "--chmod=+x") {
		t.Errorf("not executable: %v", err)
	}
	for _, run := range []string{"", "../x", "a b", strings.Repeat("a", 65)} {
		n.Spec.Run = run
		if _, err := EnsureVenv(t.Context(), n.Spec); err == nil || !strings.Contains(err.Error(), "no id of a run") {
			t.Errorf("run %q: %v", run, err)
		}
	}
}
