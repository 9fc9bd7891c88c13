package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"troops/gitcli"
	"troops/nodeside/sandbox"
)

//go:embed demo/*.py
var demoFiles embed.FS

// demoMost is the most nodes of a demo: they all run on this machine.
const demoMost = 50

func newDemo(g *global) *cli.Command {
	var nodes int
	return &cli.Command{
		Name:  "demo",
		Usage: "show a few pushes to nodes in a temporary directory",
		Description: `Makes a deployment repository and nodes in a temporary directory, each behind an SSH server
on a loopback port, and runs troops push against them: real git, real hooks, real runs.
No root; needs git and python3; leaves nothing behind.`,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "nodes", Usage: "how many nodes to make, `N` of 2 to 50", Value: 5, Destination: &nodes},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("demo takes no arguments: see troops demo --help")
			}
			if nodes < 2 || nodes > demoMost {
				return usagef("--nodes %d: between 2 and %d are possible", nodes, demoMost)
			}
			return runDemo(g, nodes)
		},
	}
}

func runDemo(g *global, nodes int) (err error) {
	for _, tool := range []string{"git", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("the demo needs %s, which is not on PATH: install it (Debian: apt-get install %s)", tool, tool)
		}
	}
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "troops-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	d := &demo{g: g, binary: binary, repo: filepath.Join(dir, "deploy"), web: hostNames("web", nodes-1-nodes/4), db: hostNames("db", 1+nodes/4)}
	fmt.Fprintf(g.out, "Making %d nodes in %s ...\n", nodes, dir)
	fleet, err := sandbox.Start(g.stop.soft, sandbox.Options{Dir: dir, Names: append(append([]string{}, d.web...), d.db...), Binary: binary})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	return d.play(g.stop.soft, fleet.SSHConfig)
}

// hostNames are n names: prefix-1 to prefix-n.
func hostNames(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", prefix, i+1)
	}
	return names
}

// demo is the deployment repository of a demo and how to play with it.
type demo struct {
	g       *global
	binary  string
	repo    string
	web, db []string
}

func (d *demo) play(ctx context.Context, sshConfig string) error {
	git := gitcli.Repo{Dir: d.repo}
	setup := [][]string{
		{"init", "-q", "-b", "main"},
		{"config", "user.name", "demo"},
		{"config", "user.email", "demo@example.com"},
		{"config", "commit.gpgSign", "false"},
		// So that the commands below need no options: the nodes of a real fleet need neither.
		{"config", "troops.sshConfig", sshConfig},
		{"config", "troops.nodePath", sandbox.RepoPath},
	}
	if err := os.MkdirAll(d.repo, 0o755); err != nil {
		return err
	}
	for _, args := range setup {
		if _, err := git.Run(ctx, nil, args...); err != nil {
			return err
		}
	}
	steps := []struct {
		say    string   // shown before the command
		file   string   // becomes deploy.py in a commit with this subject
		commit string   //
		args   []string // of troops
		code   int      // that it must exit with
	}{
		{"A deployment is a Python program. Its roles name the hosts:", "1", "Install the site.", []string{"hosts"}, exitOK},
		{"Deploy it everywhere:", "", "", []string{"push"}, exitOK},
		{"The next commit goes to one host first:", "2", "Warm the cache.", []string{"push", "--host", d.web[0]}, exitOK},
		{"It did well there, so the others follow; the one that has it is left alone:", "", "", []string{"push"}, exitOK},
		{"A commit that fails on the database hosts:", "3", "Move to schema 2.", []string{"push"}, exitNodes},
		{"Their branch did not move, so they are as they were. Mend it and push again:", "4", "Make room for schema 2.", []string{"push"}, exitOK},
	}
	for _, s := range steps {
		if s.file != "" {
			if err := d.commit(ctx, git, s.file, s.commit); err != nil {
				return err
			}
		}
		fmt.Fprintf(d.g.out, "\n%s\n\n$ troops %s\n", s.say, strings.Join(s.args, " "))
		if err := d.troops(ctx, s.args, s.code); err != nil {
			return err
		}
	}
	fmt.Fprintf(d.g.out, "\nThat was it; everything is removed again. README.md goes on with a machine of yours.\n")
	return nil
}

func (d *demo) commit(ctx context.Context, git gitcli.Repo, file, subject string) error {
	src, err := demoFiles.ReadFile("demo/" + file + "-deploy.py")
	if err != nil {
		return err
	}
	list := func(names []string) string { return "'" + strings.Join(names, "', '") + "'" }
	text := strings.NewReplacer("HOSTS_WEB", list(d.web), "HOSTS_DB", list(d.db)).Replace(string(src))
	if err := os.WriteFile(filepath.Join(d.repo, "deploy.py"), []byte(text), 0o644); err != nil {
		return err
	}
	if _, err := git.Run(ctx, nil, "add", "deploy.py"); err != nil {
		return err
	}
	_, err = git.Run(ctx, nil, "commit", "-q", "-m", subject)
	return err
}

// troops runs the program itself as a user would, in the repository.
func (d *demo) troops(ctx context.Context, args []string, want int) error {
	cmd := exec.CommandContext(ctx, d.binary, append([]string{"--color", d.g.color}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.repo, d.g.out, d.g.err
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err := cmd.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		return err
	}
	if got := cmd.ProcessState.ExitCode(); got != want {
		return fmt.Errorf("demo: troops %s exited %d where %d was expected", strings.Join(args, " "), got, want)
	}
	if want != exitOK {
		fmt.Fprintf(d.g.out, "(exit code %d)\n", want)
	}
	return nil
}
