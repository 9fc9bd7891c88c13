package gitwire

import (
	"os/exec"
	"strings"
	"testing"
)

// TestValidRef compares with git itself.
func TestValidRef(t *testing.T) {
	for _, name := range []string{
		"refs/heads/main", "refs/heads/a/b", "refs/heads/ä", "refs/heads/a.b", "refs/heads/@", "refs/heads/a@b", "refs/heads/{", "refs/x",
		"refs/heads/", "refs//heads", "refs/heads/a..b", "refs/heads/.a", "refs/.heads/a", "refs/heads/a.", "refs/heads/a.lock", "refs/a.lock/b",
		"refs/heads/a b", "refs/heads/a\tb", "refs/heads/a\x7f", "refs/heads/a~1", "refs/heads/a^", "refs/heads/a:b", "refs/heads/a?", "refs/heads/a*",
		"refs/heads/a[", "refs/heads/a\\b", "refs/heads/a@{1}", "refs/heads/-a", "refs/heads/a/.lock", "refs/heads/\u202e", "refs/heads/a\xff", "refs/",
	} {
		want := exec.Command("git", "check-ref-format", name).Run() == nil
		if got := ValidRef(name); got != want {
			t.Errorf("ValidRef(%q) = %t, git says %t", name, got, want)
		}
	}
	for _, name := range []string{"", "refs", "HEAD", "heads/main", "/refs/heads/a", "refs/" + strings.Repeat("x", maxRefName)} {
		if ValidRef(name) {
			t.Errorf("ValidRef(%.40q) = true", name)
		}
	}
}

func TestOID(t *testing.T) {
	for s, want := range map[string]bool{
		string(oidA): true, string(zeroSHA256): true, "": false, string(oidA[1:]): false, string(oidA) + "a": false,
		strings.ToUpper(string(oidA)): false, strings.Repeat("g", 40): false, strings.Repeat("a", 39) + "\n": false,
	} {
		if _, err := ParseOID(s); (err == nil) != want {
			t.Errorf("ParseOID(%q): %v", s, err)
		}
	}
	if !ZeroOID(SHA1).IsZero() || !ZeroOID(SHA256).IsZero() || oidA.IsZero() || ZeroOID(SHA256).Format() != SHA256 || oidA.Format() != SHA1 {
		t.Error("zero names and formats")
	}
}
