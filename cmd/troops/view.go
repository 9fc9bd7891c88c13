package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"troops/output"
	"troops/push"
)

// views are the values of --output.
var views = []string{"auto", "lines", "json", "quiet"}

// viewOptions are the flags that say how a push is shown.
type viewOptions struct {
	output string
}

func (v *viewOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Usage: "`HOW` to show the push: auto, lines, json (docs/json.md) or quiet (failures and summary)", Value: "auto", Destination: &v.output},
	}
}

// check finds mistakes in the flags.
func (v *viewOptions) check(dryRun bool) error {
	if !slices.Contains(views, v.output) {
		return usagef("--output %q: one of %s", v.output, strings.Join(views, ", "))
	}
	if dryRun && v.output == "json" {
		return usagef("--output json tells what happens in a push, and in a --dry-run nothing does: give one of them")
	}
	return nil
}

// screen is where a push is shown: an *output.Lines or *output.JSON.
type screen interface {
	push.Sink
	printer
	Summary()
	Close() error
}

var _ = []screen{(*output.Lines)(nil), (*output.JSON)(nil)}

// screen makes what --output asks for.
func (v *viewOptions) screen(g *global, color output.Color) screen {
	if v.output == "json" {
		return output.NewJSON(g.out, nil)
	}
	return output.NewLines(g.out, output.Options{Color: color, Verbose: g.verbose, Quiet: v.output == "quiet"})
}
