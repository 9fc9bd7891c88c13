package sshx

import (
	"strconv"
	"strings"
	"testing"
)

func TestParseTarget(t *testing.T) {
	for in, want := range map[string]Target{
		"web":                 {"", "web", 0},
		"me@Web.example":      {"me", "Web.example", 0},
		"me@corp@web:22":      {"me@corp", "web", 22},
		"web:65535":           {"", "web", 65535},
		"[::1]:2222":          {"", "::1", 2222},
		"[fe80::1%eth0]":      {"", "fe80::1%eth0", 0},
		"::1":                 {"", "::1", 0},
		"u@2001:db8::2":       {"u", "2001:db8::2", 0},
		"[web]:22":            {"", "web", 22},
		"node_1-a.b":          {"", "node_1-a.b", 0},
		`dom\user@10.0.0.1:8`: {`dom\user`, "10.0.0.1", 8},
	} {
		if got, err := ParseTarget(in); err != nil || got != want {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "@", "@web", "me@", "-oProxyCommand=x", "me@-x", "-l@web", "web:", "web:0", "web:65536", "web:x", "web:-1", "web:+1", "[::1", "[::1]x", "[::1]:",
		"a b", "a\tb", "a\nb", "a\x00b", "a;b", "a|b", "a&b", "$(x)", "`x`", "a'b", `a"b`, `a\b`, "a>b", "a<b", "a(b)", "a{b}", "%h", "a%b", "a:b:c", "a/b", "a,b", "*", "we?", "!web", "#x",
		"me;x@web", "a -b@web", "me\\@web", strings.Repeat("a", 2000), "\x1b[31m", "a\x7fb",
	} {
		got, err := ParseTarget(in)
		if err == nil {
			t.Errorf("%.40q: %+v", in, got)
		} else if strings.ContainsAny(err.Error(), "\x00\x1b\n") || len(err.Error()) > 2*maxPeerText {
			t.Errorf("%.40q: error %q", in, err)
		}
	}
}

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"u@h:1", "[::1]:22", "a@b@c", "fe80::1%lo"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := ParseTarget(in)
		if err != nil {
			return
		}
		if got.Name == "" || got.Name[0] == '-' || strings.HasPrefix(got.User, "-") || strings.ContainsAny(got.Name, " \n\t'\"`$;&|<>\\") {
			t.Errorf("%q: %+v", in, got)
		}
		again := "[" + got.Name + "]"
		if got.User != "" {
			again = got.User + "@" + again
		}
		if got.Port != 0 {
			again += ":" + strconv.Itoa(got.Port)
		}
		if back, err := ParseTarget(again); err != nil || back != got {
			t.Errorf("%q became %q: %+v, %v", in, again, back, err)
		}
	})
}

func TestMatchList(t *testing.T) {
	for _, tt := range []struct {
		s, patterns string
		want        bool
	}{
		{"web", "web", true}, {"web", "WEB", false}, {"web", "w*", true}, {"web", "*", true}, {"", "*", true}, {"", "", true}, {"web", "", false},
		{"web", "we?", true}, {"web", "web?", false}, {"web", "*b*", true}, {"web", "*x*", false}, {"aaaaab", "*a*b", true}, {"web", "db,web", true},
		{"web", "!web,*", false}, {"web", "*,!web", false}, {"db", "*,!web", true}, {"web", "!db", false}, {"a.b", "a.b", true}, {"axb", "a.b", false}, {"web", "[w]eb", false},
		{strings.Repeat("a", 5000), strings.Repeat("*a", 50) + "b", false},
	} {
		if got := matchList(tt.s, strings.Split(tt.patterns, ",")); got != tt.want {
			t.Errorf("%.20q by %.20q: %v", tt.s, tt.patterns, got)
		}
	}
}

func TestExpand(t *testing.T) {
	tok := tokens{'h': "web", 'd': "/home/u", 'p': "22"}
	t.Setenv("SSHX_A", "va%h")
	for in, want := range map[string]string{
		"plain": "plain", "~/x": "/home/u/x", "~": "/home/u/", "%d/%h_%p": "/home/u/web_22", "a%%b": "a%b", "${SSHX_A}/%h": "va%h/web", "x${SSHX_A}y${SSHX_A}": "xva%hyva%h", "a}b": "a}b", "$X": "$X",
	} {
		if got, err := expandPath(in, "/home/u", tok); err != nil || got != want {
			t.Errorf("%q: %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"%", "%z", "a%", "${SSHX_NOT_SET}", "${SSHX_A", "~no-such-user-here/x"} {
		if got, err := expandPath(in, "/home/u", tok); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
	if root, err := expandTilde("~root/x", "/home/u"); err != nil || !strings.HasSuffix(root, "/x") || strings.HasPrefix(root, "/home/u") {
		t.Errorf("%q, %v", root, err)
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain":         "plain",
		"a\nb\tc":       "a b c",
		"\x1b[31mred":   `\x1b[31mred`,
		"\xff\xfe":      `\xff\xfe`,
		"\u202edrow":    `\u202edrow`,
		"\u2028x\u0085": `\u2028x\u0085`,
		"grün 語":        "grün 語",
		`say "x"`:       `say "x"`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := printable(strings.Repeat("x", 5000)); len(got) > maxPeerText+20 || !strings.HasSuffix(got, "[cut]") {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x1b[0m\xff\u202e")
	f.Fuzz(func(t *testing.T, in string) {
		for _, r := range printable(in) + quote(in) + shellWord(in) {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\u2028' || r == '\ufffd' && !strings.ContainsRune(in, '\ufffd') {
				t.Errorf("%q: %U", in, r)
			}
		}
	})
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"/a/b-c.d": "/a/b-c.d", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "[web]:22": "'[web]:22'", "$x": "'$x'"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s", in, got)
		}
	}
	if got := keyscanArgs("[web]:2222"); got != "-p 2222 web" {
		t.Errorf("got %s", got)
	}
}
