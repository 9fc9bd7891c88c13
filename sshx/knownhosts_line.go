package sshx

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
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
	names  []string // patterns, lower case; nil where the line is hashed
	salt   []byte   // of a hashed line
	hash   []byte   // HMAC-SHA1 of the name, keyed with salt
	kind   string   // the key's type, such as ssh-ed25519
	blob   string   // the key in wire format
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
	raw = strings.TrimLeft(strings.TrimRight(raw, "\r\n"), " \t")
	if raw == "" || raw[0] == '#' {
		return k, errNoLine
	}
	if len(raw) > maxKnownLine {
		return k, errors.New("line too long")
	}
	if raw[0] == '@' {
		var word string
		word, raw = cutWord(raw)
		switch word {
		case "@cert-authority":
			k.marker = caMarker
		case "@revoked":
			k.marker = revokedMarker
		default:
			return k, errors.New("unknown marker")
		}
		if strings.HasPrefix(raw, "@") {
			return k, errors.New("more than one marker")
		}
	}
	hosts, rest := cutWord(raw)
	kind, rest := cutWord(rest)
	encoded, _ := cutWord(rest)
	if hosts == "" || kind == "" || encoded == "" || kind[0] == '#' {
		return k, errors.New("too few words")
	}
	blob, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return k, errors.New("the key is no base64")
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil || key.Type() != kind {
		return k, errors.New("not a key of the type it names")
	}
	k.kind, k.blob = kind, string(blob)
	if strings.HasPrefix(hosts, "|") {
		k.salt, k.hash, err = parseHashedName(hosts)
		return k, err
	}
	k.names = strings.Split(strings.ToLower(hosts), ",")
	return k, nil
}

// cutWord gives the text up to a space or tab, and what follows the white space.
func cutWord(s string) (word, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

// parseHashedName reads `|1|salt|hash`.
func parseHashedName(s string) (salt, hash []byte, err error) {
	parts := strings.Split(s, "|")
	if len(parts) != 4 || parts[1] != "1" {
		return nil, nil, errors.New("unknown hash of a name")
	}
	salt, err = base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(salt) != sha1.Size {
		return nil, nil, errors.New("damaged salt")
	}
	hash, err = base64.StdEncoding.DecodeString(parts[3])
	if err != nil || len(hash) != sha1.Size {
		return nil, nil, errors.New("damaged hash")
	}
	return salt, hash, nil
}

// hashName is the HMAC-SHA1 of a name as HashKnownHosts stores it.
func hashName(name string, salt []byte) []byte {
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return mac.Sum(nil)
}

// matches reports whether the line is about a host, name being `name` or `[name]:port`.
func (k *knownLine) matches(name string) bool {
	if k.salt != nil {
		return bytes.Equal(hashName(name, k.salt), k.hash)
	}
	return matchList(name, k.names)
}

// formatKnownLine is the line that accept-new appends, with its line feed.
func formatKnownLine(name string, salt []byte, key ssh.PublicKey) string {
	if salt != nil {
		enc := base64.StdEncoding
		name = "|1|" + enc.EncodeToString(salt) + "|" + enc.EncodeToString(hashName(name, salt))
	}
	return name + " " + string(ssh.MarshalAuthorizedKey(key))
}
