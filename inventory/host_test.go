package inventory

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

func TestParseHost(t *testing.T) {
	tests := []struct {
		in         string
		user, name string
		port       int
	}{
		{"a", "", "a", 0},
		{"web-1.example.com", "", "web-1.example.com", 0},
		{"1.2.3.4", "", "1.2.3.4", 0},
		{"under_score", "", "under_score", 0},
		{"root@a", "root", "a", 0},
		{"root@a:2222", "root", "a", 2222},
		{"a:1", "", "a", 1},
		{"a:65535", "", "a", 65535},
		{"first.last@realm.org@a", "first.last@realm.org", "a", 0},
		{"_svc+x@a.", "_svc+x", "a.", 0},
		{"[::1]", "", "::1", 0},
		{"[2001:db8::1]:22", "", "2001:db8::1", 22},
		{"u@[fe80::1]:2", "u", "fe80::1", 2},
		{"[::ffff:1.2.3.4]", "", "::ffff:1.2.3.4", 0},
		{strings.Repeat("a", MaxHost), "", strings.Repeat("a", MaxHost), 0},
	}
	for _, tt := range tests {
		h, err := ParseHost(tt.in)
		if err != nil || h.User != tt.user || h.Name != tt.name || h.Port != tt.port || h.String() != tt.in {
			t.Errorf("ParseHost(%q) = %+v, %v", tt.in, h, err)
		}
	}
}

// injections are strings that would be something else than a host to ssh, git, a shell or a
// terminal, and some that are only wrong.
var injections = []string{
	"", "-", "-oProxyCommand=touch /tmp/x", "--", "-p22", "@", "@a", "-l@a", "a@-oX", "a@", "u@-h",
	"a b", " a", "a ", "a\t", "a\n", "a\nb", "a\r", "a\x00", "\x00", "a\x1b[2J", "a\x7f", "a\u0085", "a\u202eb", "a\u2028",
	"%h", "a%h", "a%", "a;id", "a|id", "a&", "a$(id)", "a`id`", "$HOME", "a'b", "a\"b", "a\\b", "a*", "a?", "a<b", "a>b",
	"a{b,c}", "a!b", "~a", "a~b", "a#b", "#a", "a=b", "a,b", "a/b", "/a", "../a", ".a", "_a", ".", "..",
	"ext::sh -c id", "ssh://a", "file:///etc/passwd", "a:b", "a:", "a:0", "a:65536", "a:-1", "a:+1", "a:022", "a:22:22", "a: 22", "a:22 ",
	"::1", "2001:db8::1", "[::1", "::1]", "[]", "[a]", "[1.2.3.4]", "[::1%eth0]", "[::1]x", "[::1]:", "[::1]:x", "[[::1]]", "u@[::1]@",
	"käse", "a\xff", "a\xc3", "ａ", "a\u200b", ";@a", "u;id@a", "u v@a", "u%h@a", "-u@a", "u:p@a", "u/v@a", "+u@a",
	strings.Repeat("a", MaxHost+1),
}

func TestParseHostRefuses(t *testing.T) {
	if len(injections) < 40 {
		t.Fatalf("only %d strings", len(injections))
	}
	for _, s := range injections {
		h, err := ParseHost(s)
		if err == nil {
			t.Errorf("ParseHost(%q) = %+v, want an error", s, h)
			continue
		}
		if msg := err.Error(); strings.ContainsFunc(msg, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("ParseHost(%q): the error is not printable: %q", s, msg)
		}
	}
}

func TestValidRole(t *testing.T) {
	for _, s := range []string{"a", "web", "0", "Web-1.x_y", strings.Repeat("r", MaxRole)} {
		if !ValidRole(s) {
			t.Errorf("ValidRole(%q) = false", s)
		}
	}
	for _, s := range []string{"", "-a", ".a", "_a", "a b", "a/b", "a\n", "ä", "a:b", strings.Repeat("r", MaxRole+1)} {
		if ValidRole(s) {
			t.Errorf("ValidRole(%q) = true", s)
		}
	}
}

