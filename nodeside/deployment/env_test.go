package deployment

import (
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCleanEnv(t *testing.T) {
	t.Setenv("HOME", "/nowhere")
	t.Setenv("PIP_INDEX_URL", "x")
	t.Setenv("PATH", "relative:/opt/own/bin:/usr/bin:")
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	env := CleanEnv()
	path := standardPath
	if os.Getuid() != 0 {
		path += ":/opt/own/bin"
	}
	for name, want := range map[string]string{
		"PATH": path, "HOME": u.HomeDir, "USER": u.Username, "LOGNAME": u.Username, "LANG": "C.UTF-8",
	} {
		if got := getEnv(env, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if shell := getEnv(env, "SHELL"); len(env) != 6 || !filepath.IsAbs(shell) {
		t.Errorf("environment %q", env)
	}
	own := ownEnv()
	if getEnv(own, "HOME") != "/nowhere" || !strings.HasPrefix(getEnv(own, "PATH"), "relative:") || len(own) != 6 {
		t.Errorf("a person's environment %q", own)
	}
}

func TestJoinPath(t *testing.T) {
	for _, test := range [][3]string{
		{"/a:/b", "/c", "/a:/b:/c"}, {"/a:/b", "/b:/a:/c:/c", "/a:/b:/c"}, {"/a", "", "/a"}, {"/a", ".::x/y:/b", "/a:/b"},
	} {
		if got := joinPath(test[0], test[1]); got != test[2] {
			t.Errorf("joinPath(%q, %q) = %q, want %q", test[0], test[1], got, test[2])
		}
	}
}

func TestLoginShell(t *testing.T) {
	passwd := filepath.Join(t.TempDir(), "passwd")
	write(t, passwd, "root:x:0:0:root:/root:/bin/bash\nbroken:x:1\nnone:x:2:2::/:\na:x:3:3::/:/bin/zsh\n")
	for uid, want := range map[int]string{0: "/bin/bash", 1: "/bin/sh", 2: "/bin/sh", 3: "/bin/zsh", 4: "/bin/sh"} {
		if got := loginShell(passwd, uid); got != want {
			t.Errorf("shell of %d is %q, want %q", uid, got, want)
		}
	}
	if got := loginShell("/nowhere", 0); got != "/bin/sh" {
		t.Errorf("without a file: %q", got)
	}
}

func TestSetEnv(t *testing.T) {
	env := []string{"A=1", "AB=2", "A=3"}
	got := setEnv(env, "A", "4")
	if !slices.Equal(got, []string{"AB=2", "A=4"}) || !slices.Equal(env, []string{"A=1", "AB=2", "A=3"}) {
		t.Errorf("got %q, left %q", got, env)
	}
	if getEnv(env, "A") != "3" || getEnv(env, "B") != "" {
		t.Errorf("getEnv: %q, %q", getEnv(env, "A"), getEnv(env, "B"))
	}
	if got := activate(env, ""); !slices.Equal(got, env) {
		t.Errorf("without a virtualenv: %q", got)
	}
}
