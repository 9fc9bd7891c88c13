package deployment

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var rolesFiles = []struct {
	text string
	want []string
	ok   bool
}{
	{"", nil, true},
	{"[web]\nhosts = [\"a\"]\n", []string{"web"}, true},
	{"[web]\nhosts = [\"b\"]\n", nil, true},
	{"[web]\nhosts = []\n[db]\n", nil, true},
	{"[web]\nhosts = [\"b\", \"root@a:22\"]\n[all]\nhosts = [\"x@y@a\"]\n", []string{"all", "web"}, true},
	{"[\"a.b-c_d\"]\nhosts = [\"a\"]\n", []string{"a.b-c_d"}, true},
	{"[web]\nhosts = [\"[::1]:22\"]\n", nil, true},
	{"[web\n", nil, false},
	{"web = 1\n", nil, false},
	{"[web]\nhost = [\"a\"]\n", nil, false},
	{"[web]\nhosts = \"a\"\n", nil, false},
	{"[web]\nhosts = [1]\n", nil, false},
	{"[web]\nhosts = [\"a b\"]\n", nil, false},
	{"[web]\nhosts = [\"-a\"]\n", nil, false},
	{"[web]\nhosts = [\"a:0\"]\n", nil, false},
	{"[web]\nhosts = [\"a:65536\"]\n", nil, false},
	{"[web]\nhosts = [\"::1\"]\n", nil, false},
	{"[\"a b\"]\nhosts = [\"a\"]\n", nil, false},
	{"[web]\nhosts = [\"a\"]\n[web.more]\n", nil, false},
	{"[web]\nhosts = [\"a\"]\n[web]\n", nil, false},
}

func TestParseRoles(t *testing.T) {
	for _, test := range rolesFiles {
		got, err := parseRoles([]byte(test.text), "a")
		if (err == nil) != test.ok || test.ok && !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, %v, want %q, ok %v", test.text, got, err, test.want, test.ok)
		}
	}
	for _, host := range []string{"::1", "[::1]"} {
		got, err := parseRoles([]byte("[six]\nhosts = [\"root@[::1]:22\"]\n"), host)
		if err != nil || !slices.Equal(got, []string{"six"}) {
			t.Errorf("%s: %q, %v", host, got, err)
		}
	}
}

// TestRolesAsInPython reads the same files with the Python module: both halves of a
// node must agree on them.
func TestRolesAsInPython(t *testing.T) {
	t.Parallel()
	n, venv := scriptNode(t, "")
	for _, test := range rolesFiles {
		dir := checkout(t, map[string]string{"roles.toml": test.text})
		cmd := exec.Command(filepath.Join(venv, "bin", "python"), "-c", "import json, troops; print(json.dumps(sorted(troops.roles)))")
		cmd.Dir, cmd.Env = dir, setEnv(n.Spec.Env, "TROOPS_HOSTNAME", "a")
		out, err := cmd.Output()
		if (err == nil) != test.ok {
			t.Errorf("%q: the module says %q, %v; want ok %v", test.text, out, err, test.ok)
		}
		var got []string
		if test.ok && (json.Unmarshal(out, &got) != nil || !slices.Equal(got, test.want)) {
			t.Errorf("%q: the module says %q, want %q", test.text, got, test.want)
		}
	}
}

func TestMachineName(t *testing.T) {
	n := newNode(t, nil)
	n.fakePython("") // a directory first on PATH
	bin := filepath.Dir(lookPath(n.Spec.Env, "python3"))
	short := machineName(t.Context(), []string{"PATH="})
	for answer, want := range map[string]string{
		"echo " + short + ".example.com": short + ".example.com",
		"echo localhost":                 short,
		"echo " + short + "ling.example": short,
		"exit 1":                         short,
	} {
		write(t, filepath.Join(bin, "hostname"), "#!/bin/sh\n"+answer+"\n")
		if err := exec.Command("chmod", "+x", filepath.Join(bin, "hostname")).Run(); err != nil {
			t.Fatal(err)
		}
		if got := machineName(t.Context(), n.Spec.Env); got != want && !strings.Contains(short, ".") {
			t.Errorf("%q: %q, want %q", answer, got, want)
		}
	}
}

func FuzzParseRoles(f *testing.F) {
	for _, test := range rolesFiles {
		f.Add([]byte(test.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		roles, err := parseRoles(b, "a")
		for _, r := range roles {
			if err != nil || !roleName.MatchString(r) || strings.ContainsAny(r, " \n") {
				t.Errorf("role %q, %v", r, err)
			}
		}
	})
}
