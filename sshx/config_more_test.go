package sshx

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func FuzzConfigLine(f *testing.F) {
	for _, tt := range plainConfigs {
		for line := range strings.Lines(tt.text) {
			f.Add(line)
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		l, err := parseConfigLine(line)
		if err != nil {
			return
		}
		if l.keyword == "" && (len(l.args) > 0 || l.rest != "") {
			t.Errorf("%q: arguments without keyword: %+v", line, l)
		}
		if l.keyword != strings.ToLower(l.keyword) || strings.ContainsAny(l.keyword, " \t\r\n") && !strings.Contains(line, `"`) {
			t.Errorf("%q: keyword %q", line, l.keyword)
		}
		for _, a := range l.args {
			if len(a) > len(line) {
				t.Errorf("%q: argument %q longer than the line", line, a)
			}
		}
	})
}

func FuzzSSHG(f *testing.F) {
	f.Add("user a\nport 22\nidentityfile ~/x\nuserknownhostsfile /a b/c /d\n")
	f.Fuzz(func(t *testing.T, out string) {
		s, err := parseSSHG(out).settings(Target{Name: "web"}, local{home: "/h", user: "u"})
		if err == nil && (!validHost(s.HostName) || !validUser(s.User) || s.Port < 1 || s.Port > 65535) {
			t.Errorf("%q: %+v", out, s)
		}
	})
}

func BenchmarkResolve5000Blocks(b *testing.B) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "Host node%d\n HostName 10.0.%d.%d\n User deploy\n IdentityFile ~/.ssh/fleet\n", i, i/250, i%250)
	}
	text.WriteString("Host *.example.com\n ProxyJump bastion\nHost *\n ServerAliveInterval 5\n UserKnownHostsFile ~/.ssh/fleet_hosts\n")
	file := filepath.Join(b.TempDir(), "config")
	writeFile(b, file, text.String())
	r, err := newResolver(file, local{home: "/home/u", user: "u", hostname: "h"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := r.resolve(b.Context(), Target{Name: fmt.Sprintf("node%d", i%5000)}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{"0": 0, "90": 90 * time.Second, "1m30": 90 * time.Second, "1M30S": 90 * time.Second, "2h": 2 * time.Hour, "1w1d": 8 * 24 * time.Hour, "none": 0} {
		if got, err := parseDuration(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "x", "5x", "-1", "1 m", "99999999999999999999", "m", "2147483647w2147483647w"} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("%q: %v", in, got)
		}
	}
}
