package sshx

import (
	"bytes"
	"errors"
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
	path string

	mu     sync.RWMutex
	lines  []knownLine
	plain  map[string][]int // literal names
	wild   []int            // lines with a pattern
	hashed []int
	byKey  map[string][]int // hashed lines by key
	kinds  map[string]bool  // key types of the hashed lines without marker
}

// newKnownFile makes an empty one.
func newKnownFile(path string) *knownFile {
	return &knownFile{path: path, plain: make(map[string][]int), byKey: make(map[string][]int), kinds: make(map[string]bool)}
}

// loadKnownFile reads a file. One that does not exist is empty.
func loadKnownFile(path string) (*knownFile, error) {
	f := newKnownFile(path)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	f.parse(data)
	return f, nil
}

// parse adds the lines of data.
func (f *knownFile) parse(data []byte) {
	number := 0
	for raw := range bytes.Lines(data) {
		number++
		if k, err := parseKnownLine(string(raw)); err == nil {
			k.file, k.line = f.path, number
			f.add(k)
		}
	}
}

// add indexes one line. The caller holds mu, or is the only one to know f.
func (f *knownFile) add(k knownLine) {
	i := len(f.lines)
	f.lines = append(f.lines, k)
	switch {
	case k.salt != nil:
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

// hashedAll gives every hashed line about a host: one HMAC for each line of the file.
func (f *knownFile) hashedAll(name string) []knownLine {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.pick(f.matching(name, f.hashed))
}

func (f *knownFile) matching(name string, candidates []int) []int {
	var found []int
	for _, i := range candidates {
		if f.lines[i].matches(name) {
			found = append(found, i)
		}
	}
	return found
}

func (f *knownFile) pick(at []int) []knownLine {
	var out []knownLine
	for _, i := range at {
		out = append(out, f.lines[i])
	}
	return out
}

// verdict is what known_hosts says about a key.
type verdict struct {
	kind HostKeyKind // empty: the key is the host's
	by   knownLine   // the line that decided, where one did
}

// keyBlob is a key in wire format, as lines are indexed.
func keyBlob(key ssh.PublicKey) string { return string(key.Marshal()) }

// judge is check_hostkeys_by_key_or_type of hostfile.c for a plain key: the host's line
// with this key decides for it, any other plain line against it, @revoked before both.
func judge(files []*knownFile, name string, key ssh.PublicKey) verdict {
	blob := keyBlob(key)
	if v, ok := revokedIn(files, name, blob); ok {
		return v
	}
	var other *knownLine
	consider := func(lines []knownLine) (knownLine, bool) {
		for _, k := range lines {
			if k.marker != noMarker {
				continue
			}
			if k.blob == blob {
				return k, true
			}
			if other == nil {
				other = &k
			}
		}
		return knownLine{}, false
	}
	for _, f := range files {
		if k, ok := consider(f.named(name)); ok {
			return verdict{by: k}
		}
		if k, ok := consider(f.hashedWith(name, blob)); ok {
			return verdict{by: k}
		}
	}
	for _, f := range files {
		if other == nil {
			consider(f.hashedAll(name))
		}
	}
	if other != nil {
		return verdict{kind: KeyChanged, by: *other}
	}
	return verdict{kind: KeyUnknown}
}

// revokedIn looks for an @revoked line of a host with a certain key.
func revokedIn(files []*knownFile, name, blob string) (verdict, bool) {
	for _, f := range files {
		for _, k := range slices.Concat(f.named(name), f.hashedWith(name, blob)) {
			if k.marker == revokedMarker && k.blob == blob {
				return verdict{kind: KeyRevoked, by: k}, true
			}
		}
	}
	return verdict{}, false
}

// authority looks for an @cert-authority line of a host with a certain key.
func authority(files []*knownFile, name, blob string) bool {
	for _, f := range files {
		for _, k := range slices.Concat(f.named(name), f.hashedWith(name, blob)) {
			if k.marker == caMarker && k.blob == blob {
				return true
			}
		}
	}
	return false
}

// knownKinds gives the key types that a host's lines hold, whether one of them is a
// certificate authority, and whether hashed lines were left out, since they are many.
func knownKinds(files []*knownFile, name string, exact bool) (kinds map[string]bool, ca, guessed bool) {
	kinds = make(map[string]bool)
	for _, f := range files {
		lines := f.named(name)
		f.mu.RLock()
		scan := exact || len(f.hashed) <= exactScanLines
		f.mu.RUnlock()
		if scan {
			lines = append(lines, f.hashedAll(name)...)
		} else {
			guessed = true
		}
		for _, k := range lines {
			switch k.marker {
			case noMarker:
				kinds[k.kind] = true
			case caMarker:
				ca = true
			}
		}
	}
	if guessed && len(kinds) == 0 {
		for _, f := range files {
			f.mu.RLock()
			for kind := range f.kinds {
				kinds[kind] = true
			}
			f.mu.RUnlock()
		}
	}
	return kinds, ca, guessed
}
