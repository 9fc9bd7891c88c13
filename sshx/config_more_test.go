package sshx

import (
	"context"
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

// FuzzConfigFile reads whole files and evaluates them for a host, without running commands.
func FuzzConfigFile(f *testing.F) {
	for _, table := range [][]configCase{plainConfigs, matchConfigs, sshConfigs, algorithmConfigs, optionConfigs, badConfigs, strictConfigs} {
		for _, tt := range table {
			f.Add(tt.text, "web")
		}
	}
	file := filepath.Join(f.TempDir(), "config")
	l := local{home: f.TempDir(), user: "u", hostname: "h", hashesJump: func() bool { return true }}
	f.Fuzz(func(t *testing.T, text, host string) {
		target, err := ParseTarget(host)
		if err != nil || strings.Contains(strings.ToLower(text), "include") && strings.ContainsAny(text, "/~") {
			return // not the files of this machine
		}
		writeFile(t, file, text)
		cfg, err := loadConfig(l, []configSource{{path: file, user: true}})
		if err != nil {
			if printable(err.Error()) != err.Error() {
				t.Errorf("the error %q of %q is not printable", err, text)
			}
			return
		}
		e := &evaluation{cfg: cfg, local: l, target: target}
		e.exec = func(_ context.Context, command string) (bool, error) { return len(command)%2 == 0, nil }
		values, err := e.evaluate(t.Context())
		if err != nil || cfg.needSSH != "" {
			return
		}
		s, err := values.settings(target, l)
		if err == nil && (!validHost(s.HostName) || !validUser(s.User) || s.Port < 1 || s.Port > 65535) {
			t.Errorf("%q: %+v", text, s)
		}
	})
}

// FuzzHop reads jump hosts: what is read is written so that it reads the same.
func FuzzHop(f *testing.F) {
	for _, s := range []string{"b", "u@b:22", "[::1]:3", "ssh://u%40x@h:7/", "ssh://h/p", "a@b@c", "a:ssh"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		hop, err := parseHop(s)
		if err != nil || !validHost(hop.Name) || hop.User != "" && !validUser(hop.User) {
			return
		}
		if again, err := parseHop(hop.String()); err != nil || again != hop {
			t.Errorf("%q: %+v, then %+v, %v", s, hop, again, err)
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
