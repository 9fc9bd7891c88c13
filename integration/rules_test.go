package integration

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mayImport is the third column of ARCHITECTURE.md's table of rooms. A package goes by the
// longest entry that is a prefix of its path; importing inside one's own room is free, but for
// the entries that stand for themselves.
var mayImport = map[string][]string{
	"gitcli":               {},
	"inventory":            {"gitcli"},
	"sshx":                 {},
	"push":                 {"sshx", "inventory", "nodeside/wire", "gitcli", "push/gitwire", "push/packs"},
	"push/gitwire":         {},
	"push/packs":           {"gitcli", "push/gitwire"},
	"doctor":               {"sshx", "push", "nodeside", "nodeside/python"},
	"bootstrap":            {"sshx", "push", "doctor"},
	"output":               {"push", "push/gitwire", "push/packs", "doctor", "nodeside/wire"},
	"nodeside":             {"gitcli", "nodeside/wire", "nodeside/deployment", "nodeside/python"},
	"nodeside/wire":        {},
	"nodeside/python":      {},
	"nodeside/deployment":  {"nodeside/python", "gitcli"},
	"nodeside/sandbox":     {"nodeside/wire"},
	"integration/testnode": {},
	"integration/simnode":  {"nodeside/wire"},
	"integration/bench":    {"integration/testnode", "integration/simnode"},
	"integration/pictures": {"nodeside/sandbox"},
}

type goPackage struct {
	ImportPath, Dir, Name string
	Imports               []string
	GoFiles               []string
}

// packages lists the packages of the module as the go command sees them.
func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Name,Imports,GoFiles", "troops/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 8 {
		t.Fatalf("go list found %d packages only", len(pkgs))
	}
	return pkgs
}

func TestImportRules(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, "troops/")
		if room == "cmd/troops" || room == "integration" {
			continue // may import all
		}
		allowed, ok := mayImport[room]
		for parent := room; !ok && parent != "."; {
			parent = filepath.Dir(parent)
			allowed, ok = mayImport[parent]
			allowed = append([]string{parent}, allowed...)
		}
		if !ok {
			t.Errorf("%s is in no room of ARCHITECTURE.md", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			other, ours := strings.CutPrefix(imp, "troops/")
			if ours && !slices.Contains(allowed, other) && !strings.HasPrefix(other, room+"/") {
				t.Errorf("%s imports %s: its room may import %v", p.ImportPath, imp, allowed)
			}
		}
	}
}

func TestOnlyOutputAndCommandsWriteToTheTerminal(t *testing.T) {
	banned := map[string][]string{
		"fmt": {"Print", "Printf", "Println"},
		"os":  {"Stdout", "Stderr", "Exit"},
		"log": {"Fatal", "Fatalf", "Fatalln", "Print", "Printf", "Println"},
	}
	eachFile(t, func(p goPackage, path string, fset *token.FileSet, f *ast.File) {
		if p.Name == "main" || p.ImportPath == "troops/output" {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if id, ok := sel.X.(*ast.Ident); ok && slices.Contains(banned[id.Name], sel.Sel.Name) {
				t.Errorf("%s: %s.%s: only output and cmd/troops write to a terminal or exit", fset.Position(n.Pos()), id.Name, sel.Sel.Name)
			}
			return true
		})
	})
}

func TestEveryPackageHasOneComment(t *testing.T) {
	count := make(map[string]int)
	eachFile(t, func(p goPackage, path string, _ *token.FileSet, f *ast.File) {
		if f.Doc != nil {
			count[p.ImportPath]++
		}
	})
	for _, p := range packages(t) {
		if len(p.GoFiles) > 0 && count[p.ImportPath] != 1 {
			t.Errorf("%s has %d package comments, want 1", p.ImportPath, count[p.ImportPath])
		}
	}
}

func TestGoModHasNoReplace(t *testing.T) {
	b, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), "\nreplace") {
		t.Error("go.mod replaces a module: users who build it by name would get another program")
	}
}

// eachFile calls f for every file of the module that is not a test.
func eachFile(t *testing.T, f func(p goPackage, path string, fset *token.FileSet, file *ast.File)) {
	t.Helper()
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			fset := token.NewFileSet()
			path := filepath.Join(p.Dir, name)
			file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			f(p, path, fset, file)
		}
	}
}
