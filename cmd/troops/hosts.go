package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"troops/inventory"
)

func newHosts(g *global) *cli.Command {
	var sel selectOptions
	var asJSON bool
	return &cli.Command{
		Name:      "hosts",
		Usage:     "list the hosts of a commit, their roles and where each is defined",
		ArgsUsage: "[COMMIT]",
		Description: `Reads deploy.py and roles.toml at COMMIT (HEAD) without running anything. Contacts nothing.

With --json: {"hosts": [{"name": ..., "roles": [...], "sources": ["deploy.py:12"]}], "warnings": [...]}

Exit codes: 0, or 2 for a usage, repository or inventory error.`,
		Flags: append(sel.flags(),
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object", DisableDefaultText: true, Destination: &asJSON},
		),
		Action: func(c *cli.Context) error {
			rev := "HEAD"
			if c.Args().Len() > 1 {
				return usagef("hosts takes one commit, after all options: see troops hosts --help")
			} else if c.Args().Present() {
				rev = c.Args().First()
			}
			return runHosts(c.Context, g, sel, rev, asJSON)
		},
	}
}

func runHosts(ctx context.Context, g *global, sel selectOptions, rev string, asJSON bool) error {
	repo, err := openRepository(ctx, g.dir)
	if err != nil {
		return err
	}
	commit, err := repo.commit(ctx, rev)
	if err != nil {
		return err
	}
	entries, warnings, err := sel.hosts(ctx, repo, commit.oid)
	if err != nil {
		return err
	}
	if asJSON {
		return printHostsJSON(g, entries, warnings)
	}
	g.warn(warnings)
	tw := tabwriter.NewWriter(g.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "HOST\tROLES\tDEFINED IN")
	for _, e := range entries {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", e.Host, strings.Join(e.Roles, ","), clean(strings.Join(e.Sources, " ")))
	}
	return tw.Flush()
}

// printHostsJSON prints the inventory as the one JSON object that the help describes. Lists are never null.
func printHostsJSON(g *global, entries []inventory.Entry, warnings []inventory.Problem) error {
	type host struct {
		Name    string   `json:"name"`
		Roles   []string `json:"roles"`
		Sources []string `json:"sources"`
	}
	doc := struct {
		Hosts    []host   `json:"hosts"`
		Warnings []string `json:"warnings"`
	}{[]host{}, []string{}}
	for _, e := range entries {
		doc.Hosts = append(doc.Hosts, host{e.Host.String(), append([]string{}, e.Roles...), append([]string{}, e.Sources...)})
	}
	for _, w := range warnings {
		doc.Warnings = append(doc.Warnings, w.String())
	}
	enc := json.NewEncoder(g.out)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}
