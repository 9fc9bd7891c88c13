package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"troops/inventory"
	"troops/nodeside/python"
	"troops/output"
)

// streams are what a command reads from and writes to.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// global are the options that stand before the subcommand.
type global struct {
	dir       string // -C
	sshConfig string // -F
	color     string // --color
	verbose   bool   // -v
	streams
	stop stopping
}

// warn prints what is to be known about the inventory.
func (g *global) warn(problems []inventory.Problem) {
	for _, p := range problems {
		fmt.Fprintf(g.err, "troops: warning: %s\n", clean(p.String()))
	}
}

// run runs the program and returns its exit code. It never exits by itself.
func run(stop stopping, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if output.CIFor(os.Getenv) != output.NoCI {
		stdout, stderr = output.DefuseLog(stdout), output.DefuseLog(stderr)
	}
	g := &global{streams: streams{stdin, stdout, stderr}, stop: stop}
	err := newApp(g).RunContext(stop.soft, args)
	if err != nil && stop.soft.Err() != nil {
		err = context.Cause(stop.soft)
	}
	return exitCode(err, stderr)
}

func newApp(g *global) *cli.App {
	app := &cli.App{
		Name:        "troops",
		Usage:       "git push for a whole fleet",
		Description: exitStatusHelp,
		Reader:      g.in,
		Writer:      g.out,
		ErrWriter:   g.err,
		// urfave/cli would exit the process by itself for some errors; exitCode decides here.
		ExitErrHandler:         func(*cli.Context, error) {},
		UseShortOptionHandling: true,
		HideHelpCommand:        true,
		HideVersion:            true, // its -v is ours
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "C", Usage: "use the deployment repository in `DIR`", Value: ".", DefaultText: "here", Destination: &g.dir},
			&cli.StringFlag{Name: "F", Usage: "read the OpenSSH configuration from `FILE` instead of the user's", Destination: &g.sshConfig},
			&cli.StringFlag{Name: "color", Usage: "`WHEN` to colour: auto, always or never", Value: "auto", Destination: &g.color},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "show connecting and pushing too", DisableDefaultText: true, Destination: &g.verbose},
			&cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true},
		},
		Commands: []*cli.Command{
			newPush(g), newPull(g), newCancel(g), newStatus(g), newTail(g), newHosts(g), newDoctor(g), newBootstrap(g), newUserdata(g), newDeploy(g), newDemo(g), newNode(g),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("there is no command %q: see troops --help", c.Args().First())
			}
			if c.Bool("version") {
				_, err := fmt.Fprintf(g.out, "troops %s\n", python.Version())
				return err
			}
			return cli.ShowAppHelp(c)
		},
		OnUsageError: usageError,
	}
	for _, c := range app.Commands {
		c.OnUsageError = usageError
		for _, s := range c.Subcommands {
			s.OnUsageError = usageError
		}
	}
	return app
}

const exitStatusHelp = `Exit codes:
   0    every selected node is deployed or current; with --no-wait, or has taken the run
   1    some node failed, was refused, superseded or unreachable
   2    usage, repository or inventory error, or host keys not accepted: nothing was deployed
   3    the rollout was stopped, later nodes were not started
   4    some node's outcome is unknown
   130  interrupted
The highest that applies; any other code means failure.`

// usageError replaces urfave/cli's own, which prints the whole help before the error.
func usageError(c *cli.Context, err error, _ bool) error {
	return usagef("%s: see %s --help", strings.TrimSuffix(err.Error(), "."), strings.TrimSpace(c.App.Name+" "+c.Command.Name))
}

// clean makes text of a node safe to print.
func clean(s string) string { return output.Sanitize(s) }
