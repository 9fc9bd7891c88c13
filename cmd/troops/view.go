package main

import (
	"errors"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"troops/output"
	"troops/push"
)

// views are the values of --output.
var views = []string{"auto", "lines", "json", "quiet"}

// viewOptions are the flags that say how a push is shown.
type viewOptions struct {
	output string
	logDir string
}

func (v *viewOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Usage: "`HOW` to show the push: auto, lines, json (docs/json.md) or quiet (failures and summary)", Value: "auto", Destination: &v.output},
		&cli.StringFlag{Name: "log-dir", Usage: "keep the raw output of each host in a file in `DIR`, and an index of them", Destination: &v.logDir},
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

// view is a push as its user sees it.
type view struct {
	screen
	sink push.Sink    // hears of everything, the screen included
	logs *output.Logs // nil where none are kept
}

// open makes what the flags ask for.
func (v *viewOptions) open(g *global, color output.Color) *view {
	shown := &view{}
	var sinks output.Tee
	logOf := func(string) string { return "" }
	if v.logDir != "" {
		shown.logs = output.NewLogs(v.logDir, func(format string, args ...any) { shown.Printf(format, args...) })
		sinks, logOf = append(sinks, shown.logs), shown.logs.File
	}
	if v.output == "json" {
		shown.screen = output.NewJSON(g.out, logOf)
	} else {
		shown.screen = output.NewLines(g.out, output.Options{Color: color, Verbose: g.verbose, Quiet: v.output == "quiet", Logs: shown.logs})
	}
	shown.sink = append(sinks, shown.screen)
	return shown
}

// end shows the summary of a push that was one, and closes all. An error says that something
// of the output is lost.
func (v *view) end(pushed bool) error {
	var err error
	if v.logs != nil && pushed {
		err = v.logs.Close()
	}
	if pushed {
		v.Summary()
	}
	// Output that nobody reads any more (| head) is no failure of the deployment.
	if lost := v.Close(); !errors.Is(lost, syscall.EPIPE) {
		err = errors.Join(err, lost)
	}
	return err
}
