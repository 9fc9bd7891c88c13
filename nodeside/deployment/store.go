package deployment

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// KeepVenvs is how many virtualenvs are kept, the one in use included: those of the
// last requirements, so that going back to them is quick.
const KeepVenvs = 5

// Names in the directory of virtualenvs.
const (
	storeLock = ".lock"       // flock: held for moments, while names there change
	deadName  = ".dead-"      // what is being removed
	linkName  = ".link-"      // a symbolic link on its way to its place
	venvLock  = "troops.lock" // in a virtualenv. flock: exclusive while it is made, shared while it is used; its time is the last use
)

var (
	keyName  = regexp.MustCompile(`^[0-9a-f]{32}$`)
	venvName = regexp.MustCompile(`^([0-9a-f]{32})-[0-9A-Za-z]+$`)
)

// store is the directory of virtualenvs. Symbolic links <key> lead to the whole ones,
// <key>-<run>, which stay where they were made: they have their path inside.
type store struct{ dir string }

func openStore(dir string) (store, error) {
	if !filepath.IsAbs(dir) {
		return store{}, fmt.Errorf("deployment: the directory of virtualenvs must be absolute: %q", dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return store{}, fmt.Errorf("deployment: making the directory of virtualenvs: %w", err)
	}
	return store{filepath.Clean(dir)}, nil
}

// locked calls f while no other process changes names in the store.
func (st store) locked(f func() error) error {
	l, err := flock(filepath.Join(st.dir, storeLock), os.O_RDWR|os.O_CREATE, syscall.LOCK_EX)
	if err != nil {
		return fmt.Errorf("deployment: locking the virtualenvs: %w", err)
	}
	defer l.Close()
	return f()
}

// reuse returns the virtualenv of key, if there is one of the interpreter python and it looks
// whole. The link to one that does not is removed.
func (st store) reuse(key, python string) (venv string, ok bool) {
	err := st.locked(func() error {
		target := st.target(key)
		m := venvName.FindStringSubmatch(target)
		venv = filepath.Join(st.dir, target)
		if m == nil || m[1] != key || !whole(venv, python) {
			return cmp.Or(os.Remove(filepath.Join(st.dir, key)), fs.ErrNotExist)
		}
		now := time.Now()
		return os.Chtimes(filepath.Join(venv, venvLock), now, now)
	})
	return venv, err == nil
}

// whole looks for what a virtualenv loses when its Python was removed, or a part of it was.
func whole(venv, python string) bool {
	site, err := sitePackages(venv)
	if err != nil {
		return false
	}
	for _, name := range []string{
		filepath.Join(venv, "pyvenv.cfg"), filepath.Join(venv, "bin", "python"), filepath.Join(site, "troops", "__init__.py"),
	} {
		if fi, err := os.Stat(name); err != nil || !fi.Mode().IsRegular() {
			return false
		}
	}
	// It links to the interpreter that it was made with: what else is there would run deploy.py.
	return sameFile(filepath.Join(venv, "bin", "python"), python)
}

// sameFile reports whether two paths lead to one file.
func sameFile(a, b string) bool {
	fa, errA := os.Stat(a)
	fb, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(fa, fb)
}

// begin makes the directory for a new virtualenv, and room for it. It is this
// process's until release is called.
func (st store) begin(key, run string) (venv string, release func(), err error) {
	name := key + "-" + run
	var lock *os.File
	err = st.locked(func() error {
		pruned := st.prune(name) // matters only if it left no room for the new one
		if err := os.Mkdir(filepath.Join(st.dir, name), 0o755); err != nil {
			return errors.Join(err, pruned)
		}
		lock, err = flock(filepath.Join(st.dir, name, venvLock), os.O_RDWR|os.O_CREATE, syscall.LOCK_EX|syscall.LOCK_NB)
		return err
	})
	if err != nil {
		return "", nil, fmt.Errorf("deployment: making a virtualenv: %w", err)
	}
	st.bury()
	return filepath.Join(st.dir, name), func() { lock.Close() }, nil
}

// publish makes venv the one of key.
func (st store) publish(key, venv string) error {
	err := st.locked(func() error {
		temporary := filepath.Join(st.dir, linkName+filepath.Base(venv))
		if err := os.Symlink(filepath.Base(venv), temporary); err != nil {
			return err
		}
		return os.Rename(temporary, filepath.Join(st.dir, key))
	})
	if err != nil {
		return fmt.Errorf("deployment: publishing the virtualenv: %w", err)
	}
	return nil
}

// prune takes out of the way what nobody needs: builds that died, virtualenvs that
// were replaced, and the longest unused, so that KeepVenvs are there with a new one.
// Those in use, here or in another process, stay. again is one that is made anew.
func (st store) prune(again string) error {
	entries, err := os.ReadDir(st.dir)
	if err != nil {
		return err
	}
	type candidate struct {
		name string
		used time.Time
	}
	var linked []candidate
	var doomed []string
	for _, e := range entries {
		m := venvName.FindStringSubmatch(e.Name())
		switch {
		case strings.HasPrefix(e.Name(), linkName):
			err = errors.Join(err, os.Remove(filepath.Join(st.dir, e.Name())))
		case m == nil || !e.IsDir():
		case st.target(m[1]) != e.Name() || e.Name() == again:
			doomed = append(doomed, e.Name())
		default:
			c := candidate{name: e.Name()}
			if fi, err := os.Stat(filepath.Join(st.dir, e.Name(), venvLock)); err == nil {
				c.used = fi.ModTime()
			}
			linked = append(linked, c)
		}
	}
	slices.SortFunc(linked, func(a, b candidate) int {
		return cmp.Or(b.used.Compare(a.used), strings.Compare(b.name, a.name))
	})
	for _, c := range linked[min(len(linked), KeepVenvs-1):] {
		doomed = append(doomed, c.name)
	}
	for _, name := range doomed {
		err = errors.Join(err, st.retire(name))
	}
	return errors.Join(err, st.unlinkDangling(entries))
}

// target is where the link of key leads, empty where there is none.
func (st store) target(key string) string {
	target, err := os.Readlink(filepath.Join(st.dir, key))
	if err != nil {
		return ""
	}
	return target
}

// retire renames a virtualenv to a name under which bury removes it, unless it is in use.
func (st store) retire(name string) error {
	dir := filepath.Join(st.dir, name)
	lock, err := flock(filepath.Join(dir, venvLock), os.O_RDWR, syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return nil
	case err == nil:
		defer lock.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dead, err := os.MkdirTemp(st.dir, deadName)
	if err != nil {
		return err
	}
	return os.Rename(dir, filepath.Join(dead, name))
}

// unlinkDangling removes links to virtualenvs that are gone.
func (st store) unlinkDangling(entries []os.DirEntry) error {
	var errs []error
	for _, e := range entries {
		name := filepath.Join(st.dir, e.Name())
		if !keyName.MatchString(e.Name()) || e.Type() != fs.ModeSymlink {
			continue
		}
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, os.Remove(name))
		}
	}
	return errors.Join(errs...)
}

// bury removes what was retired. What cannot be removed now is tried again next time.
func (st store) bury() {
	dead, err := filepath.Glob(filepath.Join(st.dir, deadName+"*"))
	if err != nil {
		return // a directory with [ in its name: the pattern is malformed
	}
	for _, dir := range dead {
		os.RemoveAll(dir)
	}
}

// inUse keeps a virtualenv from being pruned until the returned file is closed; nil
// where that cannot be had.
func inUse(venv string) *os.File {
	if venv == "" {
		return nil
	}
	f, err := flock(filepath.Join(venv, venvLock), os.O_RDONLY, syscall.LOCK_SH|syscall.LOCK_NB)
	if err != nil {
		return nil
	}
	return f
}

// flock opens a file and locks it; closing it ends the lock. Children do not inherit it.
func flock(name string, flag, how int) (*os.File, error) {
	f, err := os.OpenFile(name, flag|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, &fs.PathError{Op: "flock", Path: name, Err: err}
	}
	return f, nil
}
