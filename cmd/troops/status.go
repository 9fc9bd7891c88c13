package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/muesli/termenv"
	"github.com/urfave/cli/v2"

	"troops/nodeside/wire"
	"troops/output"
	"troops/push"
)

// watchInterval is how long status --watch waits before it looks again.
const watchInterval = 5 * time.Second

// statusOptions are the flags of troops status: those of a push that choose and reach hosts.
type statusOptions struct {
	pushOptions
	json, watch bool
}

func newStatus(g *global) *cli.Command {
	var o statusOptions
	return &cli.Command{
		Name:      "status",
		Usage:     "show what the hosts have deployed and what runs there",
		ArgsUsage: "[COMMIT]",
		Description: `Asks each host, in parallel, and compares with COMMIT (HEAD). Hosts in the same state are shown
together, those that are not as they should be first. Changes nothing.

With --json: one object, {"commit": ..., "nodes": [...]}; see docs/json.md.

Exit codes: 0, 1 if some host could not be asked, 2 for a usage, repository or inventory error.`,
		Flags: append(o.selection.flags(),
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object", DisableDefaultText: true, Destination: &o.json},
			&cli.BoolFlag{Name: "watch", Usage: "look again every " + watchInterval.String() + " until interrupted", DisableDefaultText: true, Destination: &o.watch},
			&cli.IntFlag{Name: "parallel", Usage: "ask at most `N` hosts at once", DefaultText: "as troops push", Destination: &o.parallel},
			&cli.StringFlag{Name: "repo-path", Usage: "`PATH` of the repository on the hosts", DefaultText: "as troops push", Destination: &o.repoPath},
			&cli.StringFlag{Name: "branch", Usage: "the `NAME` of the branch on hosts without troops", DefaultText: "as troops push", Destination: &o.branch},
			transportFlag(&o.transport),
		),
		Action: func(c *cli.Context) error {
			o.commit = "HEAD"
			switch {
			case c.Args().Len() > 1:
				return usagef("status takes one commit, after all options: see troops status --help")
			case o.watch && o.json:
				return usagef("--watch is for people, --json for programs: give one of them")
			case c.IsSet("parallel") && o.parallel < 1:
				return usagef("--parallel %d: at least 1", o.parallel)
			}
			if c.Args().Present() {
				o.commit = c.Args().First()
			}
			return runStatus(c.Context, g, o)
		},
	}
}

func runStatus(ctx context.Context, g *global, o statusOptions) error {
	color, err := output.ColorFor(g.color, g.out, os.Getenv)
	if err != nil {
		return err
	}
	r, client, err := o.contact(ctx, g)
	if err != nil {
		return err
	}
	var states []push.NodeState
	for {
		if states, err = r.Status(ctx); err != nil {
			break
		}
		if o.watch {
			clearScreen(g.out)
		}
		if err = printStatus(g.out, r, states, color, o.json); err != nil || !o.watch || !pause(ctx, watchInterval) {
			break
		}
	}
	if err = errors.Join(err, client.Close()); err != nil {
		return err
	}
	for _, s := range states {
		if s.Err != nil {
			return &nodesError{exitNodes}
		}
	}
	return nil
}

// printStatus prints the states for people or for programs.
func printStatus(w io.Writer, r *push.Rollout, states []push.NodeState, color output.Color, asJSON bool) error {
	if asJSON {
		return printStatusJSON(w, r, states)
	}
	_, err := io.WriteString(w, output.Status(states, color, terminalWidth(w)))
	return err
}

// nodeJSON is one node of status --json.
type nodeJSON struct {
	Host     string           `json:"host"`
	Commit   string           `json:"commit,omitempty"`
	Relation string           `json:"relation,omitempty"` // equal, behind, ahead, diverged or unknown
	Missing  int              `json:"missing,omitempty"`  // commits that the node lacks
	Extra    int              `json:"extra,omitempty"`    // commits that only the node has
	Plain    bool             `json:"plain,omitempty"`
	Node     *wire.NodeStatus `json:"node,omitempty"`
	Error    string           `json:"error,omitempty"`
}

func printStatusJSON(w io.Writer, r *push.Rollout, states []push.NodeState) error {
	doc := struct {
		Commit string     `json:"commit"`
		Nodes  []nodeJSON `json:"nodes"`
	}{string(r.Commit), []nodeJSON{}}
	for _, s := range states {
		n := nodeJSON{Host: s.Target.Host, Commit: string(s.At), Plain: s.Plain, Node: s.Node}
		if s.At != "" && s.Err == nil {
			n.Relation, n.Missing, n.Extra = s.Relation.Kind.String(), s.Relation.Missing, s.Relation.Extra
		}
		if s.Err != nil {
			n.Error = s.Err.Error()
		}
		doc.Nodes = append(doc.Nodes, n)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}

// clearScreen empties a terminal; other writers get a blank line.
func clearScreen(w io.Writer) {
	if output.IsTerminal(w) {
		termenv.NewOutput(w).ClearScreen()
		return
	}
	_, _ = io.WriteString(w, "\n") // the next write tells of an error
}

// pause waits; false where ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
