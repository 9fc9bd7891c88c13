// Package gitwire speaks the client side of git's receive-pack protocol, versions 0 and 1
// (gitprotocol-pack(5), gitprotocol-capabilities(5)), over any pair of streams.
//
// A session is [ReadAdvertisement], then either [Session.Push] or [Session.End]. What to push
// and what to make of the answer is the caller's: there is no policy here. Everything the server
// sends is hostile text: its form is checked, sizes are bounded, but names, reasons and noise
// are handed on as they came and are not safe for a terminal.
package gitwire

import "fmt"

// Object formats, as the capability object-format and `git rev-parse --show-object-format` name them.
const (
	SHA1   = "sha1"
	SHA256 = "sha256"
)

// OID is an object name: 40 (sha1) or 64 (sha256) lower-case hexadecimal digits.
type OID string

const (
	zeroSHA1   OID = "0000000000000000000000000000000000000000"
	zeroSHA256 OID = "0000000000000000000000000000000000000000000000000000000000000000"
)

// ParseOID checks that s is an object name and returns it.
func ParseOID(s string) (OID, error) {
	if !OID(s).Valid() {
		return "", fmt.Errorf("gitwire: %s is no object name", quoteShort([]byte(s)))
	}
	return OID(s), nil
}

// Valid reports whether o has the form of an object name.
func (o OID) Valid() bool {
	if len(o) != len(zeroSHA1) && len(o) != len(zeroSHA256) {
		return false
	}
	for i := range len(o) {
		if c := o[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// IsZero reports whether o names no object: the old side of a creation, the new side of a deletion.
func (o OID) IsZero() bool { return o == zeroSHA1 || o == zeroSHA256 }

// Format is the object format that o belongs to, [SHA1] or [SHA256].
func (o OID) Format() string {
	if len(o) == len(zeroSHA256) {
		return SHA256
	}
	return SHA1
}

// ZeroOID is the object name of nothing in an object format.
func ZeroOID(format string) OID {
	if format == SHA256 {
		return zeroSHA256
	}
	return zeroSHA1
}
