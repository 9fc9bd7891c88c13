package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"troops/gitcli"
	"troops/output"
	"troops/push"
	"troops/push/gitwire"
)

// TestConfirm asks about a plan of hosts that cannot be reached.
func TestConfirm(t *testing.T) {
	repo := gitcli.Repo{Dir: t.TempDir()}
	for _, args := range [][]string{{"init", "-q"}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "--allow-empty", "-m", "One."}} {
		if _, err := repo.Run(t.Context(), nil, args...); err != nil {
			t.Fatal(err)
		}
	}
	head, err := repo.Line(t.Context(), "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		confirm  bool
		force    forceOptions
		hosts    string
		terminal bool
		answer   string
		asked    bool
		want     string // error
	}{
		{"not set", false, forceOptions{}, "a b", true, "no\n", false, ""},
		{"yes", true, forceOptions{}, "a b", true, "yes\n", true, ""},
		{"no", true, forceOptions{}, "a b", true, "no\n", true, "nothing was deployed"},
		{"one host", true, forceOptions{}, "a", true, "no\n", false, ""},
		{"no terminal", true, forceOptions{}, "a b", false, "", false, ""},
		{"nothing to force", false, forceOptions{force: true}, "a b", true, "no\n", false, ""},
		{"nothing to force, but set", true, forceOptions{force: true}, "a b", true, "no\n", true, "nothing was deployed"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			var screen, out strings.Builder
			a := agreement{forceOptions: tt.force, confirm: tt.confirm}
			if tt.terminal {
				a.console = &console{out: &screen, forget: func() {}, readLine: func(context.Context) (string, error) { return tt.answer, nil }}
			}
			r := &push.Rollout{Repo: repo, Commit: gitwire.OID(head), Subject: "One.", Dial: func(context.Context, string) (push.Conn, error) {
				return nil, errors.New("nobody there\x1b[2J")
			}}
			for _, h := range strings.Fields(tt.hosts) {
				r.Targets = append(r.Targets, push.Target{Host: h, Name: h})
			}
			err := a.seek(t.Context(), output.NewLines(&out, output.Options{}), r)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
			asked := strings.Contains(screen.String(), `"One." to 2 nodes`) && strings.HasSuffix(screen.String(), "Deploy this and go on? [yes/no] ")
			if asked != tt.asked || !asked && screen.String() != "" || strings.Contains(screen.String(), "\x1b") || out.String() != "" {
				t.Errorf("the screen has %q, standard output %q", screen.String(), out.String())
			}
		})
	}
}
