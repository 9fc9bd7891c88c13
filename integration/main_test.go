// Package integration tests troops end to end: the real binary, real git and ssh, and nodes
// that are real OpenSSH servers with users, sudo and apt (see testnode). It needs Linux and
// root; integration/setup.sh installs the rest.
//
// TROOPS_TEST_RACE=1 builds troops with the race detector; TROOPS_TEST_BINARY=PATH tests that
// binary instead of a fresh one.
package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if os.Getenv(binaryVar) == "" {
		dir, err := os.MkdirTemp("", "troops-integration-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
			return 1
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "troops")
		args := []string{"build", "-o", path}
		if os.Getenv("TROOPS_TEST_RACE") != "" {
			args = append(args, "-race")
		}
		// The tests that need it fail without; those of the rules of the source do not.
		if out, err := exec.Command("go", append(args, "troops/cmd/troops")...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "integration: building troops: %v\n%s", err, out)
		} else {
			os.Setenv(binaryVar, path)
		}
	}
	return m.Run()
}

// binaryVar is the environment variable that has the path of the troops that is tested.
const binaryVar = "TROOPS_TEST_BINARY"

func troopsBinary(t testing.TB) string {
	t.Helper()
	path := os.Getenv(binaryVar)
	if path == "" {
		t.Fatal("integration: troops could not be built: the reason stands before the tests' output")
	}
	return path
}
