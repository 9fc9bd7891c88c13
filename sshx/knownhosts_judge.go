package sshx

import (
	"slices"

	"golang.org/x/crypto/ssh"
)

// verdict is what known_hosts says about a key.
type verdict struct {
	kind   HostKeyKind   // empty: the key is the host's
	by     knownLine     // the line that decided, where one did
	key    ssh.PublicKey // that was judged at last: a certificate, or the plain key in it
	reason string        // what is wrong with a certificate
}

// keyBlob is a key in wire format, as lines are indexed.
func keyBlob(key ssh.PublicKey) string { return string(key.Marshal()) }

// judge is check_hostkeys_by_key_or_type of hostfile.c: the host's line with this key decides
// for it, any other plain line against it, @revoked before both. For a certificate the line
// is an @cert-authority with the key that signed it; whether it is any good is not looked at.
func judge(files []*knownFile, name string, key ssh.PublicKey) verdict {
	cert, isCert := key.(*ssh.Certificate)
	if !isCert {
		return judgePlain(files, name, key)
	}
	if by, ok := markedLine(files, name, keyBlob(cert.Key), revokedMarker); ok {
		return verdict{kind: KeyRevoked, by: by, key: cert.Key}
	}
	if by, ok := markedLine(files, name, keyBlob(cert.SignatureKey), revokedMarker); ok {
		return verdict{kind: KeyRevoked, by: by, key: cert.SignatureKey, reason: "which signed its certificate"}
	}
	if by, ok := markedLine(files, name, keyBlob(cert.SignatureKey), caMarker); ok {
		return verdict{by: by, key: key}
	}
	return verdict{kind: KeyUnknown, key: key}
}

func judgePlain(files []*knownFile, name string, key ssh.PublicKey) verdict {
	blob := keyBlob(key)
	if by, ok := markedLine(files, name, blob, revokedMarker); ok {
		return verdict{kind: KeyRevoked, by: by, key: key}
	}
	var other *knownLine // of the same type, if there is one: that is the line to remove
	consider := func(lines []knownLine) (knownLine, bool) {
		for _, k := range lines {
			if k.marker != noMarker {
				continue
			}
			if k.blob == blob {
				return k, true
			}
			if other == nil || other.kind != key.Type() && k.kind == key.Type() {
				other = &k
			}
		}
		return knownLine{}, false
	}
	for _, f := range files {
		for _, lines := range [][]knownLine{f.named(name), f.hashedWith(name, blob)} {
			if k, ok := consider(lines); ok {
				return verdict{by: k, key: key}
			}
		}
	}
	for _, f := range files {
		if other == nil || other.kind != key.Type() {
			consider(f.hashedAll(name))
		}
	}
	if other != nil {
		return verdict{kind: KeyChanged, by: *other, key: key}
	}
	return verdict{kind: KeyUnknown, key: key}
}

// markedLine looks for a line of a host with a certain key and marker.
func markedLine(files []*knownFile, name, blob string, m marker) (knownLine, bool) {
	for _, f := range files {
		for _, k := range slices.Concat(f.named(name), f.hashedWith(name, blob)) {
			if k.marker == m && k.blob == blob {
				return k, true
			}
		}
	}
	return knownLine{}, false
}

// knownTypes are the types of key that a host's lines hold.
type knownTypes struct {
	kinds   map[string]bool
	ca      bool // one of them is a certificate authority
	guessed bool // there are so many hashed lines that only their types were looked at
}

// knownKinds gives the types of a host's keys. exact is for a file of any length.
func knownKinds(files []*knownFile, name string, exact bool) knownTypes {
	t := knownTypes{kinds: make(map[string]bool)}
	first := make(map[string]string) // as ssh has it, the first key of a type stands for all of it
	for _, f := range files {
		lines, whole := f.about(name, exact)
		t.guessed = t.guessed || !whole
		for _, k := range lines {
			switch _, seen := first[k.kind]; {
			case k.marker == caMarker:
				t.ca = true
			case k.marker == noMarker && !seen:
				first[k.kind] = k.blob
			}
		}
	}
	for kind, blob := range first {
		if _, revoked := markedLine(files, name, blob, revokedMarker); !revoked {
			t.kinds[kind] = true
		}
	}
	if t.guessed && len(t.kinds) == 0 {
		for _, f := range files {
			f.mu.RLock()
			for kind := range f.kinds {
				t.kinds[kind] = true
			}
			f.mu.RUnlock()
		}
	}
	return t
}

// covered reports whether a line says what key, or whose certificates, a host has.
func covered(files []*knownFile, name string) bool {
	for _, f := range files {
		lines, _ := f.about(name, true)
		if slices.ContainsFunc(lines, func(k knownLine) bool { return k.marker != revokedMarker }) {
			return true
		}
	}
	return false
}
