package inventory

import (
	"bytes"
	"encoding/json"
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
	Case  string   `json:"case"`
	Host  string   `json:"host"`
	Want  []string `json:"-"`
	Roles []string `json:"roles"`
	Error string   `json:"error"`
}

// oracleRuns returns a run for each host of a case about which nothing is unknown.
func oracleRuns(name string, files map[string]string, inv *Inventory) []oracleRun {
	var runs []oracleRun
	for _, e := range inv.Entries {
		if _, ok := files["deploy.py"]; ok && e.Complete {
			runs = append(runs, oracleRun{Case: name, Host: e.Host.Name, Want: e.Roles})
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
