package wire

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// The refs of a node say which versions it speaks. Names that only look like such are nobody's.
func TestSpeaks(t *testing.T) {
	for _, tt := range []struct {
		refs   string
		troops bool
		theirs int // 0: none that matters
	}{
		{"refs/heads/master refs/troops/v1", true, 0},
		{"refs/troops/v0 refs/troops/v1 refs/troops/v2", true, 0}, // a node may speak several
		{"refs/heads/master", false, 0},
		{"refs/troops/v2 refs/troops/v3 refs/troops/v10 refs/troops/deployed", true, 10},
		{"refs/troops/v refs/troops/v01 refs/troops/v+2 refs/troops/v2/x refs/troops/v99999999 refs/troops/vx xrefs/troops/v2", false, 0},
	} {
		troops, err := Speaks(slices.Values(strings.Fields(tt.refs)))
		var other *VersionError
		if errors.As(err, &other); troops != tt.troops || tt.theirs != 0 != (err != nil) || other != nil && other.Theirs != tt.theirs {
			t.Errorf("%s: %v, %v", tt.refs, troops, err)
		}
	}
	if (&VersionError{0}).Error() != "its troops is older than this one (protocol 0, here 1)" || (&VersionError{0}).Newer() || !(&VersionError{2}).Newer() {
		t.Error((&VersionError{0}).Error())
	}
}

// The preface of another version is told from noise, at the start of a line and whole.
func TestOtherPreface(t *testing.T) {
	for text, theirs := range map[string]int{
		"troops-attach 2\n":                              2,
		"Welcome!\ntroops-attach 12\n":                   12,
		"xtroops-attach 2\n" + Preface:                   0,
		"troops-attach 2 no\n" + Preface:                 0,
		strings.Repeat("x", 8<<10) + "troops-attach 2\n": 0,
		"troops-attach 2":                                0, // cut: the rest may have made it 21
	} {
		_, err := NewReader(strings.NewReader(text)).SkipPreface()
		var other *VersionError
		if errors.As(err, &other) != (theirs != 0) || other != nil && other.Theirs != theirs {
			t.Errorf("attach: %.40q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"troops-status 1\n{}\n":                  "{}\n true <nil>",
		"no line feed: troops-status 1\n{}":      "{} true <nil>",
		"motd\ntroops-status 2\n{}\n":            " false its troops is newer than this one (protocol 2, here 1)",
		"xtroops-status 2\n":                     " false <nil>",
		"troops-status 2\ntroops-status 1\nbody": "body true <nil>",
	} {
		body, found, err := FindStatus([]byte(text))
		if got := fmt.Sprintf("%s %v %v", body, found, err); got != want {
			t.Errorf("status: %q: %s", text, got)
		}
	}
}
