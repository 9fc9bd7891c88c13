package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"troops/bootstrap"
	"troops/inventory"
	"troops/output"
	"troops/push"
	"troops/sshx"
)

// bootstrapOptions are the flags of troops bootstrap.
type bootstrapOptions struct {
	binary    string
	packages  bool
	remotes   cli.StringSlice
	parallel  int
	transport string
}

func newBootstrap(g *global) *cli.Command {
	var o bootstrapOptions
	return &cli.Command{
		Name:      "bootstrap",
		Usage:     "make machines nodes, or upgrade them",
		ArgsUsage: "HOST...",
		Description: `Looks at each HOST (Linux on x86_64 or aarch64; sudo without password, or a login as root; git 2.29;
python3 with venv), installs troops as /usr/local/bin/troops, runs 'troops node init' and adds the
login to group troops, whose members may deploy, which is as good as being root there. Only what
differs is changed: a second time nothing, after an upgrade here the program. What runs on a host
goes on undisturbed. After a failure the host is as it was, or the commands that undo are shown.

The program is this one for hosts of the same platform, else dist/troops-linux-ARCH beside it
('make dist'); its SHA-256 is checked on the host.

Exit codes: 0, 1 if some host is no node, 2 for a usage error.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "binary", Usage: "install the program `PATH` instead", Destination: &o.binary},
			&cli.BoolFlag{Name: "install-packages", Usage: "have apt-get install git and python3-venv where they are missing", DisableDefaultText: true, Destination: &o.packages},
			&cli.StringSliceFlag{Name: "remote", Usage: "add the git remote `NAME=URL` to the hosts' repository (may be given again)", Destination: &o.remotes},
			&cli.IntFlag{Name: "parallel", Usage: "at most `N` hosts at once", Value: bootstrap.DefaultParallel, Destination: &o.parallel},
			transportFlag(&o.transport),
		},
		Action: func(c *cli.Context) error {
			if !c.Args().Present() {
				return usagef("bootstrap takes the hosts that are to become nodes, [user@]name[:port]: see troops bootstrap --help")
			}
			if o.parallel < 1 {
				return usagef("--parallel %d: at least one host at once", o.parallel)
			}
			return runBootstrap(c.Context, g, o, c.Args().Slice())
		},
	}
}

func runBootstrap(ctx context.Context, g *global, o bootstrapOptions, names []string) error {
	color, err := output.ColorFor(g.color, g.out, os.Getenv)
	if err != nil {
		return err
	}
	own, err := os.Executable()
	if err != nil {
		return err
	}
	work := bootstrap.Options{Programs: bootstrap.NewPrograms(o.binary, own), InstallPackages: o.packages, Parallel: o.parallel}
	if work.Remotes, err = parseRemotes(o.remotes.Value()); err != nil {
		return err
	}
	repo, err := openRepository(ctx, g.dir)
	if err != nil {
		if g.dir != "." {
			return err
		}
		repo = nil
	}
	advice, err := newAdvice(ctx, g, repo, names)
	if err != nil {
		return err
	}
	options, err := advice.repo.sshOptions(ctx, g, o.transport)
	if err != nil {
		return err
	}
	advice.config, advice.transport = options.ConfigFile, o.transport
	lines := output.NewLines(g.out, output.Options{Color: color, Verbose: g.verbose})
	g.askBeside(lines, &options)
	client, err := sshx.New(options)
	if err != nil {
		return err
	}
	work.Dial, work.Say = client.Dial, func(host, text string) { lines.Printf("%s: %s", host, text) }
	err = advice.bootstrap(ctx, lines, client, work)
	err = errors.Join(err, client.Close())
	if werr := lines.Close(); err == nil && !errors.Is(werr, syscall.EPIPE) {
		err = werr
	}
	return err
}

// bootstrap makes nodes of the hosts, shows how, and how to go on.
func (a *advice) bootstrap(ctx context.Context, lines *output.Lines, client *sshx.Client, work bootstrap.Options) error {
	targets := make([]push.Target, len(a.hosts))
	names := make([]string, len(a.hosts))
	for i, h := range a.hosts {
		targets[i].Host, names[i] = h.String(), h.String()
	}
	if err := askHostKeys(ctx, a.g.in, lines, client, targets); err != nil {
		return err
	}
	well := make(map[string]bool)
	same := 0
	bootstrap.All(ctx, names, work, func(r bootstrap.Result) {
		showResult(lines, r, a.g.verbose)
		well[r.Host] = r.Err == nil
		if r.Err == nil && r.Same() {
			same++
		}
	})
	if err := context.Cause(ctx); err != nil {
		return err
	}
	a.hosts = slices.DeleteFunc(a.hosts, func(h inventory.Host) bool { return !well[h.String()] })
	lines.Printf("%d of %d hosts are nodes like this: %d changed, %d as they were", len(a.hosts), len(names), len(a.hosts)-same, same)
	for _, line := range a.lines(ctx) {
		lines.Printf("%s", line)
	}
	if len(a.hosts) < len(names) {
		return &nodesError{exitNodes}
	}
	return nil
}

// showResult prints what became of one host.
func showResult(lines *output.Lines, r bootstrap.Result, verbose bool) {
	say := func(format string, args ...any) {
		lines.Printf("%s: %s", r.Host, strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
	}
	for _, c := range r.Changes {
		say("%s", c)
	}
	if n := len(r.Details); n > 1 && !verbose {
		say("node init changed %d more things (-v shows them)", n)
	} else {
		for _, d := range r.Details {
			say("%s", d)
		}
	}
	for _, n := range r.Notes {
		say("warning: %s", n)
	}
	var e *bootstrap.Error
	switch {
	case errors.As(r.Err, &e):
		say("FAILED: %s: %v", e.Step, e.Err)
		if e.Hint != "" {
			say("  %s", e.Hint)
		}
		if len(e.Undo) == 0 {
			if r.Same() {
				say("  nothing was changed there")
			}
			return
		}
		say("  bootstrap it again to go on from here; to undo what was done, as root there:")
		for _, command := range e.Undo {
			say("    %s", command)
		}
	case r.Err != nil:
		say("FAILED: %v", r.Err)
	case r.Same():
		say("is a node, nothing to change")
	default:
		say("is a node now")
	}
}
