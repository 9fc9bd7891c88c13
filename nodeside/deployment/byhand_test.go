package deployment

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tellRoles has a script say at its end, after all else, which roles were active.
const tellRoles = "import atexit, json, troops\natexit.register(lambda: print('roles', json.dumps(sorted(troops.roles))))\n"

// byHand are scripts that have to do the same on a node and by hand. HOST stands for the machine's own name.
var byHand = []struct {
	name, deploy string
	roles        string // roles.toml
	check        bool   // whether the host is well, instead of deploying
	code         int
	want         string // of the output
}{
	{name: "nothing", deploy: "", want: `roles []`},
	{name: "host name", deploy: "print('I am', troops.hostname())\n", want: "I am HOST\n"},
	{name: "roles", deploy: "troops.define_role('web', hosts=['root@HOST:22', 'b'])\ntroops.define_role('db', hosts=['b'])\n" +
		"if troops.have_role('web'):\n    troops.activate_role('more')\nprint(sorted(troops.all_roles))\n",
		want: "['db', 'web']\nroles [\"more\", \"web\"]\n"},
	{name: "role by host name", deploy: "if troops.hostname().startswith('HOST'):\n    troops.activate_role('interactive')\n", want: `roles ["interactive"]`},
	{name: "roles.toml", deploy: "print(troops.have_role('web'))\n", roles: "[web]\nhosts = [\"HOST\"]\n[db]\nhosts = [\"b\"]\n", want: "True\nroles [\"web\"]\n"},
	{name: "order", deploy: `
@troops.deployable()
def first(): print('first')
@troops.deployable(roles=['late'])
def early(): print('too early')
troops.activate_role('late')
print('between')
@troops.deployable(roles=['late', 'x'])
def second(): print('second')
@troops.check
def never(): print('a check')
`, want: "first\nbetween\nsecond\nroles [\"late\"]\n"},
	{name: "check", check: true, deploy: "@troops.deployable()\ndef deploy(): print('deployed')\n@troops.check\ndef look(): print('looked')\n" +
		"@troops.check(roles=['x'])\ndef elsewhere(): print('not here')\n@troops.check()\ndef bad(): return False\n", code: 1, want: "looked\nroles []\n"},
	{name: "error", deploy: "@troops.deployable()\ndef fail():\n    print('before', flush=True)\n    raise RuntimeError('port 80 is taken')\nprint('after')\n",
		code: 1, want: "before\nroles []\nTraceback"},
	{name: "exit", deploy: "troops.activate_role('web')\nimport sys\nsys.exit(7)\n", code: 7, want: `roles ["web"]`},
	{name: "misuse", deploy: "troops.define_role('web', hosts='HOST')\n", code: 1, want: "hosts=['HOST']"},
	{name: "input", deploy: "import sys\nprint(repr(sys.stdin.read()))\n", want: "''\n"},
	{name: "arguments and directory", deploy: "import os, sys\nprint(sys.argv, os.path.basename(os.getcwd()), __name__, __file__)\n", want: "['deploy.py'] checkout __main__ "},
	{name: "seed", deploy: seedDefineRole + "troops.roles.add('interactive')\n" + seedDeployable, want: `roles ["interactive"]`},
}

// TestByHand runs scripts as a node does and by hand, on every Python there is: what they say, how
// they end and the roles in the end are the same.
func TestByHand(t *testing.T) {
	for version, exe := range interpreters(t) {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			n := newSeedNode(t, "import troops\nprint(troops.hostname())\n")
			n.usePython(exe)
			n.Spec.Hostname = "" // the machine's own
			venv := n.venv()
			n.next()
			n.deploy()
			host := strings.TrimSpace(n.stdout.String())
			for _, test := range byHand {
				fill := strings.NewReplacer("HOST", host)
				n.next()
				n.files(map[string]string{"deploy.py": tellRoles + fill.Replace(test.deploy), "roles.toml": fill.Replace(test.roles)})
				n.Spec.Check = test.check
				roles, reported, err := Deploy(t.Context(), n.Spec, venv)
				code := 0
				if exit := new(ExitError); errors.As(err, &exit) {
					code = exit.Code
				} else if err != nil {
					t.Errorf("%s: %v", test.name, err)
				}
				stdout, stderr := n.stdout.String(), n.stderr.String()
				if said := stdout + stderr; code != test.code || !strings.Contains(said, fill.Replace(test.want)) {
					t.Errorf("%s: on a node: exit code %d, want %d\n%s\nwant %q", test.name, code, test.code, said, fill.Replace(test.want))
				}
				hand := n.byHand(venv, test.check)
				if hand.code != code || hand.stdout != stdout || hand.stderr != stderr {
					t.Errorf("%s: on a node: exit code %d\n%s%s\nby hand: exit code %d\n%s%s", test.name, code, stdout, stderr, hand.code, hand.stdout, hand.stderr)
				}
				if !reported || !slices.Equal(roles, hand.roles) {
					t.Errorf("%s: on a node: roles %q (reported: %v), by hand %q", test.name, roles, reported, hand.roles)
				}
			}
		})
	}
}

// byHandResult is what came of python3 deploy.py.
type byHandResult struct {
	code           int
	stdout, stderr string
	roles          []string
}

// byHand runs `python3 deploy.py` in the checkout with the Python of a virtualenv, in the
// environment that a person has: nothing in it is of a node.
func (n *node) byHand(venv string, check bool) byHandResult {
	n.t.Helper()
	cmd := exec.CommandContext(n.t.Context(), filepath.Join(venv, "bin", "python3"), "deploy.py")
	cmd.Dir = n.Spec.Checkout
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "TROOPS_") }),
		"HOME="+getEnv(n.Spec.Env, "HOME"), "PYTHONIOENCODING=utf-8", "PWD="+cmd.Dir)
	if check {
		cmd.Env = append(cmd.Env, "TROOPS_CHECK=1")
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var ee *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &ee) {
		n.t.Fatal(err)
	}
	r := byHandResult{code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
	if _, text, ok := strings.Cut(r.stdout, "roles "); ok {
		if err := json.Unmarshal([]byte(text), &r.roles); err != nil {
			n.t.Errorf("by hand: roles %q: %v", text, err)
		}
	}
	return r
}
