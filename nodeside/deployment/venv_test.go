package deployment

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"troops/nodeside/python"
)

// withFoo is a node whose requirements.txt asks for a package of its wheels.
func withFoo(t *testing.T) *node {
	n := newNode(t, map[string]string{"deploy.py": "import foo\nprint('foo', foo.V)\n", "requirements.txt": "foo\n"})
	wheel(t, n.wheels, "foo", "1.0", map[string]string{"foo.py": "V = 1\n"})
	return n
}

const ranPip = "Successfully installed"

func TestVenvIsReused(t *testing.T) {
	t.Parallel()
	n := withFoo(t)
	first := n.venv()
	if !strings.Contains(n.stdout.String(), ranPip+" foo-1.0") {
		t.Fatalf("pip did not install foo:\n%s", n.said())
	}
	n.next()
	if again := n.venv(); again != first || n.stdout.String() != "" || !n.noted("unchanged") {
		t.Errorf("second run: %s (first %s), said %q", again, first, n.said())
	}
	n.deploy()
	if got := n.stdout.String(); got != "foo 1\n" {
		t.Errorf("deploy.py said %q", got)
	}
	n.next()
	n.files(map[string]string{"requirements.txt": "foo==1.0\n"})
	if other := n.venv(); other == first || !strings.Contains(n.stdout.String(), ranPip) {
		t.Errorf("other requirements: %s (first %s), said %q", other, first, n.said())
	}
	n.next()
	n.files(map[string]string{"requirements.txt": "foo\n"})
	if back := n.venv(); back != first || n.stdout.String() != "" {
		t.Errorf("back to the first requirements: %s (first %s), said %q", back, first, n.said())
	}
}

func TestVenvWithoutRequirements(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"no file": "", "comments": "# nothing\n\n", "options": "--no-index\n"} {
		n := newNode(t, map[string]string{"deploy.py": "import pip, troops\nprint(troops.__version__)\n"})
		if text != "" {
			n.files(map[string]string{"requirements.txt": text})
		}
		venv := n.venv()
		if n.stdout.String()+n.stderr.String() != "" {
			t.Errorf("%s: something ran: %s", name, n.said())
		}
		n.deploy()
		if got := n.stdout.String(); got != python.Version()+"\n" {
			t.Errorf("%s: deploy.py said %q", name, got)
		}
		if link, err := os.Readlink(strings.TrimSuffix(venv, "-"+n.Spec.Run)); err != nil || link != filepath.Base(venv) {
			t.Errorf("%s: link of the virtualenv: %q, %v", name, link, err)
		}
	}
}

// checkPip shows that the quick way to install pip leaves what ensurepip leaves: the
// same packages, commands that run, and files that pip can account for. minor is
// Python's. The virtualenv is without pip afterwards.
func (n *node) checkPip(t *testing.T, venv string, minor int) {
	t.Helper()
	pip := func(program string, args ...string) string {
		cmd := exec.Command(program, args...)
		cmd.Env = n.Spec.Env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", program, args, err, out)
		}
		return string(out)
	}
	list := pip(filepath.Join(venv, "bin", "pip"), "list", "--format=freeze")
	for name, want := range map[string]bool{"pip==": true, "setuptools==": minor < 12, "troops==" + python.Version(): true} {
		if strings.Contains(list, name) != want {
			t.Errorf("pip list has %s: %v, want %v:\n%s", name, !want, want, list)
		}
	}
	for _, name := range []string{"pip3", fmt.Sprintf("pip3.%d", minor)} {
		if read(t, filepath.Join(venv, "bin", name)) != read(t, filepath.Join(venv, "bin", "pip")) {
			t.Errorf("%s is not pip", name)
		}
	}
	pip(filepath.Join(venv, "bin", "python"), "-m", "pip", "uninstall", "-y", "-q", "troops", "pip")
	site, err := sitePackages(venv)
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{venv + "/bin/pip*", site + "/pip*", site + "/troops*"} {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			t.Errorf("pip left %v behind", left)
		}
	}
}

