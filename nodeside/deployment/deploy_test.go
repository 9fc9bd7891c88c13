package deployment

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// scriptNode is a node for one deploy.py that asks for nothing, with its virtualenv.
func scriptNode(t *testing.T, deploy string) (n *node, venv string) {
	t.Helper()
	return newNode(t, map[string]string{"deploy.py": deploy}), plainVenv(t)
}

func TestDeployEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		deploy string
		want   *ExitError
		text   string
	}{
		{"", nil, ""},
		{"raise SystemExit", nil, ""},
		{"import sys; sys.exit(7)", &ExitError{Command: "deploy.py", Code: 7}, "deploy.py exited 7"},
		{"import sys; sys.exit(255)", &ExitError{Command: "deploy.py", Code: 255}, "deploy.py exited 255"},
		{"import sys; sys.exit('text')", &ExitError{Command: "deploy.py", Code: 1}, "deploy.py exited 1"},
		{"1 // 0", &ExitError{Command: "deploy.py", Code: 1}, "deploy.py exited 1"},
		{"syntax error", &ExitError{Command: "deploy.py", Code: 1}, "deploy.py exited 1"},
		{"import os; os.kill(os.getpid(), 9)", &ExitError{Command: "deploy.py", Signal: "killed"}, "deploy.py: killed (out of memory?)"},
		{"import os; os.kill(os.getpid(), 11)", &ExitError{Command: "deploy.py", Signal: "segmentation fault"}, "deploy.py: ended by signal: segmentation fault"},
		{"import os; os.kill(os.getpid(), 15)", &ExitError{Command: "deploy.py", Signal: "terminated"}, "deploy.py: ended by signal: terminated"},
	} {
		n, venv := scriptNode(t, test.deploy)
		_, _, err := Deploy(t.Context(), n.Spec, venv)
		if test.want == nil {
			if err != nil {
				t.Errorf("%q: %v", test.deploy, err)
			}
			continue
		}
		var exit *ExitError
		if !errors.As(err, &exit) || *exit != *test.want || err.Error() != "deployment: "+test.text {
			t.Errorf("%q: %v (%+v), want %+v", test.deploy, err, exit, test.want)
		}
		if len(n.notes) > 0 {
			t.Errorf("%q: notes %q", test.deploy, n.notes)
		}
	}
}

