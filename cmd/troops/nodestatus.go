package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"troops/nodeside"
	"troops/nodeside/wire"
	"troops/output"
)

// newNodeStatus is for people who are logged in on a node, and for workstations, which read the
// same without a terminal.
func newNodeStatus(g *global, layout func() nodeside.Layout) *cli.Command {
	var text bool
	return &cli.Command{
		Name:  "status",
		Usage: "show what is deployed here and what runs",
		Description: `For people on a terminal, or with --text. Else it prints what troops status on a workstation
reads: JSON, as docs/protocol.md has it.`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "text", Usage: "for people, whatever reads it", DisableDefaultText: true, Destination: &text}},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("node status takes no arguments")
			}
			if !text && !output.IsTerminal(g.out) {
				return nodeside.WriteStatus(c.Context, layout(), g.out)
			}
			s, err := nodeside.Status(c.Context, layout())
			if err != nil {
				return err
			}
			return printNodeStatus(g, s)
		},
	}
}

func printNodeStatus(g *global, s wire.NodeStatus) error {
	tw := tabwriter.NewWriter(g.out, 0, 8, 2, ' ', 0)
	deployed := "nothing yet"
	if s.Commit != "" {
		deployed = clip(s.Commit) + " on " + strings.TrimPrefix(s.Branch, "refs/heads/")
	}
	if !s.Since.IsZero() {
		deployed += ", since " + s.Since.Local().Format(time.DateTime)
		if s.By != "" {
			deployed += " by " + s.By
		}
	}
	fmt.Fprintf(tw, "deployed\t%s\n", clean(deployed))
	for _, r := range s.Active {
		fmt.Fprintf(tw, "goes on\t%s\n", clean(runLine(r)))
	}
	if s.Last != nil {
		fmt.Fprintf(tw, "last run\t%s\n", clean(runLine(*s.Last)))
	}
	if s.Check != nil {
		fmt.Fprintf(tw, "checks\t%s\n", clean(runLine(*s.Check)))
	}
	as := s.Troops
	if s.Host != "" {
		as += ", as " + s.Host
	}
	fmt.Fprintf(tw, "troops\t%s\n", clean(as))
	return tw.Flush()
}
