package deployment

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// typed is a deploy.py that uses all of the module as strict type checkers want it.
const typed = `import troops

troops.define_role('web', hosts=['web-1', 'root@web-2:22'])
troops.define_role('web', ('web-3',))
troops.define_role('none')
troops.activate_role('db')
troops.roles.add('db')
troops.roles |= {'db'}

@troops.deployable()
def one() -> None:
    pass

@troops.deployable(roles=['web'])
def two() -> int:
    return 1

@troops.check
def three() -> bool:
    return True

@troops.check(roles=('web',))
def four() -> None:
    pass

text: str = troops.hostname() + troops.__version__
flag: bool = troops.have_role('web') and three()
number: int = two() + len(troops.all_roles['web'] & troops.roles)
one()
four()
`

// mistyped has a mistake in each line, of which a type checker is to tell.
var mistyped = []string{
	"troops.define_role(1)", "troops.define_role('web', hosts=[1])", "troops.define_role(hosts=['a'])", "troops.have_role(None)",
	"troops.hostname('x')", "troops.activate_role(['web'])", "troops.deployable(roles=[1])", "troops.deployable(one)",
	"troops.deployable()(lambda x: x)", "troops.check(lambda x: x)", "troops.check(roles=[1])", "troops.check()(1)",
	"two() + 'x'", "three() + 'x'", "four(1)", "troops.roles.add(1)", "troops.all_roles['web'].add(1)", "troops.no_such_thing()",
}

// mypy runs the type checker as a person does in the virtualenv of a deployment, and returns what it says.
func mypy(t *testing.T, venv, dir string, args ...string) string {
	t.Helper()
	program, err := exec.LookPath("mypy")
	if err != nil {
		if ci := os.Getenv("CI"); ci != "" && ci != "false" {
			t.Fatalf("%v: apt-get install mypy", err)
		}
		t.Skipf("%v: apt-get install mypy", err)
	}
	cmd := exec.CommandContext(t.Context(), program,
		append([]string{"--python-executable", filepath.Join(venv, "bin", "python"), "--cache-dir", filepath.Join(dir, ".cache")}, args...)...)
	cmd.Dir, cmd.Env = dir, CleanEnv()
	out, err := cmd.CombinedOutput()
	if err == nil && !strings.HasPrefix(string(out), "Success") {
		t.Errorf("mypy says %q", out)
	}
	return string(out)
}

// TestTypes has mypy look at the module, as installed in a virtualenv, and at what uses it.
func TestTypes(t *testing.T) {
	t.Parallel()
	venv := plainVenv(t)
	site, err := sitePackages(venv)
	if err != nil {
		t.Fatal(err)
	}
	const success = "Success: no issues found in "
	// By its own path, since mypy says nothing of packages that are installed.
	module := checkout(t, nil)
	if err := os.CopyFS(filepath.Join(module, "troops"), os.DirFS(filepath.Join(site, "troops"))); err != nil {
		t.Fatal(err)
	}
	if out := mypy(t, venv, module, "--strict", "troops"); !strings.HasPrefix(out, success) {
		t.Errorf("the module:\n%s", out)
	}
	good := checkout(t, map[string]string{"deploy.py": typed})
	if out := mypy(t, venv, good, "--strict", "deploy.py"); !strings.HasPrefix(out, success) {
		t.Errorf("what is right:\n%s", out)
	}
	bad := checkout(t, map[string]string{"deploy.py": typed + strings.Join(mistyped, "\n") + "\n"})
	out := mypy(t, venv, bad, "--strict", "deploy.py")
	for i, line := range mistyped {
		if at := fmt.Sprintf("deploy.py:%d: error: ", strings.Count(typed, "\n")+i+1); !strings.Contains(out, at) {
			t.Errorf("no mistake is found in %s:\n%s", line, out)
		}
	}
	// The document's functions have no annotations, which mypy lets be unless it is told to be strict.
	seed := map[string]string{"pydebianadmin/__init__.py": "", "pydebianadmin/apt.py": "def install(*packages: str) -> None: ...\n"}
	args := []string{"--check-untyped-defs"}
	for i, text := range []string{seedFirst, seedHaveRole, seedHostname, seedDefineRole, seedDeployable, seedRemote} {
		name := fmt.Sprintf("seed%d.py", i)
		seed[name] = text
		args = append(args, name)
	}
	if out := mypy(t, venv, checkout(t, seed), args...); !strings.HasPrefix(out, success) {
		t.Errorf("the seed document's examples:\n%s", out)
	}
}
