package deployment

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkout writes files into a new directory.
func checkout(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func TestReadRequirements(t *testing.T) {
	for _, test := range []struct {
		name   string
		files  map[string]string // what r, requirements.txt, has besides
		r      string
		any    bool
		hashed []string // besides requirements.txt
		local  []string
	}{
		{name: "empty"},
		{name: "comments", r: "# foo\n\n   # bar\r\n"},
		{name: "names", r: "foo\nbar>=1 ; python_version > '3'\n", any: true},
		{name: "includes", r: "-r a.txt\n-c sub/c.txt # why\n", files: map[string]string{
			"a.txt": "-r sub/b.txt\n", "sub/b.txt": "foo\n-r ../a.txt\n-r c.txt\n", "sub/c.txt": "bar==1\n", "other.txt": ""},
			any: true, hashed: []string{"a.txt", "sub/b.txt", "sub/c.txt"}},
		{name: "spellings", r: "-ra.txt\n--requirement b.txt\n--requirement=c.txt\n--constraint=d.txt\n--requirem 'e f.txt'\n-r g\\\n.txt\n",
			files:  map[string]string{"a.txt": "", "b.txt": "", "c.txt": "", "d.txt": "", "e f.txt": "", "g.txt": ""},
			hashed: []string{"a.txt", "b.txt", "c.txt", "d.txt", "e f.txt", "g.txt"}},
		{name: "variables", r: "-r ${NAME}.txt\n-r https://${NONE}/x\n", any: true, files: map[string]string{"a.txt": ""}, hashed: []string{"a.txt"}},
		{name: "a remote file alone", r: "-r https://example.com/r.txt\n", any: true},
		{name: "loop", r: "-r requirements.txt\n"},
		{name: "URLs", r: "-r https://example.com/r.txt\nfoo @ https://example.com/foo.whl\ngit+https://example.com/x.git#egg=x\n-e git+ssh://git@example.com/x.git\n-e git+git@example.com:x/y#egg=y\n", any: true},
		{name: "directories", r: "./pkg\n.\n-e pkg\n-e ./pkg[extra]\nfoo @ file:///srv/foo\n/srv/foo\n../foo\nvendor/pkg ; python_version > '3'\n", any: true,
			files: map[string]string{"pkg/setup.py": ""},
			local: []string{"requirements.txt:1: ./pkg", "requirements.txt:2: .", "requirements.txt:3: pkg", "requirements.txt:4: ./pkg[extra]",
				"requirements.txt:5: foo @ file:///srv/foo", "requirements.txt:6: /srv/foo", "requirements.txt:7: ../foo", "requirements.txt:8: vendor/pkg"}},
		{name: "archives", r: "./vendor/foo-1.0.tar.gz\nbar-1.0-py3-none-any.whl --hash=sha256:00\n", any: true,
			files:  map[string]string{"vendor/foo-1.0.tar.gz": "x", "bar-1.0-py3-none-any.whl": "y"},
			hashed: []string{"vendor/foo-1.0.tar.gz", "bar-1.0-py3-none-any.whl"}},
		{name: "find-links", r: "--find-links=vendor\n-f missing\n-f /srv/wheels\n-f https://example.com/\nfoo\n", any: true,
			files:  map[string]string{"vendor/foo.whl": "x", "vendor/bar.whl": "y", "vendor/sub/z.whl": "z"},
			hashed: []string{"vendor/foo.whl", "vendor/bar.whl"}},
		{name: "line numbers", r: "foo \\\n  --hash=sha256:00\n\n./pkg\n", any: true, local: []string{"requirements.txt:4: ./pkg"}},
		{name: "BOM", r: "\ufeff-r a.txt", files: map[string]string{"a.txt": ""}, hashed: []string{"a.txt"}},
		{name: "quotes unended", r: "-r 'a.txt\n", files: map[string]string{"a.txt": ""}, hashed: []string{"a.txt"}},
	} {
		files := map[string]string{"requirements.txt": test.r}
		maps.Copy(files, test.files)
		req, err := readRequirements(checkout(t, files), []string{"NAME=a"})
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		hashed := slices.Sorted(maps.Keys(req.content))
		if want := sorted(append(test.hashed, "requirements.txt")); !slices.Equal(hashed, want) {
			t.Errorf("%s: hashed %q, want %q", test.name, hashed, want)
		}
		if !req.found || req.any != test.any || !slices.Equal(req.local, test.local) {
			t.Errorf("%s: any %v, local %q, want %v, %q", test.name, req.any, req.local, test.any, test.local)
		}
	}
	if req, err := readRequirements(t.TempDir(), nil); err != nil || req.found {
		t.Errorf("no file: %+v, %v", req, err)
	}
}

func TestRequirementsOutside(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.txt")
	write(t, outside, "foo\n")
	for name, r := range map[string]string{
		"parent": "-r ../secret.txt\n", "deep": "\n-r sub/../../secret.txt\n", "absolute": "-c " + outside + "\n", "file URL": "-r file://" + outside + "\n",
		"link": "-r link.txt\n", "directory": "-r sub\n", "missing": "-r missing.txt\n", "linked directory": "-r dir/secret.txt\n",
	} {
		dir := checkout(t, map[string]string{"requirements.txt": r, "sub/x": ""})
		for link, target := range map[string]string{"link.txt": outside, "dir": filepath.Dir(outside)} {
			if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := readRequirements(dir, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "deployment: reading requirements.txt:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := checkout(t, map[string]string{"requirements.txt": "-r in.txt\n", "sub/a.txt": "foo\n"})
	if err := os.Symlink("sub/a.txt", filepath.Join(dir, "in.txt")); err != nil {
		t.Fatal(err)
	}
	if req, err := readRequirements(dir, nil); err != nil || !req.any {
		t.Errorf("a link inside of the checkout: %+v, %v", req, err)
	}
	// An absolute path into the checkout is one below it.
	write(t, filepath.Join(dir, "requirements.txt"), "-r "+filepath.Join(dir, "sub/a.txt")+"\n")
	if req, err := readRequirements(dir, nil); err != nil || req.content["sub/a.txt"] == "" {
		t.Errorf("an absolute path inside of the checkout: %+v, %v", req, err)
	}
}

func TestRequirementsLimits(t *testing.T) {
	many := map[string]string{}
	for i := range maxRequirementSet + 1 {
		many[fmt.Sprintf("r%d.txt", i)] = fmt.Sprintf("-r r%d.txt\n", i+1)
	}
	many["requirements.txt"] = "-r r0.txt\n"
	for name, files := range map[string]map[string]string{
		"many": many, "long": {"requirements.txt": strings.Repeat("#", maxRequirements+1)},
		"UTF-16": {"requirements.txt": "\xff\xfef\x00"}, "directory": {"requirements.txt/x": ""},
	} {
		if _, err := readRequirements(checkout(t, files), nil); err == nil || len(err.Error()) > 30000 {
			t.Errorf("%s: %.200v", name, err)
		}
	}
}

func TestVenvKey(t *testing.T) {
	py := interpreter{Executable: "/usr/bin/python3", Version: "3.11.2", Machine: "x86_64", Ensurepip: true}
	req := requirements{found: true, content: map[string]string{"requirements.txt": "00"}}
	first := venvKey(py, req, "A")
	if !keyName.MatchString(first) || venvKey(py, req, "B") != first {
		t.Errorf("key %q is not the same in another run: %q", first, venvKey(py, req, "B"))
	}
	seen := map[string]string{first: "first"}
	for name, change := range map[string]func(py *interpreter, req *requirements){
		"version":     func(py *interpreter, _ *requirements) { py.Version = "3.11.3" },
		"machine":     func(py *interpreter, _ *requirements) { py.Machine = "aarch64" },
		"interpreter": func(py *interpreter, _ *requirements) { py.Executable = "/usr/local/bin/python3" },
		"pip":         func(py *interpreter, _ *requirements) { py.Ensurepip = false },
		"content":     func(_ *interpreter, req *requirements) { req.content = map[string]string{"requirements.txt": "01"} },
		"local":       func(_ *interpreter, req *requirements) { req.local = []string{"x"} },
	} {
		p, r := py, req
		change(&p, &r)
		key := venvKey(p, r, "A")
		if other, ok := seen[key]; ok {
			t.Errorf("%s: the key of %s", name, other)
		}
		seen[key] = name
		if name == "local" && venvKey(p, r, "B") == key {
			t.Error("local: the same key in another run")
		}
	}
}

// TestAgainstPip compares the reading of requirements with pip's own parser.
func TestAgainstPip(t *testing.T) {
	t.Parallel()
	n, venv := scriptNode(t, "")
	const oracle = `
import json, sys
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements
out = [[r.requirement.split(';')[0].strip(), bool(r.is_editable)] for r in parse_requirements('requirements.txt', session=PipSession()) if not r.constraint]
print(json.dumps(out))
`
	compared := 0
	for _, text := range []string{
		"foo\nbar\n", "foo # c\n#foo\n foo#bar\n", "foo \\\n >=1\nbar\n", "foo \\\n# comment \\\nbar\n", "\\\nfoo\n", "foo\\\\\nbar\n",
		"foo --hash=sha256:00\n", "foo==1 \\\n --hash=sha256:00 \\\n --hash=sha256:11\n", "-e ./pkg\n--editable=./pkg\n--edi ./pkg\n",
		"-e './with space'\n", "-e \"./with space\"\n", "-r a.txt\nfoo\n-c c.txt\n", "-ra.txt\n", "--requirem a.txt\n", "foo\rbar\r\nbaz\x0cqux\u2028end\n",
		"foo ; python_version > '3'\n", "foo @ https://example.com/x.whl\n", "${HOME_OF_NOBODY}foo\n", "--no-index\n--pre\nfoo\n", "\ufefffoo\n",
		"-r a.txt foo\n", "foo -r a.txt\n", "  \n\t\nfoo\n", "--extra-index-url https://e.example/ \nfoo\n", "foo   # -r a.txt\n", "http://e.example/a#egg=b\n",
	} {
		dir := checkout(t, map[string]string{"requirements.txt": text, "a.txt": "from-a\n", "c.txt": "limited==1\n"})
		cmd := exec.Command(filepath.Join(venv, "bin", "python"), "-I", "-c", oracle)
		cmd.Dir, cmd.Env = dir, n.Spec.Env
		out, err := cmd.Output()
		if err != nil {
			continue // what pip refuses may be read in any way: pip will say so
		}
		compared++
		var want [][2]any
		if err := json.Unmarshal(out, &want); err != nil {
			t.Fatal(err)
		}
		var got [][2]any
		for _, l := range logicalLines(text, n.Spec.Env) {
			for _, in := range parseLine(l.text) {
				switch {
				case in.kind == requirement || in.kind == editable:
					got = append(got, [2]any{in.value, in.kind == editable})
				case in.kind == include && in.value == "a.txt":
					got = append(got, [2]any{"from-a", false})
				}
			}
		}
		// pip ignores options behind a requirement, and of several in a line takes one.
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%q: %v, pip reads %v", text, got, want)
			}
		}
		if len(want) == 0 != (len(got) == 0) {
			t.Errorf("%q: %v, pip reads %v", text, got, want)
		}
	}
	if compared < 20 {
		t.Errorf("pip took only %d of the files", compared)
	}
}

func TestIsTroops(t *testing.T) {
	for value, want := range map[string]bool{
		"troops": true, "troops>=0.1": true, "Troops == 1": true, "troops[x]": true, "troops (>=1)": true, "troops @ https://x": true,
		"troopship": false, "troops-utils": false, "troops_x": false, "paratroops": false, "troops.x": false, "": false,
	} {
		if isTroops(value) != want {
			t.Errorf("isTroops(%q) = %v", value, !want)
		}
	}
}

func FuzzRequirements(f *testing.F) {
	f.Add("-r a.txt\nfoo \\\n --hash=x # y\n-e './x y'\n")
	f.Add("--find-links=vendor\n${HOME}\n-c\n-e\n\\")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "requirements.txt"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		req, err := readRequirements(dir, []string{"HOME=/root"})
		if err != nil {
			return
		}
		for name := range req.content {
			if !filepath.IsLocal(name) {
				t.Errorf("read %q", name)
			}
		}
		for _, l := range logicalLines(text, nil) {
			if strings.TrimSpace(l.text) == "" || l.number < 1 {
				t.Errorf("line %+v", l)
			}
		}
	})
}
