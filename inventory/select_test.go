package inventory

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// fleet is an inventory without and one with unknowns.
func fleet(t *testing.T, unknown bool) *Inventory {
	t.Helper()
	entry := func(host string, roles ...string) Entry {
		h, err := ParseHost(host)
		if err != nil {
			t.Fatal(err)
		}
		return Entry{Host: h, Roles: roles, Complete: true}
	}
	inv := &Inventory{
		Entries:  []Entry{entry("db-1", "db"), entry("root@web-1:22", "canary", "web"), entry("web-2", "web"), entry("web-3", "web")},
		Warnings: []Problem{{File: "deploy.py", Line: 1, Text: "a warning"}},
		seen:     map[string]Problem{"shell": {File: "deploy.py", Line: 7}},
	}
	if unknown {
		inv.Unknown = []Problem{{File: "deploy.py", Line: 3, Role: "web", Text: "hosts are not known"}}
		late := entry("late")
		late.Complete = false
		late.Maybe = []Problem{{File: "deploy.py", Line: 5, Role: "db", Text: "not known"}}
		late.unsure = late.Maybe
		inv.Entries = slices.Insert(inv.Entries, 1, late)
	}
	return inv
}

func hosts(entries []Entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Host.String())
	}
	return strings.Join(out, " ")
}

func TestSelect(t *testing.T) {
	tests := []struct {
		name string
		s    Selection
		want string // hosts, or part of the error
	}{
		{"all", Selection{}, "db-1 root@web-1:22 web-2 web-3"},
		{"role", Selection{Roles: []string{"web"}}, "root@web-1:22 web-2 web-3"},
		{"two roles", Selection{Roles: []string{"db", "canary"}}, "db-1 root@web-1:22"},
		{"host as written", Selection{Hosts: []string{"root@web-1:22"}}, "root@web-1:22"},
		{"host by name", Selection{Hosts: []string{"web-1"}}, "root@web-1:22"},
		{"glob", Selection{Hosts: []string{"web-*"}}, "root@web-1:22 web-2 web-3"},
		{"class", Selection{Hosts: []string{"web-[12]", "db-?"}}, "db-1 root@web-1:22 web-2"},
		{"role and host", Selection{Roles: []string{"web"}, Hosts: []string{"*-2"}}, "web-2"},
		{"exclude", Selection{Exclude: []string{"web-1", "db*"}}, "web-2 web-3"},
		{"exclude of another role", Selection{Roles: []string{"web"}, Exclude: []string{"db-1"}}, "root@web-1:22 web-2 web-3"},
		{"no such role", Selection{Roles: []string{"wbe"}}, `role "wbe" matches nothing; there is web, db, canary`},
		{"role without hosts", Selection{Roles: []string{"shell"}}, `no host that is listed has it; list its hosts in deploy.py or in roles.toml (deploy.py:7 names it)`},
		{"no such host", Selection{Hosts: []string{"web-9"}}, `host "web-9" matches nothing; there is web-2, web-3,`},
		{"no such exclusion", Selection{Exclude: []string{"x*"}}, `exclude "x*" matches nothing`},
		{"host of another role", Selection{Roles: []string{"db"}, Hosts: []string{"web-2"}}, "it matches no host of role db; there is db-1"},
		{"bad pattern", Selection{Hosts: []string{"web-["}}, "it is no pattern"},
		{"nothing left", Selection{Roles: []string{"db"}, Exclude: []string{"*"}}, "no host is left"},
		{"control bytes", Selection{Roles: []string{"\x1b[2J"}}, `role "\x1b[2J" matches nothing`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := fleet(t, false).Select(tt.s)
			checkSelected(t, got, err, tt.want)
			var no *NoMatchError
			if err != nil && !errors.As(err, &no) {
				t.Errorf("error %T", err)
			}
		})
	}
}

func checkSelected(t *testing.T, got []Entry, err error, want string) {
	t.Helper()
	if err != nil {
		if got != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want %q", err, want)
		}
	} else if hosts(got) != want {
		t.Errorf("got %q, want %q", hosts(got), want)
	}
}

