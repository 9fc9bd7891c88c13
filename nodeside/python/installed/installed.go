// Package installed finds the Pythons of the machine, for tests of what has to work with all of them.
package installed

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// probe prints the version and the program of a Python that troops takes.
const probe = "import sys\nif sys.version_info >= (3, 8): print('%d.%d.%d' % sys.version_info[:3], sys.executable)"

// newest is beyond the last minor version of Python 3 that is looked for.
const newest = 30

// Pythons returns every Python from 3.8 on, by its version: those that PATH and /usr/bin have, and
// all that pyenv has installed, of which PATH shows the chosen one only.
func Pythons(t testing.TB) map[string]string {
	t.Helper()
	names := []string{"/usr/bin/python3", "python3"}
	for minor := 8; minor < newest; minor++ {
		names = append(names, fmt.Sprintf("python3.%d", minor))
	}
	names = append(names, pyenv()...)
	found := map[string]string{}
	for _, name := range names {
		out, err := exec.Command(name, "-I", "-c", probe).Output()
		version, exe, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
		if err == nil && ok && found[version] == "" {
			found[version] = exe
		}
	}
	if len(found) == 0 {
		t.Fatal("no python3 from 3.8 on: apt-get install python3 python3-venv")
	}
	t.Logf("Pythons: %v", slices.Sorted(maps.Keys(found)))
	return found
}

// pyenv lists the programs of all versions that pyenv has installed.
func pyenv() []string {
	root := os.Getenv("PYENV_ROOT")
	if home, err := os.UserHomeDir(); root == "" && err == nil {
		root = filepath.Join(home, ".pyenv")
	}
	programs, err := filepath.Glob(filepath.Join(root, "versions", "3.*", "bin", "python3"))
	if err != nil { // the pattern is right but for the root
		return nil
	}
	return programs
}
