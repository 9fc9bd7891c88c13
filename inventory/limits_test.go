package inventory

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBombs gives the evaluator files that would need too much: each ends as a limit, a
// syntax error or an unknown that says so, and never as a crash of troops.
func TestBombs(t *testing.T) {
	const web = "\nimport troops\ntroops.define_role('web', hosts=['a'])\n"
	tests := []struct {
		name, deploy string
		want         []string // one of these
	}{
		{"file", "#" + strings.Repeat("x", MaxFile) + web, []string{"deploy.py: it has "}},
		{"parentheses", strings.Repeat("(", MaxFile-100) + web, []string{"too many nested parentheses", "nested too deeply", "python3 did not survive"}},
		{"brackets", "x = " + strings.Repeat("[", 150) + strings.Repeat("]", 150) + web, []string{"a: web", "too many nested", "nested too deeply"}},
		{"minus", "x = " + strings.Repeat("-", 100000) + "1" + web, []string{"nested", "recursion", "python3 did not survive", "complex"}},
		{"attributes", "x = a" + strings.Repeat(".b", 100000) + web, []string{"nested", "recursion", "python3 did not survive", "complex"}},
		{"sum", "x = 1" + strings.Repeat("+1", 20000) + web, []string{"a: web", "nested", "recursion", "complex", "python3 did not survive"}},
		{"indents", bomb(99) + web, []string{"a: web", "too many levels of indentation", "nested"}},
		{"steps", "n = 0\nwhile True:\n    n += 1\n" + web, []string{"deploy.py:3: needs more than 2000000 steps", "deploy.py:2: needs more than 2000000 steps", "more than 2000000 steps"}},
		{"doubling", "a = ['x']\nfor i in range(100):\n    a = a + a\n" + web, []string{"larger than troops evaluates", "more than 2000000 steps", "a: web"}},
		{"range", "for i in range(10**12): pass" + web, []string{"deploy.py:1: a range of more than"}},
		{"calls", "def f(n): return f(n + 1)\nf(0)" + web, []string{"functions call each other deeper than 200"}},
		{"itself", "a = []\na.append(a)\nb = []\nb.append(b)\na == b" + web, []string{"nested too deeply", "a: web"}},
		{"generator", "def g():\n    while True: yield 1\nfor x in g(): break" + web, []string{"a generator of more than"}},
		{"big text", "s = 'x' * 4000000\nl = [s + str(i) for i in range(2000)]" + web, []string{"more than 2000000 steps", "too large", "a: web"}},
		{"big numbers", "x = 7\nfor i in range(100): x = x * x\nprint(str(x), x == x, '%d' % 3)" + web, []string{"a: web"}},
		{"digits", "x = int('9' * 4000000)" + web, []string{"a: web"}},
		{"hosts", "import troops\ntroops.define_role('web', hosts=['h%d' % i for i in range(30000)])", []string{"names more than 20000 hosts"}},
		{"forks", forks(40) + web, []string{"a: web"}},
		{"nul", "x = 'a\x00b'" + web, []string{"syntax error"}},
		{"latin", "# coding: latin-1\nx = '\xe9'" + web, []string{"a: web"}},
		{"no utf-8", "x = '\xe9'" + web, []string{"syntax error"}},
		{"rot13", "# coding: rot13\nvzcbeg bf" + web, []string{"encoding rot13 is not supported"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv, err := read(t, tt.deploy)
			got := render(inv, err)
			for _, want := range tt.want {
				if strings.Contains(got, want) {
					return
				}
			}
			if len(got) > 1000 {
				got = got[:1000]
			}
			t.Errorf("got %s, want one of %q", got, tt.want)
		})
	}
}

// bomb is n nested ifs.
func bomb(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%sif x%d:\n", strings.Repeat(" ", i), i)
	}
	return b.String() + strings.Repeat(" ", n) + "pass\n"
}

// forks is n conditions in a row that are unknown.
func forks(n int) string {
	var b strings.Builder
	b.WriteString("import os\nx = 0\n")
	for i := range n {
		fmt.Fprintf(&b, "if os.getenv('%d'):\n    x = x + %d\n", i, i)
	}
	return b.String()
}

func TestLimitErrorType(t *testing.T) {
	for _, deploy := range []string{"while True: pass\n", "#" + strings.Repeat("x", MaxFile)} {
		_, err := read(t, deploy)
		var le *LimitError
		if !errors.As(err, &le) || le.Problem.File != "deploy.py" {
			t.Errorf("error %v", err)
		}
	}
}

// TestPythonVersions evaluates a file with every CPython from 3.8 on that has a name of its
// own on PATH.
func TestPythonVersions(t *testing.T) {
	const deploy = `
import troops, os
ALL = {f'{n}-{i:02}': i for n in ('web', 'db') for i in range(3)}
class C:
    X = [h for h in sorted(ALL) if h.removeprefix('web-') != h]
def f(a, /, b, *c, d=1, **e):
    return [*C.X[0:2], *c]
troops.define_role('web', hosts=f(1, 2, 'x', e=3))
if (h := troops.hostname()).startswith('web') and os.environ.get('X'):
    troops.activate_role(h[-1:] + 'last')
try:
    {}['x']
except KeyError:
    troops.define_role('db', hosts=['db'])
`
	const want = `db: db (deploy.py:14)
web-00: web (deploy.py:8)
    maybe deploy.py:9: role 0last: it is not known whether the role is active: os.environ.get() is not evaluated
web-01: web (deploy.py:8)
    maybe deploy.py:9: role 1last: it is not known whether the role is active: os.environ.get() is not evaluated
x: web (deploy.py:8)
`
	repo, commit := testRepo(t, map[string]string{"deploy.py": deploy})
	found := pythons("")[:1]
	for minor := 8; minor < 20; minor++ {
		// Scripts of version managers are not versions of their own.
		if p, err := exec.LookPath(fmt.Sprintf("python3.%d", minor)); err == nil && scriptRank(p) == 0 {
			found = append(found, p)
		}
	}
	for _, python := range found {
		inv, err := Read(t.Context(), repo, commit, Options{Python: python})
		if got := render(inv, err); got != want {
			t.Errorf("%s: got\n%s", filepath.Base(python), got)
		}
	}
	t.Logf("%d versions", len(found))
}
