package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oracleRun is a deploy.py that real Python runs, with a small module troops of the tests'
// own, as if on one host. Modules that the repository does not have are mocks.
type oracleRun struct {
	Case  string              `json:"case"`
	Host  string              `json:"host"`
	Toml  map[string][]string `json:"toml"` // what roles.toml says
	Want  []string            `json:"-"`
	Roles []string            `json:"roles"`
	Error string              `json:"error"`
}

// oracleRuns returns a run for each host of a case about which nothing is unknown.
func oracleRuns(name string, files map[string]string, inv *Inventory) []oracleRun {
	var runs []oracleRun
	toml := make(map[string][]string)
	roles, _ := parseRoles([]byte(files[RolesFile]))
	for _, r := range roles {
		for _, h := range r.hosts {
			toml[r.name] = append(toml[r.name], h.String())
		}
	}
	for _, e := range inv.Entries {
		if _, ok := files["deploy.py"]; ok && e.Complete {
			runs = append(runs, oracleRun{Case: name, Host: e.Host.Name, Toml: toml, Want: e.Roles})
		}
	}
	return runs
}

// checkOracle shows that the roles that were read are those that Python makes active.
func checkOracle(t *testing.T, branches map[string]map[string]string, runs []oracleRun) {
	t.Helper()
	dir := t.TempDir()
	for name, files := range branches {
		for file, text := range files {
			path := filepath.Join(dir, name, file[strings.LastIndexByte(file, ' ')+1:])
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	in, err := json.Marshal(runs)
	if err != nil {
		t.Fatal(err)
	}
	oracle, err := filepath.Abs("testdata/oracle/run.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), pythons("")[0], oracle, dir)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var answers []oracleRun
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(runs) {
		t.Fatalf("%d answers for %d runs, %v", len(answers), len(runs), err)
	}
	for i, got := range answers {
		if got.Error != "" || !slices.Equal(got.Roles, runs[i].Want) {
			t.Errorf("%s on %s: Python says roles %q, troops %q; %s", got.Case, got.Host, got.Roles, runs[i].Want, got.Error)
		}
	}
	t.Logf("%d runs", len(runs))
}

// TestDifferential makes programs at random, and shows that what the evaluator says holds in
// real runs of them: see the script.
func TestDifferential(t *testing.T) {
	const first, count = 20000, 100
	cmd := exec.CommandContext(t.Context(), pythons("")[0], "testdata/oracle/differential.py", "pyeval", fmt.Sprint(first), fmt.Sprint(count))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