// TestHostIsSSHs shows that ssh takes what passes for the same host, user and port.
func TestHostIsSSHs(t *testing.T) {
	for _, s := range []string{"web-1.example.com", "root@a:2222", "x@y@host.example", "[2001:db8::1]:22", "_u+v@1.2.3.4", "a."} {
		h, err := ParseHost(s)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"-F", "none", "-G"}
		if h.User != "" {
			args = append(args, "-l", h.User)
		}
		if h.Port != 0 {
			args = append(args, "-p", fmt.Sprint(h.Port))
		}
		out, err := exec.CommandContext(t.Context(), "ssh", append(args, "--", h.Name)...).Output()
		if err != nil {
			t.Fatalf("ssh %q: %v", args, err)
		}
		for _, want := range []string{"hostname " + h.Name, "user " + h.User, "port " + fmt.Sprint(max(h.Port, 22))} {
			if h.User == "" && strings.HasPrefix(want, "user ") {
				continue
			}
			if !bytes.Contains(append([]byte("\n"), out...), []byte("\n"+want+"\n")) {
				t.Errorf("%s: ssh -G does not say %q", s, want)
			}
		}
	}
}

func FuzzHost(f *testing.F) {
	for _, s := range injections {
		f.Add(s)
	}
	for _, s := range []string{"root@a:2222", "[::1]:22", "a@b@c", "web-1.example.com"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHost(s)
		if err != nil {
			if h != (Host{}) {
				t.Fatalf("%q: %+v with an error", s, h)
			}
			return
		}
		if h.String() != s || len(s) > MaxHost || s[0] == '-' || h.Name == "" || h.Name[0] == '-' || strings.HasPrefix(h.User, "-") {
			t.Fatalf("%q: %+v", s, h)
		}
		if i := strings.IndexFunc(s, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune("%;|&$`'\"\\*?<>(){}!~#=,/^", r)
		}); i >= 0 {
			t.Fatalf("%q: byte %q passed", s, s[i])
		}
		again := h.Name
		if strings.Contains(again, ":") {
			again = "[" + again + "]"
		}
		if h.User != "" {
			again = h.User + "@" + again
		}
		if h.Port != 0 {
			again += fmt.Sprintf(":%d", h.Port)
		}
		if again != s {
			t.Fatalf("%q: its parts make %q", s, again)
		}
	})
}

func FuzzRolesFile(f *testing.F) {
	for _, s := range []string{
		"[web]\nhosts = [\"a\", \"b\"]\n", "web.hosts = ['a']", "db = { hosts = [\"b\"] }", "[web]\nhosts = 3", "[[web]]\nhosts=[]",
		"[web]\nhost = []\n", "[\"a b\"]\nhosts = []", "x = 1979-05-27", "[web", "\xff", "[a.b]\nhosts=[]", "[web]\nhosts = [['a']]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		roles, problems := parseRoles(text)
		lines := bytes.Count(text, []byte("\n")) + 1
		for _, p := range problems {
			if p.File != RolesFile || p.Line < 0 || p.Line > lines+1 || p.Text == "" {
				t.Fatalf("problem %+v", p)
			}
		}
		for i, r := range roles {
			if !ValidRole(r.name) || i > 0 && roles[i-1].name >= r.name {
				t.Fatalf("role %+v", r)
			}
			for _, h := range r.hosts {
				if _, err := ParseHost(h.String()); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// TestRolesFileBombs shows that no roles.toml takes long to read, and that what nests deeper
// than a role can is refused with its line.
func TestRolesFileBombs(t *testing.T) {
	const n = 200000
	deep := []string{
		"a = 1\nx = " + strings.Repeat("{a=", n),
		"\n[" + strings.Repeat("a.", n) + "a]",
		"\n" + strings.Repeat(`"a".`, n) + "a = 1",
		`s = "\""` + "\n" + `x = { "\"" = ` + strings.Repeat("{'}' = ", n),
		"# {{{ '''\ns = {" + strings.Repeat("a.", n) + "a = 1}",
		"s = 1 # '\n" + strings.Repeat("a . ", n) + "a = 1",
	}
	for _, text := range deep {
		_, problems := parseRoles([]byte(text))
		if len(problems) != 1 || problems[0].Line != 2 || !strings.Contains(problems[0].Text, "nested deeper") {
			t.Errorf("%.40q: %v", text, problems)
		}
	}
	var many strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&many, "[role%d]\nhosts = [\n  \"a%d.b.c.d\",\n]\n", i, i)
	}
	roles, problems := parseRoles([]byte(many.String()))
	if len(roles) != 20000 || len(problems) > 0 || roles[1].name != "role1" || roles[1].line != 6 {
		t.Errorf("%d roles, %v", len(roles), problems)
	}
	text := "# " + strings.Repeat("{.", 100) + "\ns = \"\"\"\n" + strings.Repeat("{", 100) + "\"\"\"\nt = '''" + strings.Repeat("{", 100) + "'''\n"
	if line := tooDeep([]byte(text)); line != 0 {
		t.Errorf("comments and strings nest at line %d", line)
	}
}
