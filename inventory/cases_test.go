package inventory

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"troops/gitcli"
)

var update = flag.Bool("update", false, "write what is found into the want section of testdata/cases")

// testRepo makes a bare repository with one commit of files and returns it and the commit.
// The name of a file may begin with "link ", "submodule " or "exec ".
func testRepo(t testing.TB, files map[string]string) (gitcli.Repo, string) {
	t.Helper()
	repo := emptyRepo(t)
	return repo, testCommits(t, repo, map[string]map[string]string{"main": files})["main"]
}

func emptyRepo(t testing.TB) gitcli.Repo {
	t.Helper()
	repo := gitcli.Repo{Dir: filepath.Join(t.TempDir(), "r.git")}
	if _, err := (gitcli.Repo{Dir: t.TempDir()}).Run(t.Context(), nil, "init", "-q", "--bare", repo.Dir); err != nil {
		t.Fatal(err)
	}
	return repo
}

// testCommits makes a branch with one commit of each set of files, and returns the commits.
func testCommits(t testing.TB, repo gitcli.Repo, branches map[string]map[string]string) map[string]string {
	t.Helper()
	var in bytes.Buffer
	for branch, files := range branches {
		fmt.Fprintf(&in, "commit refs/heads/%s\ncommitter T <t@example.com> 1700000000 +0000\ndata 1\nx\ndeleteall\n", branch)
		for name, text := range files {
			kind, path, ok := strings.Cut(name, " ")
			if !ok {
				kind, path = "", name
			}
			mode := map[string]string{"": "100644", "exec": "100755", "link": "120000"}[kind]
			if kind == "submodule" {
				fmt.Fprintf(&in, "M 160000 %040d %s\n", 1, path)
				continue
			}
			fmt.Fprintf(&in, "M %s inline %s\ndata %d\n%s\n", mode, path, len(text), text)
		}
	}
	if _, err := repo.Run(t.Context(), &in, "fast-import", "--quiet", "--force"); err != nil {
		t.Fatal(err)
	}
	listed, err := repo.Run(t.Context(), nil, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)")
	if err != nil {
		t.Fatal(err)
	}
	commits := make(map[string]string)
	for line := range strings.Lines(string(listed)) {
		branch, oid, _ := strings.Cut(strings.TrimSpace(line), " ")
		commits[branch] = oid
	}
	return commits
}

// caseFiles returns the files of a case, by the names that testRepo takes.
func caseFiles(a *txtar.Archive) (files map[string]string, want string) {
	files = make(map[string]string)
	special := make(map[string]string)
	for line := range strings.Lines(string(a.Comment)) {
		kind, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "link", "submodule":
			files[kind+" "+path] = "elsewhere"
		case "exec":
			special[path] = kind + " "
		}
	}
	for _, f := range a.Files {
		if f.Name == "want" {
			want = string(f.Data)
			continue
		}
		files[special[f.Name]+f.Name] = string(f.Data)
	}
	return files, want
}

// render writes an inventory as the want sections have it.
func render(inv *Inventory, err error) string {
	var b strings.Builder
	var wrong *Error
	switch {
	case errors.As(err, &wrong):
		for _, p := range wrong.Problems {
			fmt.Fprintf(&b, "error: %s\n", p)
		}
	case err != nil:
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	if inv == nil {
		return b.String()
	}
	for _, e := range inv.Entries {
		fmt.Fprintf(&b, "%s: %s (%s)\n", e.Host, strings.Join(e.Roles, " "), strings.Join(e.Sources, " "))
		for _, p := range e.Maybe {
			fmt.Fprintf(&b, "    maybe %s\n", p)
		}
		for _, p := range e.unsure {
			fmt.Fprintf(&b, "    unsure %s\n", p)
		}
		if e.Complete != (len(e.Maybe) == 0) {
			fmt.Fprintf(&b, "    complete: %t\n", e.Complete)
		}
	}
	for _, p := range inv.Unknown {
		fmt.Fprintf(&b, "unknown: %s\n", p)
	}
	for _, p := range inv.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", p)
	}
	return b.String()
}

var syntaxError = regexp.MustCompile(`(deploy.py:\d+: syntax error|helper.py:\d+: syntax error).*`)

// needsNew in a case's comment says that older versions refuse its syntax.
const needsNew = "Needs CPython 3.10"

func TestCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/cases/*.txtar")
	if err != nil || len(paths) < 40 {
		t.Fatalf("%d cases, %v", len(paths), err)
	}
	branches := make(map[string]map[string]string)
	archives := make(map[string]*txtar.Archive)
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		if archives[name], err = txtar.ParseFile(path); err != nil {
			t.Fatal(err)
		}
		branches[name], _ = caseFiles(archives[name])
	}
	repo := emptyRepo(t)
	commits := testCommits(t, repo, branches)
	var runs []oracleRun
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txtar")
		t.Run(name, func(t *testing.T) {
			_, want := caseFiles(archives[name])
			inv, err := Read(t.Context(), repo, commits[name], Options{})
			got := strings.ReplaceAll(render(inv, err), commits[name][:12], "COMMIT")
			got = syntaxError.ReplaceAllString(got, "$1") // its words are Python's own
			if strings.Contains(string(archives[name].Comment), needsNew) && strings.Contains(got, "syntax error") {
				if ci := os.Getenv("CI"); ci != "" && ci != "false" {
					t.Fatal("this Python does not know the syntax yet: CI needs a newer one")
				}
				t.Skip("this Python does not know the syntax yet")
			}
			if *update {
				writeWant(t, path, archives[name], got)
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if inv != nil && len(inv.Unknown) == 0 && len(inv.Warnings) == 0 {
				runs = append(runs, oracleRuns(name, branches[name], inv)...)
			}
		})
	}
	if *update {
		return
	}
	t.Run("oracle", func(t *testing.T) { checkOracle(t, branches, runs) })
}

func writeWant(t *testing.T, path string, a *txtar.Archive, got string) {
	t.Helper()
	out := &txtar.Archive{Comment: a.Comment}
	for _, f := range a.Files {
		if f.Name != "want" {
			out.Files = append(out.Files, f)
		}
	}
	out.Files = append(out.Files, txtar.File{Name: "want", Data: []byte(got)})
	if err := os.WriteFile(path, txtar.Format(out), 0o666); err != nil {
		t.Fatal(err)
	}
}

// TestManyHosts reads a fleet in which a rule makes a pass for each host necessary.
func TestManyHosts(t *testing.T) {
	const n = 1000
	inv, err := read(t, fmt.Sprintf(`import troops
WEB = ['web-%%04d.example.com' %% i for i in range(%d)]
troops.define_role('web', hosts=WEB)
for i, h in enumerate(WEB):
    troops.define_role('shard-%%d' %% (i %% 8), hosts=[h])
if troops.hostname().startswith('web-000') and troops.have_role('shard-7'):
    troops.activate_role('chosen')
`, n))
	if err != nil || len(inv.Entries) != n {
		t.Fatalf("%v", err)
	}
	got, err := inv.Select(Selection{Roles: []string{"chosen"}})
	if err != nil || hosts(got) != "web-0007.example.com" || strings.Join(got[0].Roles, " ") != "chosen shard-7 web" {
		t.Errorf("got %v, %v", got, err)
	}
}