func TestSelectUnknown(t *testing.T) {
	const notAll = "not all hosts"
	tests := []struct {
		name string
		s    Selection
		want string
	}{
		{"all", Selection{}, notAll + " can be told"},
		{"all known", Selection{KnownOnly: true}, "db-1 root@web-1:22 web-2 web-3"},
		{"role with an unknown part", Selection{Roles: []string{"web"}}, "deploy.py:3: role web: hosts are not known"},
		{"the known ones", Selection{Roles: []string{"web"}, KnownOnly: true}, "root@web-1:22 web-2 web-3"},
		{"role with a maybe host", Selection{Roles: []string{"db"}}, "deploy.py:5: role db: not known"},
		{"other role", Selection{Roles: []string{"canary"}}, "root@web-1:22"},
		{"maybe host excluded", Selection{Roles: []string{"db"}, Exclude: []string{"late"}}, "db-1"},
		{"surely of the role", Selection{Roles: []string{"web"}, Hosts: []string{"web-2"}}, "web-2"},
		{"perhaps of the role", Selection{Roles: []string{"db"}, Hosts: []string{"late"}}, notAll},
		{"perhaps, known only", Selection{Roles: []string{"db"}, Hosts: []string{"late"}, KnownOnly: true}, "it matches no host of role db"},
		{"by its name", Selection{Hosts: []string{"late"}}, "late"},
		{"by a glob", Selection{Hosts: []string{"web-*"}}, notAll},
		{"by a glob, known only", Selection{Hosts: []string{"*"}, KnownOnly: true}, "db-1 root@web-1:22 web-2 web-3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := fleet(t, true).Select(tt.s)
			checkSelected(t, got, err, tt.want)
			var un *UnknownError
			if strings.HasPrefix(tt.want, notAll) && (!errors.As(err, &un) || !strings.Contains(err.Error(), "--known-only")) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestSelectBare(t *testing.T) {
	for _, inv := range []*Inventory{nil, {}} {
		got, err := inv.Select(Selection{Hosts: []string{"b", "root@a:22", "b"}, Exclude: []string{"c"}})
		checkSelected(t, got, err, "b root@a:22")
		for _, e := range got {
			if e.Complete || e.Roles != nil {
				t.Errorf("entry %+v claims to know its roles", e)
			}
		}
		for _, s := range []Selection{{}, {Roles: []string{"web"}}, {Hosts: []string{"web-*"}}, {Hosts: []string{"-oX"}}} {
			var no *NoMatchError
			if got, err := inv.Select(s); !errors.As(err, &no) || !strings.Contains(err.Error(), "roles.toml") {
				t.Errorf("%+v: %v, %v", s, got, err)
			}
			if s.Literal() {
				t.Errorf("%+v is literal", s)
			}
		}
		if _, err := inv.Select(Selection{Hosts: []string{"a"}, Exclude: []string{"a"}}); err == nil {
			t.Error("nothing was selected")
		}
		if inv.Notes(Selection{}) != nil {
			t.Error("notes about nothing")
		}
	}
	if !(Selection{Hosts: []string{"a", "[::1]:22"}, Exclude: []string{"b"}}).Literal() {
		t.Error("plain names are not literal")
	}
}

func TestNotes(t *testing.T) {
	text := func(s Selection) string {
		var out []string
		for _, p := range fleet(t, true).Notes(s) {
			out = append(out, p.String())
		}
		return strings.Join(out, "\n")
	}
	const all = "deploy.py:1: a warning\ndeploy.py:3: role web: hosts are not known"
	if got := text(Selection{Roles: []string{"canary"}}); got != all {
		t.Errorf("of another role:\n%s", got)
	}
	if got := text(Selection{Roles: []string{"db"}, KnownOnly: true}); got != all+"\ndeploy.py:5: role db: not known" {
		t.Errorf("left out:\n%s", got)
	}
}

func TestNearest(t *testing.T) {
	got := nearest("web-l", []string{"db-1", "cache", "web-2", "web-1"})
	if want := []string{"web-2", "web-1", "db-1", "cache"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := nearest("*shell*", []string{"web", "my-shellbox"}); got[0] != "my-shellbox" {
		t.Errorf("got %q", got)
	}
}

func TestErrorTexts(t *testing.T) {
	p := Problem{File: "deploy.py", Line: 12, Role: "web", Text: "text"}
	many := slices.Repeat([]Problem{p}, 25)
	tests := []struct {
		err  error
		want string
	}{
		{&Error{Problems: []Problem{p}}, "inventory: deploy.py:12: role web: text"},
		{&Error{Problems: []Problem{{File: "deploy.py", Text: "x"}}}, "inventory: deploy.py: x"},
		{&Error{Problems: many}, "inventory:\n  deploy.py:12: role web: text\n"},
		{&Error{Problems: many}, "\n  and 5 more"},
		{&LimitError{Problem: p}, "inventory: deploy.py:12: role web: text"},
		{&UnknownError{Roles: []string{"web"}, Problems: []Problem{p}}, "not all hosts of role web can be told without running deploy.py (--known-only goes on without them): deploy.py:12"},
		{&NoMatchError{What: "host", Pattern: "x", Have: slices.Repeat([]string{"a"}, 12)}, "and 2 more"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); !strings.Contains(got, tt.want) {
			t.Errorf("%q lacks %q", got, tt.want)
		}
	}
}
