package inventory

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
)

// bytecode keeps the evaluator as a version of Python has compiled it, in the user's cache
// directory: compiling takes longer than all else that Python does here. Whoever can write
// there can run code as the user, so only what nobody else can have written is taken.
type bytecode struct {
	dir string // empty: nothing is kept
}

// userBytecode is the cache of the user that runs. One that cannot be had is empty: then the
// evaluator is compiled each time.
func userBytecode() bytecode {
	base, err := os.UserCacheDir()
	if err != nil || !filepath.IsAbs(base) {
		return bytecode{}
	}
	return bytecode{dir: filepath.Join(base, "troops")}
}

// prefix begins the names of the files.
const prefix = "evaluator-"

// pythonTag is what a Python calls the form of its bytecode.
var pythonTag = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// path is the file for a source, by its sum, and a Python; empty where there is to be none.
func (c bytecode) path(sum []byte, tag string) string {
	if c.dir == "" || !pythonTag.MatchString(tag) {
		return ""
	}
	return filepath.Join(c.dir, fmt.Sprintf("%s%x-%s", prefix, sum, tag))
}

// load gives what was stored at a path; nil where that is not there, or not to be trusted.
func (c bytecode) load(path string) []byte {
	if path == "" || !ownAlone(c.dir) || !ownAlone(path) {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil || len(b) < sha256.Size {
		return nil
	}
	sum, code := b[:sha256.Size], b[sha256.Size:]
	if sha256.Sum256(code) != [sha256.Size]byte(sum) {
		return nil
	}
	return code
}

// store keeps code. Where it cannot, the next evaluation takes a little longer.
func (c bytecode) store(path string, code []byte) error {
	if path == "" {
		return nil
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if !ownAlone(c.dir) {
		return fmt.Errorf("%s can be written by others", c.dir)
	}
	// Those of other versions of the evaluator are not needed any more.
	name := filepath.Base(path)
	tag := name[strings.IndexByte(name[len(prefix):], '-')+len(prefix):]
	if old, err := filepath.Glob(filepath.Join(c.dir, prefix+"*"+tag)); err == nil {
		for _, o := range old {
			_ = os.Remove(o) // at worst it stays
		}
	}
	sum := sha256.Sum256(code)
	return renameio.WriteFile(path, append(sum[:], code...), 0o600, renameio.WithTempDir(c.dir))
}

// ownAlone reports whether a file or directory, no symbolic link, is ours and nobody else may
// write it.
func ownAlone(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() && !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
