package inventory

import (
	"cmp"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// pythons returns the programs to try, in order: named, or every python3 on PATH. Scripts
// come last: a version manager's python3 takes longer to start than the evaluation.
func pythons(named string) []string {
	if named != "" {
		return []string{named}
	}
	var found []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			if p, err := exec.LookPath(filepath.Join(dir, "python3")); err == nil {
				found = append(found, p)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b string) int { return cmp.Compare(scriptRank(a), scriptRank(b)) })
	return found
}

// scriptRank is 1 for a file that begins with "#!", else 0.
func scriptRank(path string) int {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	var head [2]byte
	if _, err := io.ReadFull(f, head[:]); err == nil && string(head[:]) == "#!" {
		return 1
	}
	return 0
}
