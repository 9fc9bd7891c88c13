package sshx

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// exactScanLines is up to how many hashed lines a file is searched for the key types of
// a host before it is dialled. A longer one is searched only when the server's key is not
// found by the key itself, which costs a second connection but not 10 ms a host.
const exactScanLines = 1000

// knownFile is one known_hosts file, indexed: by name where a line names hosts plainly,
// by key where names are hashed. Lines that OpenSSH would skip are not in it.
type knownFile struct {
	path string // empty: nowhere, kept in memory alone

	mu     sync.RWMutex
	err    error     // why it could not be read; it counts as empty then
	size   int       // of what was read, in bytes
	count  int       // of what was read, in lines
	digest hash.Hash // of what was read
	lines  []knownLine
	plain  map[string][]int // literal names
	wild   []int            // lines with a pattern
	hashed []int
	byKey  map[string][]int // hashed lines by key
	kinds  map[string]bool  // key types of the hashed lines without marker
	scans  sync.Map         // name to scan; what is asked of the hashed lines more than once
}

// scan is what a search of all hashed lines for a name has found.
type scan struct {
	upTo  int   // so many of the hashed lines were there
	found []int // their indices
}

// newKnownFile makes an empty one.
func newKnownFile(path string) *knownFile {
	f := &knownFile{path: path}
	f.reset()
	return f
}

// loadKnownFile reads a file. One that does not exist is empty, and so is, with an err, one
// that cannot be read.
func loadKnownFile(path string) *knownFile {
	f := newKnownFile(path)
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		f.refresh(data)
	case !errors.Is(err, fs.ErrNotExist):
		f.err = plainPathError(err)
	}
	return f
}

// reset forgets everything.
func (f *knownFile) reset() {
	f.size, f.count, f.digest = 0, 0, sha256.New()
	f.scans.Clear()
	f.lines, f.wild, f.hashed = nil, nil, nil
	f.plain, f.byKey, f.kinds = make(map[string][]int), make(map[string][]int), make(map[string]bool)
}

// refresh takes over what the file holds now. What others have added since is cheap: only
// where that is not all they did is everything read again.
func (f *knownFile) refresh(data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = nil
	if len(data) < f.size || sha256.Sum256(data[:f.size]) != [sha256.Size]byte(f.digest.Sum(nil)) || f.size > 0 && data[f.size-1] != '\n' {
		f.reset()
	}
	f.extend(data[f.size:])
}

// added takes over what we have appended ourselves, under the lock of the file; ended is
// whether its first line feed ends the line before.
func (f *knownFile) added(text string, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ended {
		f.count--
	}
	f.extend([]byte(text))
}

// extend takes over what was appended to the file. The caller holds mu.
func (f *knownFile) extend(more []byte) {
	for raw := range bytes.Lines(more) {
		f.count++
		if k, err := parseKnownLine(string(raw)); err == nil {
			k.file, k.line = f.path, f.count
			f.add(k)
		}
	}
	f.size += len(more)
	f.digest.Write(more)
}

// add indexes one line. The caller holds mu.
func (f *knownFile) add(k knownLine) {
	i := len(f.lines)
	f.lines = append(f.lines, k)
	switch {
	case k.hashed != nil:
		f.hashed = append(f.hashed, i)
		f.byKey[k.blob] = append(f.byKey[k.blob], i)
		if k.marker == noMarker {
			f.kinds[k.kind] = true
		}
	case slices.ContainsFunc(k.names, func(p string) bool { return !isLiteral(p) }):
		f.wild = append(f.wild, i)
	default:
		for _, name := range k.names {
			f.plain[name] = append(f.plain[name], i)
		}
	}
}

// remember adds a host's key in memory alone.
func (f *knownFile) remember(name string, key ssh.PublicKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.add(knownLine{names: []string{name}, kind: key.Type(), blob: keyBlob(key), file: f.path})
}

// unreadable says why the file could not be read, or nil.
func (f *knownFile) unreadable() error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.err
}

// named gives the unhashed lines about a host, in the order of the file.
func (f *knownFile) named(name string) []knownLine {
	f.mu.RLock()
	defer f.mu.RUnlock()
	found := slices.Clone(f.plain[name])
	for _, i := range f.wild {
		if f.lines[i].matches(name) {
			found = append(found, i)
		}
	}
	slices.Sort(found)
	return f.pick(slices.Compact(found))
}

// hashedWith gives the hashed lines about a host that hold a certain key.
func (f *knownFile) hashedWith(name, blob string) []knownLine {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.pick(f.matching(name, f.byKey[blob]))
}

// hashedAll gives every hashed line about a host: one HMAC for each line of the file, once.
func (f *knownFile) hashedAll(name string) []knownLine {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var s scan
	if before, ok := f.scans.Load(name); ok {
		s = before.(scan)
	}
	if s.upTo < len(f.hashed) {
		s = scan{len(f.hashed), slices.Concat(s.found, f.matching(name, f.hashed[s.upTo:]))}
		f.scans.Store(name, s)
	}
	return f.pick(s.found)
}

// about gives the lines about a host in the order of the file. The hashed ones are left out,
// and the result is not whole, where they are many and the caller needs no exact answer.
func (f *knownFile) about(name string, exact bool) (lines []knownLine, whole bool) {
	f.mu.RLock()
	whole = exact || len(f.hashed) <= exactScanLines
	f.mu.RUnlock()
	lines = f.named(name)
	if whole {
		lines = append(lines, f.hashedAll(name)...)
		slices.SortStableFunc(lines, func(a, b knownLine) int { return a.line - b.line })
	}
	return lines, whole
}

func (f *knownFile) pick(at []int) []knownLine {
	var out []knownLine
	for _, i := range at {
		out = append(out, f.lines[i])
	}
	return out
}
