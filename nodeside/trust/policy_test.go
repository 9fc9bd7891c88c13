package trust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"troops/gitcli"
)

func TestPolicy(t *testing.T) {
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 64)
	for _, test := range []struct {
		verify, since []gitcli.Setting
		want          Policy
		err           string
	}{
		{nil, nil, Policy{}, ""},
		{[]gitcli.Setting{{Scope: "system", Value: "head"}}, nil, Policy{Mode: Head}, ""},
		{[]gitcli.Setting{{Scope: "local", Value: "head"}}, nil, Policy{Mode: Head, Local: true}, ""},
		{[]gitcli.Setting{{Scope: "system", Value: "strict"}, {Scope: "local", Value: "off"}}, nil, Policy{Mode: Strict}, ""},
		{[]gitcli.Setting{{Scope: "global", Value: "head"}, {Scope: "local", Value: "strict"}}, nil, Policy{Mode: Strict, Local: true}, ""},
		{[]gitcli.Setting{{Scope: "local", Value: "strict"}, {Scope: "local", Value: "head"}}, nil, Policy{Mode: Strict, Local: true}, ""},
		{[]gitcli.Setting{{Scope: "worktree", Value: "head"}}, nil, Policy{Mode: Head, Local: true}, ""},
		{[]gitcli.Setting{{Scope: "system", Value: "off"}}, nil, Policy{}, ""},
		{[]gitcli.Setting{{Scope: "system", Value: "Strict"}}, nil, Policy{}, `"Strict"`},
		{[]gitcli.Setting{{Scope: "system", Value: "strict"}, {Scope: "local", Value: "none"}}, nil, Policy{}, "the local configuration"},
		{[]gitcli.Setting{{Scope: "local", Value: ""}}, nil, Policy{}, "head, strict or off"},
		{[]gitcli.Setting{{Scope: "system", Value: "strict"}}, []gitcli.Setting{{Scope: "local", Value: a}}, Policy{Mode: Strict, Since: a}, ""},
		{[]gitcli.Setting{{Scope: "system", Value: "strict"}}, []gitcli.Setting{{Scope: "system", Value: b}, {Scope: "local", Value: a}}, Policy{Mode: Strict, Since: b}, ""},
		{[]gitcli.Setting{{Scope: "system", Value: "strict"}}, []gitcli.Setting{{Scope: "local", Value: "master"}}, Policy{}, "whole object name"},
	} {
		got, err := policy(test.verify, test.since)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%v: %v, want %q", test.verify, err, test.err)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%v, %v: %+v, %v, want %+v", test.verify, test.since, got, err, test.want)
		}
	}
}

// Whatever is unclear is refused; only where nobody asks for signatures none is needed.
func TestLoad(t *testing.T) {
	b := newBench(t)
	if v, err := Load(t.Context(), b.git, b.dir); v != nil || err != nil {
		t.Errorf("without a setting: %v, %v", v, err)
	}
	if v, err := b.load("off"); v != nil || err != nil {
		t.Errorf("off: %v, %v", v, err)
	}
	for _, value := range []string{"", "true", "heads", "HEAD"} {
		if v, err := b.load(value); v != nil || err == nil || !strings.Contains(err.Error(), "head, strict or off") {
			t.Errorf("%q: %v, %v", value, v, err)
		}
	}
	b.dir = filepath.Join(b.dir, "nowhere")
	if v, err := b.load("head"); v != nil || err == nil || !strings.Contains(err.Error(), "allowed_signers") {
		t.Errorf("without keys: %v, %v", v, err)
	}
	b.check(os.WriteFile(filepath.Join(b.git.GitDir, "config"), []byte("[core\n"), 0o600))
	if v, err := Load(t.Context(), b.git, b.dir); v != nil || err == nil || !strings.Contains(err.Error(), "reading troops.verify") {
		t.Errorf("a configuration that cannot be read: %v, %v", v, err)
	}
}
