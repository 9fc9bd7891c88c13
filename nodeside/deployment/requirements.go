package deployment

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	requirementsFile  = "requirements.txt"
	maxRequirements   = 4 << 20 // bytes of one file
	maxRequirementSet = 1000    // files included, all in all
)

// requirements is what requirements.txt and the files it includes ask for, as far
// as it decides whether a virtualenv is still the right one.
type requirements struct {
	found   bool              // there is a requirements.txt
	any     bool              // and it names at least one package
	content map[string]string // file below the checkout -> SHA-256 of what is in it
	local   []string          // "requirements.txt:3: ./x": built from the checkout itself
	troops  []string          // "requirements.txt:3 asks for troops>=99"
}

// reader reads requirements; root keeps it inside the checkout, symbolic links included.
type reader struct {
	root *os.Root
	dir  string // the checkout, absolute
	env  []string
	req  requirements
}

// readRequirements reads requirements.txt of a checkout, in pip's own format
// ("Requirements File Format" in pip's documentation). What it does not understand
// it leaves to pip.
func readRequirements(checkout string, env []string) (requirements, error) {
	dir, err := filepath.Abs(checkout)
	if err != nil {
		return requirements{}, fmt.Errorf("deployment: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return requirements{}, fmt.Errorf("deployment: reading the checkout: %w", err)
	}
	defer root.Close()
	if _, err := root.Lstat(requirementsFile); errors.Is(err, fs.ErrNotExist) {
		return requirements{}, nil
	}
	r := reader{root: root, dir: dir, env: env}
	r.req = requirements{found: true, content: map[string]string{}}
	if err := r.file(requirementsFile); err != nil {
		return requirements{}, fmt.Errorf("deployment: reading %w", err)
	}
	return r.req, nil
}

// file reads one file and those it includes. Each is read once.
func (r *reader) file(name string) error {
	if _, seen := r.req.content[name]; seen {
		return nil
	}
	if len(r.req.content) >= maxRequirementSet {
		return fmt.Errorf("%s: more than %d files", name, maxRequirementSet)
	}
	data, err := r.read(name)
	if err != nil {
		return err
	}
	r.req.content[name] = digest(data)
	for _, l := range logicalLines(string(data), r.env) {
		if err := r.line(name, l); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) read(name string) ([]byte, error) {
	f, err := r.root.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, cause(err))
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxRequirements+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, cause(err))
	case len(data) > maxRequirements:
		return nil, fmt.Errorf("%s: longer than %d bytes", name, maxRequirements)
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")):
		return nil, fmt.Errorf("%s: is UTF-16: save it as UTF-8", name)
	}
	return data, nil
}

// line takes in one line of a file.
func (r *reader) line(name string, l logicalLine) error {
	at := fmt.Sprintf("%s:%d", name, l.number)
	for _, in := range parseLine(l.text) {
		switch in.kind {
		case include:
			if remote(in.value) {
				r.req.any = true // only pip can tell whether it asks for something
				continue
			}
			file, ok := r.below(path.Dir(name), in.value)
			if !ok {
				return fmt.Errorf("%s: includes %s, which is outside of the checkout", at, in.value)
			}
			if err := r.file(file); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		case links:
			r.findLinks(path.Dir(name), in.value)
		case editable, requirement:
			r.req.any = true
			r.requirement(at, in)
		}
	}
	return nil
}

// requirement notes what is special about a package asked for.
func (r *reader) requirement(at string, in instruction) {
	if isTroops(in.value) {
		r.req.troops = append(r.req.troops, at+" asks for "+in.value)
	}
	if !r.isLocal(in) {
		return
	}
	// An archive in the repository is known by its content; a directory is built
	// in a checkout that is this run's alone.
	if file, ok := r.below(".", in.value); ok && in.kind == requirement && r.hashFile(file) {
		return
	}
	r.req.local = append(r.req.local, at+": "+in.value)
}

// isLocal reports whether a requirement is a path: rather once too often, since all
// that costs is the reuse of the virtualenv.
func (r *reader) isLocal(in instruction) bool {
	v := in.value
	if strings.Contains(v, "file:") {
		return true
	}
	if remote(v) || hasVCS(v) {
		return false
	}
	if in.kind == editable || strings.HasPrefix(v, ".") || strings.Contains(v, "/") {
		return true
	}
	fi, err := r.root.Stat(v)
	return err == nil && fi.Mode().IsRegular() // foo-1.0.tar.gz
}

// findLinks takes in the archives of a directory of the repository (--find-links).
// Directories elsewhere are like an index: what they have is not looked at.
func (r *reader) findLinks(from, value string) {
	if remote(value) {
		return
	}
	for _, dir := range []string{from, "."} {
		name, ok := r.below(dir, value)
		if !ok {
			continue
		}
		entries, err := fs.ReadDir(r.root.FS(), name)
		for _, e := range entries {
			r.hashFile(path.Join(name, e.Name()))
		}
		if err == nil || r.hashFile(name) {
			return
		}
	}
}

// hashFile takes in the content of a regular file of the checkout.
func (r *reader) hashFile(name string) bool {
	f, err := r.root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	h := sha256.New()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return false
	}
	if _, err := io.Copy(h, f); err != nil {
		return false
	}
	r.req.content[name] = fmt.Sprintf("%x", h.Sum(nil))
	return true
}

// below turns a path in a file of directory from into one relative to the checkout,
// with slashes; ok is false where it leads out. Symbolic links are root's to judge.
func (r *reader) below(from, value string) (name string, ok bool) {
	value = strings.TrimPrefix(value, "file://")
	if filepath.IsAbs(value) {
		rel, err := filepath.Rel(r.dir, value)
		if err != nil {
			return "", false
		}
		from, value = ".", filepath.ToSlash(rel)
	}
	name = path.Join(from, value)
	return name, filepath.IsLocal(name)
}

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

// cause is an error of a file without the path, which the caller says better.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
