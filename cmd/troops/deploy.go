package main

import (
	"github.com/urfave/cli/v2"

	"troops/nodeside/deployment"
)

// newDeploy is the deployment without nodes: the code of a repository is just code.
func newDeploy(g *global) *cli.Command {
	return &cli.Command{
		Name:      "deploy",
		Usage:     "run the deployment of a directory here, on this machine",
		ArgsUsage: "[DIR]",
		Description: `Builds the virtualenv of DIR/requirements.txt (kept in the user's cache directory) and runs
DIR/deploy.py in it as the current user. Nothing is contacted, no git is needed.

Exit codes: that of deploy.py; 2 where it was not started.`,
		Action: func(c *cli.Context) error {
			dir := c.Args().First()
			switch {
			case c.Args().Len() > 1:
				return usagef("deploy takes one directory: see troops deploy --help")
			case dir == "":
				dir = g.dir
			}
			return deployError(deployment.Local(g.stop.soft, dir, g.out, g.err))
		},
	}
}