func TestDeployStreams(t *testing.T) {
	t.Parallel()
	n, venv := scriptNode(t, `
import os, sys
assert sys.stdin.read() == ''
assert os.getcwd() == os.path.realpath(os.path.dirname(os.path.abspath(__file__)))
assert os.getpgrp() == os.getpid()
print('out')
print('err', file=sys.stderr)
os.write(1, b'\xff\x00\x1b')
`)
	if _, _, err := Deploy(t.Context(), n.Spec, venv); err != nil {
		t.Fatalf("%v\n%s", err, n.said())
	}
	if got, want := n.stdout.String(), "out\n\xff\x00\x1b"; got != want {
		t.Errorf("stdout %q, want %q", got, want)
	}
	if got, want := n.stderr.String(), "err\n"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

// TestDeployIsLive waits for a partial line while deploy.py waits for the test.
func TestDeployIsLive(t *testing.T) {
	t.Parallel()
	n, venv := scriptNode(t, "import os\nprint('half a line', end='')\nopen(os.path.expanduser('~/gate')).read()\n")
	gate := fifo(t, filepath.Join(n.dir, "home", "gate"))
	n.stdout.wrote = make(chan struct{}, 1)
	done := make(chan error, 1)
	go func() {
		_, _, err := Deploy(t.Context(), n.Spec, venv)
		done <- err
	}()
	select {
	case <-n.stdout.wrote:
	case err := <-done:
		t.Fatalf("ended early: %v", err)
	}
	if got := n.stdout.String(); got != "half a line" {
		t.Errorf("said %q", got)
	}
	if err := os.WriteFile(gate, nil, 0); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDeployOutputIsWhole has more output than a pipe holds, to a writer that fails.
func TestDeployOutputIsWhole(t *testing.T) {
	t.Parallel()
	n, venv := scriptNode(t, "import sys\nfor i in range(100000):\n    sys.stdout.write('%07d\\n' % i)\n    if i % 1000 == 0: sys.stderr.write('x' * 1024)\n")
	n.Spec.Stderr = failingWriter{}
	if _, _, err := Deploy(t.Context(), n.Spec, venv); err != nil {
		t.Fatal(err)
	}
	if got := n.stdout.String(); len(got) != 800000 || !strings.HasSuffix(got, "0099999\n") {
		t.Errorf("%d bytes, the end is %q", len(got), got[max(0, len(got)-20):])
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// TestDeployToFiles shows that a terminal or file of the caller is handed on as it is.
func TestDeployToFiles(t *testing.T) {
	t.Parallel()
	n, venv := scriptNode(t, "import os\nprint(os.path.basename(os.readlink('/proc/self/fd/1')))\n")
	f, err := os.Create(filepath.Join(n.dir, "terminal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n.Spec.Stdout, n.Spec.Stderr = f, nil
	if _, _, err := Deploy(t.Context(), n.Spec, venv); err != nil {
		t.Fatal(err)
	}
	if got := read(t, f.Name()); got != "terminal\n" {
		t.Errorf("stdout is %q", got)
	}
}

// TestDeployEnvironment sets what must not get through, and compares all that does.
func TestDeployEnvironment(t *testing.T) {
	for _, name := range []string{"PIP_INDEX_URL", "PYTHONPATH", "PYTHONSTARTUP", "GIT_DIR", "GIT_PUSH_OPTION_0", "LD_LIBRARY_PATH",
		"SUDO_USER", "SSH_AUTH_SOCK", "BASH_ENV", "ENV", "LC_ALL", "TROOPS_HOSTNAME", "TROOPS_REPORT", "VIRTUAL_ENV", "TERM"} {
		t.Setenv(name, "/nowhere")
	}
	n, venv := scriptNode(t, "import json, os\nprint(json.dumps(dict(os.environ)))\n")
	clean := CleanEnv()
	n.Spec.Env = nil
	if _, _, err := Deploy(t.Context(), n.Spec, venv); err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal([]byte(n.stdout.String()), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"TROOPS_HOSTNAME": n.Spec.Hostname, "TROOPS_COMMIT": n.Spec.Commit, "TROOPS_RUN": n.Spec.Run,
		"TROOPS_REPORT": n.Spec.ReportFile, "TROOPS_REPORT_PARENT": got["TROOPS_REPORT_PARENT"],
		"VIRTUAL_ENV": venv, "PATH": venv + "/bin:" + getEnv(clean, "PATH"), "LANG": "C.UTF-8",
	}
	for _, name := range []string{"HOME", "USER", "LOGNAME", "SHELL"} {
		want[name] = getEnv(clean, name)
	}
	if !maps.Equal(got, want) {
		t.Errorf("environment\n%v\nwant\n%v", got, want)
	}
}

func TestDeployRoles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, deploy string
		roles        []string
		reported     bool
	}{
		{"none", "import troops", []string{}, true},
		{"some", "import troops\ntroops.roles |= {'web', 'db'}", []string{"db", "web"}, true},
		{"not imported", "", nil, false},
		{"failed", "import troops\ntroops.activate_role('web')\n1 // 0", []string{"web"}, true},
		{"killed", "import troops, os\nos.kill(os.getpid(), 9)", nil, false},
		{"in a child only", "import subprocess, sys\nsubprocess.check_call([sys.executable, '-c', 'import troops'])", nil, false},
		{"overwritten", "import os\nopen(os.environ['TROOPS_REPORT'], 'w').write('[\"a b\"]')", nil, false},
		{"a directory", "import os\nos.mkdir(os.environ['TROOPS_REPORT'])", nil, false},
		{"a symbolic link", "import os\nos.symlink('/etc/passwd', os.environ['TROOPS_REPORT'])", nil, false},
		{"a fifo", "import os\nos.mkfifo(os.environ['TROOPS_REPORT'])", nil, false},
	} {
		n, venv := scriptNode(t, test.deploy)
		write(t, n.Spec.ReportFile, `["old"]`)
		roles, reported, _ := Deploy(t.Context(), n.Spec, venv)
		if !slices.Equal(roles, test.roles) || reported != test.reported {
			t.Errorf("%s: %q, %v, want %q, %v (%s)", test.name, roles, reported, test.roles, test.reported, n.said())
		}
	}
	n, venv := scriptNode(t, "import troops")
	n.Spec.ReportFile = ""
	if _, reported, err := Deploy(t.Context(), n.Spec, venv); reported || err != nil {
		t.Errorf("without a report file: %v, %v", reported, err)
	}
}

func TestParseReport(t *testing.T) {
	for text, ok := range map[string]bool{
		`[]`: true, `["b", "a", "b"]`: true, `null`: true,
		``: false, `{}`: false, `[1]`: false, `["a"`: false, `[""]`: false, `["a\nb"]`: false,
		`["` + strings.Repeat("x", 65) + `"]`: false, strings.Repeat(" ", maxReport) + `[]`: false,
	} {
		if _, reported, err := parseReport([]byte(text)); reported != ok || (err == nil) != ok {
			t.Errorf("%.80q: %v, %v", text, reported, err)
		}
	}
	if roles, _, _ := parseReport([]byte(`["b", "a", "b"]`)); !slices.Equal(roles, []string{"a", "b"}) {
		t.Errorf("roles %q", roles)
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte(`["web", "db"]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		roles, reported, err := parseReport(b)
		if (err == nil) != reported || err != nil && roles != nil {
			t.Errorf("%q, %v, %v", roles, reported, err)
		}
		for _, r := range roles {
			if !roleName.MatchString(r) {
				t.Errorf("role %q", r)
			}
		}
	})
}
