package sshx

import (
	"bytes"
	"crypto/sha1"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// keyText is a key as known_hosts holds it: type and base64.
func keyText(k ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k)))
}

// hashed is a hashed name with a fixed salt.
func hashed(name string) string {
	return formatHashedName(name, bytes.Repeat([]byte{7}, sha1.Size))
}

// loadText indexes a known_hosts file of the given text.
func loadText(t testing.TB, text string) []*knownFile {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	writeFile(t, path, text)
	f := loadKnownFile(path)
	if err := f.unreadable(); err != nil {
		t.Fatal(err)
	}
	return []*knownFile{f}
}

func TestJudge(t *testing.T) {
	a, b := newKey(t).PublicKey(), newKey(t).PublicKey()
	A, B := keyText(a), keyText(b)
	ok, unknown, changed, revoked := HostKeyKind(""), KeyUnknown, KeyChanged, KeyRevoked
	for _, tt := range []struct {
		name, text, host string
		want             HostKeyKind
		line             int
	}{
		{"empty file", "", "web", unknown, 0},
		{"plain", "web " + A + "\n", "web", ok, 1},
		{"other host", "web " + A + "\n", "db", unknown, 0},
		{"other key", "web " + B + "\n", "web", changed, 1},
		{"two keys", "web " + B + "\nweb " + A + "\n", "web", ok, 2},
		{"no final newline", "web " + A, "web", ok, 1},
		{"crlf", "web " + A + "\r\n", "web", ok, 1},
		{"comment after the key", "web " + A + " me@here # x\n", "web", ok, 1},
		{"leading space and tabs", " \tweb\t " + strings.Replace(A, " ", "\t", 1) + "\n", "web", ok, 1},
		{"list of names", "db,web,10.0.0.1 " + A + "\n", "web", ok, 1},
		{"names in upper case", "WEB " + A + "\n", "web", ok, 1},
		{"wildcard", "w* " + A + "\n", "web", ok, 1},
		{"wildcard stands for nothing", "web* " + A + "\n", "web", ok, 1},
		{"question mark", "we? " + A + "\n", "web", ok, 1},
		{"question mark is one byte", "web? " + A + "\n", "web", unknown, 0},
		{"negation", "*,!web " + A + "\n", "web", unknown, 0},
		{"negation first", "!web,* " + A + "\n", "web", unknown, 0},
		{"negation of a pattern", "*,!web* " + A + "\n", "web", unknown, 0},
		{"negation of others", "*,!db " + A + "\n", "web", ok, 1},
		{"port", "[web]:2222 " + A + "\n", "[web]:2222", ok, 1},
		{"brackets are no pattern", "[web]:2222 " + A + "\n", "w", unknown, 0},
		{"other port", "[web]:2222 " + A + "\n", "[web]:22", unknown, 0},
		{"pattern with port", "[*.example]:* " + A + "\n", "[a.example]:99", ok, 1},
		{"hashed", hashed("web") + " " + A + "\n", "web", ok, 1},
		{"hashed with port", hashed("[web]:2222") + " " + A + "\n", "[web]:2222", ok, 1},
		{"hashed, other key", hashed("web") + " " + B + "\n", "web", changed, 1},
		{"hashed, other host", hashed("db") + " " + A + "\n", "web", unknown, 0},
		{"hashed other, plain right", hashed("web") + " " + B + "\nweb " + A + "\n", "web", ok, 2},
		{"damaged hash", "|1|x|y " + A + "\nweb " + A + "\n", "web", ok, 2},
		{"damaged key", "web ssh-ed25519 AAAA\nweb " + A + "\n", "web", ok, 2},
		{"no base64", "web ssh-ed25519 ????\n", "web", unknown, 0},
		{"type is not the key's", "web ssh-rsa " + strings.Fields(A)[1] + "\n", "web", unknown, 0},
		{"no key", "web\nweb ssh-ed25519\n", "web", unknown, 0},
		{"comment line", "# web " + A + "\n", "web", unknown, 0},
		{"ssh1 key", "web 1024 35 1234567890\nweb " + A + "\n", "web", ok, 2},
		{"binary rubbish", "\x00\xff\xfe\nweb " + A + "\n", "web", ok, 2},
		{"revoked", "@revoked web " + A + "\n", "web", revoked, 1},
		{"revoked wins", "web " + A + "\n@revoked * " + A + "\n", "web", revoked, 2},
		{"revoked hashed", "web " + A + "\n@revoked " + hashed("web") + " " + A + "\n", "web", revoked, 2},
		{"revoked elsewhere", "@revoked db " + A + "\nweb " + A + "\n", "web", ok, 2},
		{"other key revoked", "@revoked * " + B + "\nweb " + A + "\n", "web", ok, 2},
		{"revoked is no plain key", "@revoked * " + B + "\n", "web", unknown, 0},
		{"authority is no plain key", "@cert-authority * " + A + "\n", "web", unknown, 0},
		{"authority with another key is no change", "@cert-authority * " + B + "\n", "web", unknown, 0},
		{"unknown marker", "@foo web " + A + "\n", "web", unknown, 0},
		{"two markers", "@revoked @cert-authority web " + A + "\n", "web", unknown, 0},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			files := loadText(t, tt.text)
			v := judge(files, tt.host, a)
			if v.kind != tt.want || v.by.line != tt.line {
				t.Errorf("got %q by line %d, want %q by %d", v.kind, v.by.line, tt.want, tt.line)
			}
			likeKeygen(t, files[0].path, tt.host, A, v)
		})
	}
}

