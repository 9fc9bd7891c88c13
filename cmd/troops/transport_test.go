package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"troops/gitcli"
	"troops/sshx"
)

// recorder writes a program that records how it is called and fails, but may know -G.
func recorder(t *testing.T, dir, name string, knowsG bool) string {
	t.Helper()
	status := 1
	if knowsG {
		status = 0
	}
	path := filepath.Join(dir, name)
	// What troops has to know more than git is not recorded: what the program would do about host keys.
	text := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *'-G -v '*) echo stricthostkeychecking ask; exit 0;; esac\necho \"%s $*\" >>'%s/log'\n[ \"$1\" = -G ] && exit %d\nexit 1\n", name, dir, status)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// gitKit is a repository and programs that git could be told to use, which record how they are called.
type gitKit struct {
	t         *testing.T
	dir, home string
	repo      *repository
	base      []string          // the environment without any of the variables in question
	programs  map[string]string // paths by name
}

func newGitKit(t *testing.T) *gitKit {
	t.Helper()
	k := &gitKit{t: t, dir: t.TempDir(), home: t.TempDir(), programs: make(map[string]string)}
	for _, name := range []string{"ssh", "plink", "tortoiseplink", "corp", "corp-openssh"} {
		k.programs[name] = recorder(t, k.dir, name, name == "corp-openssh")
	}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_SSH") {
			k.base = append(k.base, kv)
		}
	}
	k.base = append(k.base, "HOME="+k.home, "GIT_CONFIG_NOSYSTEM=1")
	k.repo = &repository{Repo: gitcli.Repo{Dir: t.TempDir(), Env: k.base}}
	k.git(nil, "init", "-q")
	return k
}

// git runs git, which may fail: no program here connects to anything.
func (k *gitKit) git(env []string, args ...string) {
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = k.repo.Dir, append(slices.Clone(k.base), env...)
	_ = cmd.Run()
}

// path puts the path of each program for its name in a command line.
func (k *gitKit) path(command string) string {
	words := strings.Split(command, " ")
	for i, w := range words {
		if p, ok := k.programs[w]; ok {
			words[i] = p
		}
	}
	return strings.Join(words, " ")
}

// calls gives the programs that have run since, with those of their options that matter.
func (k *gitKit) calls() (calls []string) {
	b, _ := os.ReadFile(filepath.Join(k.dir, "log")) // none where no program ran
	os.Remove(filepath.Join(k.dir, "log"))
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		call := f[0]
		for _, option := range []string{"-V", "-G", "-batch", "-p", "-P"} {
			if slices.Contains(f, option) {
				call += " " + option
			}
		}
		if !strings.HasSuffix(call, " -V") { // what troops has to know more than git
			calls = append(calls, call)
		}
	}
	return calls
}

// troops dials a host by the program that the environment and the repository name.
func (k *gitKit) troops(env []string, host string) error {
	p, err := k.repo.gitSSH(k.t.Context(), func(key string) (string, bool) {
		for _, kv := range env {
			if name, value, _ := strings.Cut(kv, "="); name == key {
				return value, true
			}
		}
		return "", false
	})
	if err != nil || p == nil {
		return fmt.Errorf("no program of git's: %v", err)
	}
	c, err := sshx.New(sshx.Options{Program: p, Home: k.home})
	if err != nil {
		return err
	}
	conn, err := c.Dial(k.t.Context(), host)
	if err != nil { // it does not connect
		return c.Close()
	}
	if ch, err := conn.Exec(k.t.Context(), "true"); err == nil {
		_ = ch.Wait() // it fails
	}
	return errors.Join(conn.Close(), c.Close())
}

// TestProgramIsTheOneOfGit has git and troops call the same program, and in the same way, for
// what the environment and git's configuration say.
func TestProgramIsTheOneOfGit(t *testing.T) {
	k := newGitKit(t)
	for _, tt := range []struct {
		env     string
		command string // core.sshCommand
		variant string // ssh.variant
		port    bool
	}{
		{env: "GIT_SSH_COMMAND=corp", command: "ssh"}, {env: "GIT_SSH=corp", command: "ssh", port: true}, {env: "GIT_SSH=plink;GIT_SSH_COMMAND=ssh -x", port: true},
		{env: "GIT_SSH=ssh", port: true}, {env: "GIT_SSH=plink", port: true}, {env: "GIT_SSH=tortoiseplink", port: true}, {env: "GIT_SSH=tortoiseplink"},
		{env: "GIT_SSH=corp"}, {env: "GIT_SSH=corp", port: true}, {env: "GIT_SSH=corp-openssh"}, {env: "GIT_SSH=corp-openssh", port: true},
		{command: "corp-openssh", port: true}, {command: "corp -x"}, {command: "X=1 plink", port: true},
		{command: "corp", variant: "plink", port: true}, {command: "corp", variant: "putty", port: true}, {command: "corp", variant: "tortoiseplink"},
		{command: "corp", variant: "ssh", port: true}, {command: "corp", variant: "strange", port: true}, {command: "plink", variant: "auto", port: true},
		{command: "corp", variant: "simple"}, {command: "ssh", variant: "simple", env: "GIT_SSH_VARIANT=plink", port: true},
		{command: "ssh", variant: "simple", env: "GIT_SSH_VARIANT=auto", port: true}, {command: "corp", env: "GIT_SSH_VARIANT=", port: true},
	} {
		var env []string
		if tt.env != "" {
			for kv := range strings.SplitSeq(tt.env, ";") {
				name, value, _ := strings.Cut(kv, "=")
				env = append(env, name+"="+k.path(value))
			}
		}
		for key, value := range map[string]string{"core.sshCommand": k.path(tt.command), "ssh.variant": tt.variant} {
			k.git(nil, "config", "--unset-all", key)
			if value != "" {
				k.git(nil, "config", key, value)
			}
		}
		host := "u@node"
		if tt.port {
			host += ":2222"
		}
		k.git(env, "ls-remote", "ssh://"+host+"/x")
		want := k.calls()
		if err := k.troops(env, host); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
		if got := k.calls(); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%+v: troops calls %q, git %q", tt, got, want)
		}
	}
}
