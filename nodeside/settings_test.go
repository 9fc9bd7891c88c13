package nodeside

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"troops/nodeside/wire"
)

func TestVenvTimeout(t *testing.T) {
	n := newTestNode(t)
	system := filepath.Join(t.TempDir(), "gitconfig")
	t.Setenv("GIT_CONFIG_SYSTEM", system)
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	for _, test := range []struct {
		system, local []string
		want          time.Duration
		err           string
	}{
		{nil, nil, 0, ""},
		{nil, []string{"90s"}, 90 * time.Second, ""},
		{nil, []string{"90s", "1h30m"}, 90 * time.Minute, ""}, // the last one counts, as in git
		{[]string{"2h"}, nil, 2 * time.Hour, ""},
		{[]string{"2h", "1h"}, []string{"5s"}, time.Hour, ""}, // what root has set counts
		{nil, []string{"30"}, 0, `troops.venvTimeout is "30" in the local configuration of git, and has to be a time such as 30m`},
		{nil, []string{""}, 0, `is "" in the local`},
		{[]string{"soon"}, []string{"30m"}, 0, `is "soon" in the system`},
		{[]string{"30m"}, []string{"0s"}, 0, `is "0s" in the local`},
		{nil, []string{"-5m"}, 0, `is "-5m"`},
		{nil, []string{"1000000000h"}, 0, `is "1000000000h"`},
	} {
		n.check(os.WriteFile(system, nil, 0o600))
		_ = n.command("git", "--git-dir="+n.l.Repo(), "config", "--unset-all", venvTimeoutKey).Run() // the first time there is none
		for _, v := range test.local {
			n.git("--git-dir="+n.l.Repo(), "config", "--add", venvTimeoutKey, v)
		}
		for _, v := range test.system {
			n.git("config", "--file", system, "--add", venvTimeoutKey, v)
		}
		got, err := n.l.venvTimeout(t.Context())
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("system %q, local %q: %v, %v, want %v, %q", test.system, test.local, got, err, test.want, test.err)
		}
	}
	n.git("--git-dir="+n.l.Repo(), "config", venvTimeoutKey, "soon")
	oid := n.commit("deploy", "#!/bin/sh\n")
	out, err := n.push("master")
	if want := fmt.Sprintf("failed in venv: %s is \"soon\"", venvTimeoutKey); err == nil || !strings.Contains(out, want) || n.runs()[oid].State != wire.Failed {
		t.Errorf("a push: %v\n%s", err, out)
	}
	n.git("--git-dir="+n.l.Repo(), "config", venvTimeoutKey, "10m")
	n.mustPush("master")
}
