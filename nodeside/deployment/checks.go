package deployment

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxSource is how much of a Python file is searched for checks, in bytes.
const maxSource = 1 << 20

var (
	importsTroops = regexp.MustCompile(`\btroops\b`)
	namesCheck    = regexp.MustCompile(`\bcheck\b`)
)

// hasChecks reports whether some Python file of the checkout may have a function that is
// marked with @troops.check, under whatever name: one that speaks of both troops and check.
// Where none does, deploy.py need not run again to find nothing. What cannot be read may.
func (s Spec) hasChecks() bool {
	found := false
	err := filepath.WalkDir(s.Checkout, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.Type().IsRegular() || !strings.HasSuffix(d.Name(), ".py") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text = text[:min(len(text), maxSource)]
		if importsTroops.Match(text) && namesCheck.Match(text) {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found || err != nil
}