// TestEnsurepip takes the way for a Python whose wheels are not as expected.
func TestEnsurepip(t *testing.T) {
	t.Parallel()
	const call = "\nmain(*sys.argv[1:])"
	if !strings.Contains(buildVenv, call) {
		t.Fatal("build_venv.py does not end as expected")
	}
	dir := filepath.Join(t.TempDir(), "with space", "venv")
	cmd := exec.Command("/usr/bin/python3", "-I", "-", dir, "pip")
	cmd.Env = CleanEnv()
	cmd.Stdin = strings.NewReader(strings.Replace(buildVenv, call, "\nbundled_wheels = lambda: []"+call, 1))
	if out, err := cmd.Output(); err != nil || len(out) > 0 {
		t.Fatalf("%v, said %q", err, out)
	}
	if out, err := exec.Command(filepath.Join(dir, "bin", "pip"), "--version").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestVenvPathWithSpaces(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"deploy.py": "import subprocess\nsubprocess.check_call(['pip', '--version'])\n"})
	n.Spec.Venvs = filepath.Join(n.dir, "venvs [of] a person's", strings.Repeat("long", 20))
	n.deploy()
	if !strings.HasPrefix(n.stdout.String(), "pip ") {
		t.Errorf("pip said %q", n.said())
	}
}

func TestTroopsRequirement(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"deploy.py": "import troops", "requirements.txt": "troops>=0.1\n"})
	// What an index has under this name is another program.
	wheel(t, n.wheels, "troops", "99.0", map[string]string{"troops.py": "raise SystemExit('impostor')"})
	n.venv()
	if out := n.stdout.String(); !strings.Contains(out, "already satisfied: troops>=0.1") {
		t.Errorf("pip said %q", n.said())
	}
	n.deploy()

	n.next()
	n.files(map[string]string{"requirements.txt": "troops>=99\n"})
	_, err := EnsureVenv(t.Context(), n.Spec)
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Command != "pip install" || exit.Code != 1 {
		t.Errorf("troops>=99: %v", err)
	}
	if want := "requirements.txt:1 asks for troops>=99; this machine has troops " + python.Version(); !n.noted(want) {
		t.Errorf("notes %q, want %q", n.notes, want)
	}
}

func TestHashes(t *testing.T) {
	t.Parallel()
	n := withFoo(t)
	sum := sha256.Sum256([]byte(read(t, filepath.Join(n.wheels, "foo-1.0-py3-none-any.whl"))))
	n.files(map[string]string{"requirements.txt": fmt.Sprintf("foo==1.0 \\\n    --hash=sha256:%x\n", sum)})
	n.deploy()
	n.next()
	sum[0]++
	n.files(map[string]string{"requirements.txt": fmt.Sprintf("foo==1.0 \\\n    --hash=sha256:%x\n", sum)})
	var exit *ExitError
	if _, err := EnsureVenv(t.Context(), n.Spec); !errors.As(err, &exit) || !strings.Contains(n.stderr.String(), "DO NOT MATCH") {
		t.Errorf("wrong hash: %v\n%s", err, n.said())
	}
}

// TestPipFails shows that nothing is left of a failed build, and that the next one works.
func TestPipFails(t *testing.T) {
	t.Parallel()
	n := withFoo(t)
	n.files(map[string]string{"requirements.txt": "foo\nno-such-package\n"})
	_, err := EnsureVenv(t.Context(), n.Spec)
	var exit *ExitError
	if !errors.As(err, &exit) || err.Error() != "deployment: pip install exited 1" {
		t.Errorf("error %v", err)
	}
	if !strings.Contains(n.stderr.String(), "no-such-package") {
		t.Errorf("pip's own words are missing:\n%s", n.said())
	}
	if left := n.entries(); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	n.next()
	wheel(t, n.wheels, "no_such_package", "1.0", nil)
	n.deploy()
}

