package sshx

import (
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/crypto/ssh"
)

// marker is what the first word of a known_hosts line makes of it (sshd(8)).
type marker int

const (
	noMarker marker = iota
	caMarker
	revokedMarker
)

// knownLine is a line of a known_hosts file.
type knownLine struct {
	marker marker
	names  []string    // patterns, lower case; nil where the line is hashed
	hashed *hashedName // nil where it is not
	kind   string      // the key's type, such as ssh-ed25519
	blob   string      // the key in wire format
	file   string
	line   int
}

// maxKnownLine is how long a line of a known_hosts file may be, in bytes.
const maxKnownLine = 64 << 10

// errNoLine is a blank line or a comment.
var errNoLine = errors.New("no entry")

// parseKnownLine reads one line as hostfile.c does. Callers skip lines that are errors.
func parseKnownLine(raw string) (knownLine, error) {
	var k knownLine
	raw, _, _ = strings.Cut(raw, "\x00") // where a C string ends
	raw = strings.TrimLeft(strings.TrimRight(raw, "\r\n"), " \t")
	if raw == "" || raw[0] == '#' {
		return k, errNoLine
	}
	if len(raw) > maxKnownLine {
		return k, errors.New("line too long")
	}
	var err error
	if k.marker, raw, err = cutMarker(raw); err != nil {
		return k, err
	}
	hosts, rest := cutWord(raw)
	if hosts == "" || rest == "" || rest[0] == '#' {
		return k, errors.New("too few words")
	}
	key, err := parseKeyText(rest)
	if err != nil {
		return k, err
	}
	if cert, ok := key.(*ssh.Certificate); ok && k.marker != noMarker {
		key = cert.Key // markers are about keys: ssh compares these alone
	}
	k.kind, k.blob = key.Type(), keyBlob(key)
	if strings.HasPrefix(hosts, "|") {
		k.hashed, err = parseHashedName(hosts)
		return k, err
	}
	k.names = strings.Split(lowerASCII(hosts), ",")
	return k, nil
}

// cutMarker takes the marker off a line. As in hostfile.c it ends at the first space of the
// line, and at a tab only where there is no space at all.
func cutMarker(s string) (marker, string, error) {
	if s[0] != '@' {
		return noMarker, s, nil
	}
	end := strings.IndexByte(s, ' ')
	if end < 0 {
		end = strings.IndexByte(s, '\t')
	}
	if end < 0 {
		return noMarker, "", errors.New("a marker without a host")
	}
	word, rest := s[:end], strings.TrimLeft(s[end:], " \t")
	if strings.HasPrefix(rest, "@") {
		return noMarker, "", errors.New("more than one marker")
	}
	switch word {
	case "@cert-authority":
		return caMarker, rest, nil
	case "@revoked":
		return revokedMarker, rest, nil
	}
	return noMarker, "", errors.New("unknown marker")
}

// parseKeyText reads `type base64`, with or without a comment after it, as sshkey_read does.
func parseKeyText(s string) (ssh.PublicKey, error) {
	kind, rest := cutWord(s)
	encoded, _ := cutWord(rest)
	blob, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("the key is no base64")
	}
	key, err := ssh.ParsePublicKey(blob)
	if kind == ssh.KeyAlgoRSASHA256 || kind == ssh.KeyAlgoRSASHA512 {
		kind = ssh.KeyAlgoRSA // ssh takes the names of its signatures, too
	}
	if err != nil || key.Type() != kind {
		return nil, errors.New("not a key of the type it names")
	}
	if err := checkRSASize(key, minRSABits); err != nil {
		return nil, err
	}
	return key, nil
}

// cutWord gives the text up to a space or tab, and what follows the white space.
func cutWord(s string) (word, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

// matches reports whether the line is about a host, name being `name` or `[name]:port`.
func (k *knownLine) matches(name string) bool {
	if k.hashed != nil {
		return newNameHasher(name).matches(k.hashed)
	}
	return matchList(name, k.names)
}

// lowerASCII is the lower case of hostfile.c, which leaves other bytes alone.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c | 0x20
		}
	}
	return string(b)
}

// formatKnownLine is the line that accept-new appends, with its line feed.
func formatKnownLine(name string, salt []byte, key ssh.PublicKey) string {
	if salt != nil {
		name = formatHashedName(name, salt)
	}
	return name + " " + string(ssh.MarshalAuthorizedKey(key))
}
