package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"troops/nodeside/sandbox"
)

// binDir holds the real program: scripts and the sandbox's hooks run it.
var binDir string

func TestMain(m *testing.M) {
	var err error
	if binDir, err = os.MkdirTemp("", "troops-script-test-"); err != nil {
		panic(err)
	}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(binDir, "troops"), "troops/cmd/troops").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building troops: %v\n%s", err, out))
	}
	code := m.Run()
	os.RemoveAll(binDir)
	os.Exit(code)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setupScript,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"sandbox": startSandbox,
			"exits":   exits,
			"events":  scriptEvents,
		},
	})
}

func setupScript(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("PATH", binDir+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("SSHCONFIG", filepath.Join(env.WorkDir, "fleet", "ssh_config"))
	env.Setenv("NODES", filepath.Join(env.WorkDir, "fleet", "nodes"))
	env.Setenv("TMPDIR", env.WorkDir)
	for k, v := range map[string]string{
		"GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "test", "GIT_AUTHOR_EMAIL": "test@example.com",
		"GIT_COMMITTER_NAME": "test", "GIT_COMMITTER_EMAIL": "test@example.com",
	} {
		env.Setenv(k, v)
	}
	return nil
}

// startSandbox is the script command `sandbox [-bare] NAME...`: nodes that $SSHCONFIG reaches,
// in $NODES, until the script ends.
func startSandbox(ts *testscript.TestScript, neg bool, args []string) {
	opts := sandbox.Options{Dir: ts.MkAbs("fleet"), Binary: filepath.Join(binDir, "troops")}
	if len(args) > 0 && args[0] == "-bare" {
		opts.Bare, args = true, args[1:]
	}
	opts.Names = args
	if neg || len(args) == 0 {
		ts.Fatalf("usage: sandbox [-bare] NAME...")
	}
	ts.Check(os.MkdirAll(opts.Dir, 0o700))
	fleet, err := sandbox.Start(context.Background(), opts)
	ts.Check(err)
	ts.Defer(func() { ts.Check(fleet.Close()) })
	for _, kv := range [][2]string{{"troops.nodePath", sandbox.RepoPath}, {"troops.sshConfig", fleet.SSHConfig}} {
		ts.Check(ts.Exec("git", "config", "--global", kv[0], kv[1]))
	}
}

// exits is the script command `exits CODE PROGRAM...`: it must exit with exactly that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		code = ee.ExitCode()
	} else {
		ts.Check(err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("%s exited %d, want %s", args[1], code, args[0])
	}
}
