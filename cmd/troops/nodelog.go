package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"troops/nodeside"
	"troops/nodeside/wire"
	"troops/output"
	"troops/push"
)

// newNodeLog and newNodeHistory are for people who are logged in on a node.
func newNodeLog(g *global, layout func() nodeside.Layout) *cli.Command {
	return &cli.Command{
		Name:      "log",
		Usage:     "show a run: the one that works, or the last one",
		ArgsUsage: "[RUN]",
		Description: `A run that goes on is followed to its end; Ctrl-C leaves it, and it goes on.

Exit codes: 0 where the run ended well, else 1; 2 where there is no such run.`,
		Action: func(c *cli.Context) error {
			if c.Args().Len() > 1 {
				return usagef("node log takes one run")
			}
			return runNodeLog(c.Context, g, layout(), c.Args().First())
		},
	}
}

func runNodeLog(ctx context.Context, g *global, l nodeside.Layout, id string) error {
	color, err := output.ColorFor(g.color, g.out, os.Getenv)
	if err != nil {
		return err
	}
	name := "node"
	if host, err := os.Hostname(); err == nil {
		name = host
	}
	lines := output.NewLines(g.out, output.Options{Color: color, Hosts: []string{name}})
	r, err := nodeside.ShowRun(ctx, l, id, func(f wire.Frame) {
		switch f.Kind {
		case wire.Stdout:
			lines.Emit(push.Output{Node: name, Stream: push.Stdout, Data: f.Payload})
		case wire.Stderr:
			lines.Emit(push.Output{Node: name, Stream: push.Stderr, Data: f.Payload})
		case wire.Note, wire.Aside:
			lines.Emit(push.Output{Node: name, Stream: push.Note, Data: f.Payload})
		case wire.Phase:
			lines.Emit(push.Phase{Node: name, Phase: string(f.Payload), At: time.Now()})
		}
	})
	if err == nil {
		lines.Printf("%s", runLine(r))
	}
	if cerr := lines.Close(); err == nil {
		err = cerr
	}
	if err == nil && r.State != wire.OK && r.State != wire.Current {
		return &nodesError{exitNodes}
	}
	return err
}

// runLine says which run it was and how it ended.
func runLine(r wire.Result) string {
	text := fmt.Sprintf("run %s of %s", r.Run, clip(r.Commit))
	if r.By != "" {
		text += " by " + r.By
	}
	if !r.Ended.IsZero() {
		text += ", ended " + r.Ended.Local().Format(time.DateTime)
	}
	return text + ": " + nodeside.Summary(r)
}

func newNodeHistory(g *global, layout func() nodeside.Layout) *cli.Command {
	var asJSON bool
	var most int
	return &cli.Command{
		Name:  "history",
		Usage: "list the last runs, the newest one first",
		Description: fmt.Sprintf(`A node keeps the records and logs of the last %d runs, as long as they are not older than 180 days
(but the last 10) and their logs not longer than 1 GiB together. With --json: a line for each, as docs/protocol.md has them.`,
			nodeside.KeepRuns),
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "n", Usage: "at most `N`", Value: 20, Destination: &most},
			&cli.BoolFlag{Name: "json", Usage: "print JSON, a line for each run", DisableDefaultText: true, Destination: &asJSON},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() || most < 1 {
				return usagef("node history takes no arguments, and -n at least 1")
			}
			runs, err := nodeside.History(layout())
			if err != nil {
				return err
			}
			return printHistory(g, runs[:min(most, len(runs))], asJSON)
		},
	}
}

func printHistory(g *global, runs []wire.Result, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(g.out)
		for _, r := range runs {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	tw := tabwriter.NewWriter(g.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "RUN\tASKED FOR\tTOOK\tCOMMIT\tBY\tOUTCOME")
	for _, r := range runs {
		took := "-"
		if !r.Started.IsZero() && !r.Ended.IsZero() {
			took = r.Ended.Sub(r.Started).Round(100 * time.Millisecond).String()
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Run, r.Queued.Local().Format(time.DateTime), took,
			clip(r.Commit), clean(cmp.Or(r.By, "-")), clean(nodeside.Summary(r)))
	}
	return tw.Flush()
}

// clip is an object name as people read it.
func clip(oid string) string { return clean(oid[:min(len(oid), 10)]) }
