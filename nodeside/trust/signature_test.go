package trust

import (
	"strings"
	"testing"
)

func TestSignatureOf(t *testing.T) {
	for _, test := range []struct {
		name, commit, want string
		several            bool
	}{
		{"none", "tree x\nauthor y\n\ngpgsig in the text\n", "", false},
		{"one", "tree x\ngpgsig -----BEGIN SSH SIGNATURE-----\n abc\n -----END SSH SIGNATURE-----\n\ntext", "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n", false},
		{"of sha256", "tree x\ngpgsig-sha256 a\n b\nother c\n d\n\n", "a\nb\n", false},
		{"in a merged tag", "tree x\nmergetag object y\n gpgsig z\n\n", "", false},
		{"two", "tree x\ngpgsig a\ngpgsig b\n\n", "", true},
		{"two kinds", "tree x\ngpgsig a\ngpgsig-sha256 b\n\n", "", true},
		{"no text", "tree x\ngpgsig a", "a\n", false},
	} {
		got, several := signatureOf([]byte(test.commit))
		if several != test.several || !several && got != test.want {
			t.Errorf("%s: %q, %v", test.name, got, several)
		}
	}
}

func TestPGPReason(t *testing.T) {
	const good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG ABC t\n[GNUPG:] VALIDSIG F 1\n[GNUPG:] TRUST_UNDEFINED 0 pgp\n"
	for raw, want := range map[string]string{
		good:                                "",
		"":                                  "does not call good",
		good + good:                         "does not call good",
		"[GNUPG:] GOODSIG ABC t\n":          "does not call good",
		"GOODSIG ABC\nVALIDSIG F\n":         "does not call good",
		good + "[GNUPG:] REVKEYSIG ABC t\n": "ABC, which is revoked",
		good + "[GNUPG:] TRUST_NEVER\n":     "never trusts",
		"[GNUPG:] EXPSIG ABC t\n":           "signature by OpenPGP key ABC, which has expired",
		"[GNUPG:] ERRSIG ABC 22 8 00 1 9\n[GNUPG:] NO_PUBKEY ABC\n": "ABC, which the node",
	} {
		got, fix := pgpReason(raw)
		if (got == "") != (want == "") || (fix == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

func FuzzSignatureOf(f *testing.F) {
	f.Add([]byte("tree x\ngpgsig -----BEGIN SSH SIGNATURE-----\n U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgh+A0eTNReXHg37r/6wyKKG4v1F\n -----END SSH SIGNATURE-----\n\ntext"))
	f.Add([]byte("gpgsig a\n b"))
	f.Fuzz(func(t *testing.T, commit []byte) {
		armor, several := signatureOf(commit)
		if several && armor == "" {
			t.Error("several, and none")
		}
		if name := fingerprint(armor); name != "unknown" && !strings.HasPrefix(name, "SHA256:") {
			t.Errorf("%q is no fingerprint", name)
		}
	})
}