// likeKeygen compares a verdict with the lines that `ssh-keygen -F` finds.
func likeKeygen(t *testing.T, path, host, key string, v verdict) {
	t.Helper()
	out, _ := exec.Command(needs(t, "ssh-keygen"), "-F", host, "-f", path).Output()
	kind, encoded, _ := strings.Cut(key, " ")
	has := false
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if line[0] != '#' && len(f) >= 3 && f[0][0] != '@' {
			has = has || f[1] == kind && f[2] == encoded
		}
	}
	if v.kind != KeyRevoked && has != (v.kind == "") {
		t.Errorf("verdict %q, but ssh-keygen -F finds:\n%s", v.kind, out)
	}
}

func TestSeveralFiles(t *testing.T) {
	a, b := newKey(t).PublicKey(), newKey(t).PublicKey()
	first, second := loadText(t, "web "+keyText(b)+"\n"), loadText(t, "web "+keyText(a)+"\n")
	if v := judge(append(first, second...), "web", a); v.kind != "" || v.by.file != second[0].path {
		t.Errorf("got %+v", v)
	}
	missing := loadKnownFile(filepath.Join(t.TempDir(), "none"))
	if err := missing.unreadable(); err != nil {
		t.Fatal(err)
	}
	if v := judge([]*knownFile{missing, first[0]}, "web", a); v.kind != KeyChanged || v.by.file != first[0].path {
		t.Errorf("got %+v", v)
	}
	if err := loadKnownFile(t.TempDir()).unreadable(); err == nil || err.Error() != "is a directory" {
		t.Errorf("a directory was read: %v", err)
	}
}

func TestKnownKinds(t *testing.T) {
	a := newKey(t).PublicKey()
	files := loadText(t, "web "+keyText(a)+"\n@cert-authority *.ca "+keyText(a)+"\n"+hashed("hid")+" "+keyText(a)+"\n@revoked rev "+keyText(a)+"\n")
	for host, want := range map[string]string{"web": "ed25519", "x.ca": "ca", "hid": "ed25519", "rev": "", "other": ""} {
		known := knownKinds(files, host, false)
		got := ""
		if known.kinds[ssh.KeyAlgoED25519] {
			got = "ed25519"
		}
		if known.ca {
			got += "ca"
		}
		if got != want || known.guessed {
			t.Errorf("%s: %q, guessed %v", host, got, known.guessed)
		}
	}
}

func FuzzKnownLine(f *testing.F) {
	key := keyText(newKey(f).PublicKey())
	for _, line := range []string{"web " + key, "@revoked *,!a " + key, hashed("web") + " " + key + " c", "[a]:22 " + key, "@x y z", "|1|a|b c d", "# c", ""} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		k, err := parseKnownLine(line)
		if err != nil {
			return
		}
		if (k.names == nil) == (k.hashed == nil) {
			t.Errorf("%q: neither or both of names and hash: %+v", line, k)
		}
		if parsed, err := ssh.ParsePublicKey([]byte(k.blob)); err != nil || parsed.Type() != k.kind {
			t.Errorf("%q: key %v", line, err)
		}
		k.matches("web")
	})
}

// FuzzKnownFile reads a file in two parts, as another process appends to it, and compares with
// reading it at once.
func FuzzKnownFile(f *testing.F) {
	a, b := newKey(f).PublicKey(), newKey(f).PublicKey()
	A, B := keyText(a), keyText(b)
	for _, text := range []string{
		"web " + A + "\nweb " + B + "\n", hashed("web") + " " + A + "\n@revoked * " + B, "@cert-authority *,!db " + A + "\r\n\n#\nweb " + B,
		hashed("[web]:22") + " " + A + "\n" + hashed("web") + " " + B + "\n", "web " + A + "\x00\n\n", "\n",
	} {
		for _, at := range []int{0, 1, len(text) / 2, len(text)} {
			f.Add(text, at)
		}
	}
	f.Fuzz(func(t *testing.T, text string, at int) {
		at = max(0, min(at, len(text)))
		whole, parts := newKnownFile("kh"), newKnownFile("kh")
		whole.refresh([]byte(text))
		parts.refresh([]byte(text[:at]))
		parts.hashedAll("web") // what was found is kept
		parts.refresh([]byte(text))
		if whole.count != parts.count || whole.size != parts.size {
			t.Errorf("%d lines in %d bytes, and %d in %d", whole.count, whole.size, parts.count, parts.size)
		}
		for _, key := range []ssh.PublicKey{a, b} {
			one, two := judge([]*knownFile{whole}, "web", key), judge([]*knownFile{parts}, "web", key)
			if one.kind != two.kind || one.by.line != two.by.line || one.by.line > strings.Count(text, "\n")+1 {
				t.Errorf("%q by line %d, and %q by line %d", one.kind, one.by.line, two.kind, two.by.line)
			}
		}
		if covered([]*knownFile{whole}, "web") != covered([]*knownFile{parts}, "web") {
			t.Error("covered by one alone")
		}
	})
}

func FuzzMatchPattern(f *testing.F) {
	f.Add("web", "w*b?")
	f.Fuzz(func(t *testing.T, s, pattern string) {
		if isLiteral(pattern) && matchPattern(s, pattern) != (s == pattern) {
			t.Errorf("%q does not match like itself", pattern)
		}
		if !matchPattern(s, "*") || matchPattern(s, pattern) && !matchPattern(s+"x", pattern+"?") {
			t.Errorf("%q, %q", s, pattern)
		}
	})
}
