package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"troops/nodeside"
)

// newNode is the node role: what hooks, sudo and a workstation's ssh call on a node. People
// need only `troops node init`, and `log` and `history` to see what ran there.
func newNode(g *global) *cli.Command {
	var dir string
	layout := func() nodeside.Layout { return nodeside.LayoutAt(dir) }
	return &cli.Command{
		Name:   "node",
		Usage:  "what runs on a node",
		Hidden: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "the node's `DIR`, for a node without root", Destination: &dir},
		},
		Subcommands: []*cli.Command{
			newNodeInit(g, &dir),
			newNodeLog(g, layout),
			newNodeHistory(g, layout),
			{
				Name: "hook", Usage: "proc-receive: called by git", Hidden: true, ArgsUsage: "proc-receive",
				Action: func(c *cli.Context) error {
					if c.Args().Len() != 1 || c.Args().First() != "proc-receive" {
						return usagef("node hook takes one argument, proc-receive")
					}
					return nodeside.HookProcReceive(c.Context, layout(), g.in, g.out, g.err)
				},
			},
			{
				Name: "start", Usage: "queue the run that is requested on standard input", Hidden: true,
				Action: func(c *cli.Context) error {
					if c.Args().Present() {
						return usagef("node start takes no arguments")
					}
					return nodeside.Start(c.Context, layout(), g.in, g.out)
				},
			},
			{
				Name: "run", Usage: "do a queued run", Hidden: true, ArgsUsage: "RUN",
				Action: func(c *cli.Context) error {
					if c.Args().Len() != 1 {
						return usagef("node run takes one argument, the run")
					}
					// A run outlives whoever started it: it alone decides which signals end it.
					return nodeside.Run(context.WithoutCancel(c.Context), layout(), c.Args().First())
				},
			},
			newNodeStatus(g, layout),
			{
				Name: "check", Usage: "run the checks of what is deployed, and print the frames of the run's log", Hidden: true, ArgsUsage: "RUN [WHO]",
				Action: func(c *cli.Context) error {
					if c.Args().Len() < 1 || c.Args().Len() > 2 {
						return usagef("node check takes a run and who asks")
					}
					return nodeside.Check(c.Context, layout(), c.Args().First(), c.Args().Get(1), g.out)
				},
			},
			newNodePull(g, layout),
			{
				Name: "key", Usage: "print the public key with which the node pulls",
				Action: func(c *cli.Context) error {
					if c.Args().Present() {
						return usagef("node key takes no arguments")
					}
					return nodeside.WriteKey(layout(), g.out)
				},
			},
			{
				Name: "cancel", Usage: "end a run, and print its result as a frame", Hidden: true, ArgsUsage: "RUN [WHO]",
				Action: func(c *cli.Context) error {
					if c.Args().Len() < 1 || c.Args().Len() > 2 {
						return usagef("node cancel takes a run and who asks")
					}
					return nodeside.Cancel(c.Context, layout(), c.Args().First(), c.Args().Get(1), g.out)
				},
			},
			newNodeTail(g, layout),
			{
				Name: "attach", Usage: "print the frames of a run's log from a byte offset on", Hidden: true, ArgsUsage: "RUN OFFSET",
				Action: func(c *cli.Context) error {
					offset, err := strconv.ParseInt(c.Args().Get(1), 10, 64)
					if c.Args().Len() != 2 || err != nil || offset < 0 {
						return usagef("node attach takes a run and a byte offset")
					}
					return nodeside.Attach(c.Context, layout(), c.Args().First(), offset, g.in, g.out)
				},
			},
		},
	}
}

func newNodeInit(g *global, dir *string) *cli.Command {
	var own string // a Destination of its own: a flag that is not given would clear the other
	return &cli.Command{
		Name:  "init",
		Usage: "make this machine a node",
		Description: `As root: group troops, /var/lib/troops with the repository, its hooks and a key, one
sudoers line, a timer (or a line for cron) that pulls once there are remotes. Members of group
troops may push, which is as good as being root here.
With --dir D, without root: a node that deploys as its own user.
A second run changes nothing.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "dir", Usage: "make it in `DIR`, without root", Destination: &own},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("node init takes no arguments")
			}
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			abs := cmp.Or(own, *dir)
			if abs != "" {
				if abs, err = filepath.Abs(abs); err != nil {
					return err
				}
			}
			return nodeside.Init(c.Context, nodeside.InitOptions{Dir: abs, Binary: binary, Out: g.out})
		},
	}
}

// newNodePull is what the timer calls, and with arguments a workstation's troops pull.
func newNodePull(g *global, layout func() nodeside.Layout) *cli.Command {
	var now bool
	return &cli.Command{
		Name:      "pull",
		Usage:     "fetch from the repository's remotes and deploy what is new there",
		ArgsUsage: "[RUN HOST [WHO]]",
		Description: `The furthest commit of all remotes is deployed, if it descends from what is deployed here. A
timer calls this, see docs/pull.md. With a run's name, prints the frames of its log, for a workstation.

Exit codes: 0 there was nothing to do or it is deployed, 1 no remote could be fetched from, they
disagree with each other or with what is deployed, or the deployment failed.`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "now", Usage: "deploy a commit that has failed without waiting", DisableDefaultText: true, Destination: &now},
		},
		Action: func(c *cli.Context) error {
			var err error
			switch c.Args().Len() {
			case 0:
				err = nodeside.Pull(c.Context, layout(), nodeside.PullOptions{Now: now, Out: g.out})
			case 2, 3:
				err = nodeside.PullFrames(c.Context, layout(), c.Args().First(), c.Args().Get(1), c.Args().Get(2), g.out)
			default:
				return usagef("node pull takes nothing, or a run, the node's name and who asks")
			}
			if err != nil {
				printError(g.err, err)
				return &nodesError{exitNodes}
			}
			return nil
		},
	}
}
