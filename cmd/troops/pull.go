package main

import (
	"slices"

	"github.com/urfave/cli/v2"

	"troops/push"
)

func newPull(g *global) *cli.Command {
	o := pushOptions{pull: true}
	return &cli.Command{
		Name:  "pull",
		Usage: "make the hosts pull from their own remotes now",
		Description: `Each host fetches from the remotes of its repository, in parallel, and deploys the furthest commit
that descends from what it has, as its timer would; a commit that has failed there is tried again
without waiting. What happens is shown as for troops push. The hosts are those of deploy.py and
roles.toml at HEAD; what they deploy their remotes decide. See docs/pull.md.

Ctrl-C once: ask no more hosts, follow those that run. Twice: leave; what runs goes on.

` + exitStatusHelp,
		Flags: slices.Concat(o.selection.flags(), o.view.flags(), []cli.Flag{
			&cli.IntFlag{Name: "parallel", Usage: "ask at most `N` hosts at once", DefaultText: "as troops push", Destination: &o.parallel},
			&cli.DurationFlag{Name: "reconnect", Usage: "look for a host that was lost during its run for `TIME`", Value: push.DefaultReconnect, Destination: &o.reconnect},
			&cli.StringFlag{Name: "repo-path", Usage: "`PATH` of the repository on the hosts", DefaultText: "as troops push", Destination: &o.repoPath},
			transportFlag(&o.transport),
		}),
		Action: func(c *cli.Context) error {
			o.commit = "HEAD"
			switch {
			case c.Args().Present():
				return usagef("pull takes no arguments, only options: the remotes decide what is deployed")
			case o.reconnect <= 0:
				return usagef("--reconnect %v: more than 0", o.reconnect)
			case c.IsSet("parallel") && o.parallel < 1:
				return usagef("--parallel %d: at least 1", o.parallel)
			}
			if err := o.view.check(false); err != nil {
				return err
			}
			return runPush(c.Context, g, o)
		},
	}
}