// entries lists the directory of virtualenvs without the lock.
func (n *node) entries() []string {
	n.t.Helper()
	entries, err := os.ReadDir(n.Spec.Venvs)
	if err != nil {
		n.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != storeLock {
			names = append(names, e.Name())
		}
	}
	return names
}

// TestCheckoutDoesNotShadow has modules in the checkout that would break pip.
func TestCheckoutDoesNotShadow(t *testing.T) {
	t.Parallel()
	n := withFoo(t)
	bomb := "raise SystemExit('module of the checkout')\n"
	n.files(map[string]string{"logging.py": bomb, "pip/__init__.py": bomb, "pip/__main__.py": bomb, "venv.py": bomb, "json.py": bomb, "sitecustomize.py": bomb})
	if n.venv(); !strings.Contains(n.stdout.String(), ranPip) {
		t.Errorf("said %q", n.said())
	}
}

// TestRequirementsOptions takes the package from a directory of the repository, by
// options in requirements.txt, with another index in pip's configuration.
func TestRequirementsOptions(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"deploy.py":        "import foo\nprint(foo.V)\n",
		"requirements.txt": "--no-index\n--find-links vendor\n-r more/base.txt\n",
		"more/base.txt":    "foo\n",
	})
	vendor := filepath.Join(n.Spec.Checkout, "vendor")
	wheel(t, vendor, "foo", "1.0", map[string]string{"foo.py": "V = 1\n"})
	n.deploy()
	n.next()
	wheel(t, vendor, "foo", "2.0", map[string]string{"foo.py": "V = 2\n"})
	n.deploy()
	if !strings.HasSuffix(n.stdout.String(), "\n2\n") {
		t.Errorf("a new wheel in the repository was not taken:\n%s", n.said())
	}
}

// TestIncludesAreOfTheKey changes a constraint and an included file: each asks pip again, and what
// has not changed is found again.
func TestIncludesAreOfTheKey(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"deploy.py":        "import foo\nprint('foo', foo.V)\n",
		"requirements.txt": "-r more/base.txt\n-c limits.txt\n",
		"more/base.txt":    "foo\n",
		"limits.txt":       "foo<2\n",
	})
	for _, v := range []string{"1", "2"} {
		wheel(t, n.wheels, "foo", v+".0", map[string]string{"foo.py": "V = " + v + "\n"})
	}
	venvs := map[string]bool{}
	for i, change := range []struct{ file, text, want string }{
		{"limits.txt", "foo<2\n", "foo 1\n"}, {"limits.txt", "foo<3\n", "foo 2\n"}, {"more/base.txt", "foo<1.5\n", "foo 1\n"},
		{"more/base.txt", "foo\n", "foo 2\n"}, {"limits.txt", "foo<2\n", "foo 1\n"},
	} {
		n.next()
		n.files(map[string]string{change.file: change.text})
		venvs[n.venv()] = true
		n.deploy()
		if !strings.HasSuffix(n.stdout.String(), change.want) {
			t.Errorf("change %d: %s: want %q", i, n.said(), change.want)
		}
	}
	if len(venvs) != 3 {
		t.Errorf("%d virtualenvs, want 3: %v", len(venvs), venvs)
	}
}

// TestLocalRequirement installs a package of the checkout: in every run anew.
func TestLocalRequirement(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{
		"deploy.py": "import lxml\nprint(lxml.V)\n", "requirements.txt": "-e ./lxml\n",
		"lxml/pyproject.toml": pyproject, "lxml/backend.py": backend, "lxml/src/lxml/__init__.py": "V = 1\n",
	})
	first := n.venv()
	if !n.noted("requirements.txt:1: ./lxml is built from the checkout") {
		t.Errorf("notes %q", n.notes)
	}
	n.deploy()
	n.next()
	if again := n.venv(); again == first {
		t.Error("the virtualenv was reused")
	}
}
