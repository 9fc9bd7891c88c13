package inventory

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
)

// maxAnswers is how many evaluations are kept: of a few repositories and branches.
const maxAnswers = 32

// answersPrefix begins the names of their files.
const answersPrefix = "answer-"

// answer is what an evaluation said, and of which files: these are named by their contents, so
// while they are the same there is nothing to evaluate anew. Most commits change none of them.
type answer struct {
	Read  map[string]string `json:"read"`  // object names, by path
	Reply json.RawMessage   `json:"reply"` // the evaluator's last line
}

// answers keeps evaluations in the user's cache directory, under the same care as bytecode:
// whoever could write there could choose the hosts that are deployed to.
type answers struct{ bytecode }

// path is the file of what an evaluator says of deploy.py among the files of a tree. task is all
// that it is told, which tells of any file that it could ask for whether it is there.
func (a answers) path(python string, evaluator, task []byte, t *tree) string {
	st, err := os.Stat(python)
	if err != nil || a.dir == "" {
		return ""
	}
	h := sha256.New()
	for _, part := range [][]byte{evaluator, task, []byte(t.files[deployPython].oid),
		fmt.Appendf(nil, "%s %d %v", python, st.Size(), st.ModTime().UnixNano())} {
		fmt.Fprintf(h, "%d\n", len(part))
		h.Write(part)
	}
	return filepath.Join(a.dir, fmt.Sprintf("%s%x", answersPrefix, h.Sum(nil)))
}

// load gives the answer at a path if it is still right for the tree; nil where it is not.
func (a answers) load(path string, t *tree) *evaluated {
	var kept answer
	if err := json.Unmarshal(a.bytecode.load(path), &kept); err != nil {
		return nil
	}
	for file, oid := range kept.Read {
		if t.files[file].oid != oid {
			return nil
		}
	}
	var m message
	if err := json.Unmarshal(kept.Reply, &m); err != nil {
		return nil
	}
	return m.Result
}

// store keeps an answer, and lets the oldest ones go. An error costs the next one its time.
func (a answers) store(path string, kept answer) error {
	if path == "" || !ownAlone(a.dir) {
		return nil
	}
	b, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	a.prune()
	sum := sha256.Sum256(b)
	return renameio.WriteFile(path, bytes.Join([][]byte{sum[:], b}, nil), 0o600, renameio.WithTempDir(a.dir))
}

// prune makes room for one more.
func (a answers) prune() {
	old, err := filepath.Glob(filepath.Join(a.dir, answersPrefix+"*"))
	if err != nil || len(old) < maxAnswers {
		return
	}
	age := make(map[string]int64, len(old))
	for _, path := range old {
		if st, err := os.Lstat(path); err == nil {
			age[path] = st.ModTime().UnixNano()
		}
	}
	slices.SortFunc(old, func(x, y string) int { return cmp.Compare(age[y], age[x]) })
	for _, path := range old[maxAnswers-1:] {
		_ = os.Remove(path) // at worst it stays
	}
}
