package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is the version of the node protocol, the last word of [AdvertisedRef], [Preface] and
// [StatusPreface]. What the other side may leave unread or unasked does not need another one:
// kinds of frames, fields, options, commands. Sides of different versions do not talk.
const Version = "1"

// VersionRefPrefix, followed by a version, is the ref by which a node says that it speaks it.
const VersionRefPrefix = "refs/troops/v"

// The first words of prefaces, which are followed by the version.
const (
	attachWord = "troops-attach "
	statusWord = "troops-status "
)

// VersionError is a node that speaks another version of the protocol than this program.
type VersionError struct {
	Theirs int
}

// Newer reports whether the node is the newer side.
func (e *VersionError) Newer() bool { return e.Theirs > ours }

// Error says which side is the older one.
func (e *VersionError) Error() string {
	how := "older"
	if e.Newer() {
		how = "newer"
	}
	return fmt.Sprintf("its troops is %s than this one (protocol %d, here %d)", how, e.Theirs, ours)
}

// ours is Version as a number.
var ours = func() int {
	n, ok := versionOf(AdvertisedRef, VersionRefPrefix)
	if !ok {
		panic("wire: no version: " + Version) // a mistake in this file
	}
	return n
}()

// Speaks finds out from the names of a repository's refs whether it is a troops node's. One that
// only speaks other versions is a [*VersionError], of the latest that it does.
func Speaks(refs func(yield func(name string) bool)) (troops bool, err error) {
	latest := -1
	for name := range refs {
		if name == AdvertisedRef {
			return true, nil
		}
		if n, ok := versionOf(name, VersionRefPrefix); ok {
			latest = max(latest, n)
		}
	}
	if latest >= 0 {
		return true, &VersionError{latest}
	}
	return false, nil
}

// IsVersionRef reports whether a ref says that the node speaks some version.
func IsVersionRef(name string) bool {
	_, ok := versionOf(name, VersionRefPrefix)
	return ok
}

// otherVersion is the error of a line that begins with the first word of a preface and goes on
// with another version; nil where it does not.
func otherVersion(line, word string) *VersionError {
	if n, ok := versionOf(strings.TrimSuffix(line, "\n"), word); ok && n != ours {
		return &VersionError{n}
	}
	return nil
}

// versionOf is the version that follows the prefix of s and ends it: digits alone, few of them.
func versionOf(s, prefix string) (int, bool) {
	digits, ok := strings.CutPrefix(s, prefix)
	n, err := strconv.ParseUint(digits, 10, 16)
	return int(n), ok && err == nil && strconv.FormatUint(n, 10) == digits
}
