package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/oklog/ulid/v2"
	"github.com/urfave/cli/v2"

	"troops/nodeside/wire"
)

func newCancel(g *global) *cli.Command {
	var o pushOptions
	return &cli.Command{
		Name:      "cancel",
		Usage:     "end a run on its host",
		ArgsUsage: "RUN",
		Description: `Asks the hosts of HEAD's roles, or those chosen, for the run, which one of them has. A run that waits
never begins; of one that works the deployment gets SIGTERM, with all processes of its group, and
SIGKILL 10 s later. The host's record says who cancelled it, whoever follows the run is told, and the
branch stays where it is. troops status --json shows the runs.

Exit codes: 0 if the run was cancelled, 1 if no host has it, it had ended before, or a host that may have
it could not be asked, 2 for a usage, repository or inventory error.`,
		Flags: append(o.selection.flags(),
			&cli.IntFlag{Name: "parallel", Usage: "ask at most `N` hosts at once", DefaultText: "as troops push", Destination: &o.parallel},
			&cli.StringFlag{Name: "repo-path", Usage: "`PATH` of the repository on the hosts", DefaultText: "as troops push", Destination: &o.repoPath},
			&cli.StringFlag{Name: "branch", Usage: "the `NAME` of the branch on hosts without troops", DefaultText: "as troops push", Destination: &o.branch},
			transportFlag(&o.transport),
		),
		Action: func(c *cli.Context) error {
			o.commit = "HEAD"
			switch {
			case c.Args().Len() != 1:
				return usagef("cancel takes one run, after all options: see troops cancel --help")
			case c.IsSet("parallel") && o.parallel < 1:
				return usagef("--parallel %d: at least 1", o.parallel)
			}
			run, err := ulid.ParseStrict(c.Args().First())
			if err != nil {
				return usagef("%q is no run, such as 01ARZ3NDEKTSV4RRFFQ69G5FAV: troops status --json shows them", c.Args().First())
			}
			return runCancel(c.Context, g, o, run.String())
		},
	}
}

func runCancel(ctx context.Context, g *global, o pushOptions, run string) error {
	r, client, err := o.contact(ctx, g)
	if err != nil {
		return err
	}
	results, err := r.Cancel(ctx, run)
	if err = errors.Join(err, client.Close()); err != nil {
		return err
	}
	cancelled, found := false, false
	for _, res := range results {
		switch {
		case res.Err != nil:
			fmt.Fprintf(g.err, "troops: %s: %s\n", res.Target.Host, clean(res.Err.Error()))
		case res.Result != nil:
			found = true
			cancelled = cancelled || res.Result.State == wire.Cancelled
			fmt.Fprintf(g.out, "troops: %s: %s\n", res.Target.Host, clean(cancelText(*res.Result)))
		}
	}
	if !found {
		fmt.Fprintf(g.err, "troops: run %s was not found on the hosts that were asked (--host, --role)\n", run)
	}
	if !cancelled {
		return &nodesError{exitNodes}
	}
	return nil
}

// cancelText says what became of a run that was to be cancelled.
func cancelText(r wire.Result) string {
	if r.State == wire.Cancelled {
		return fmt.Sprintf("run %s: %s", r.Run, r.Error)
	}
	return fmt.Sprintf("run %s had ended before: %s", r.Run, r.State)
}
