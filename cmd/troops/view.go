package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"troops/output"
	"troops/push"
)

// views are the values of --output.
var views = []string{"auto", "lines", "fold", "json", "quiet"}

// viewOptions are the flags that say how a push is shown.
type viewOptions struct {
	output string
	logDir string
}

func (v *viewOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Usage: "`HOW` to show the push: auto, lines, fold (a line that several hosts print is shown once), json (docs/json.md) or quiet (failures and summary)", Value: "auto", Destination: &v.output},
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

// open makes what the flags ask for, to show a push to these hosts.
func (v *viewOptions) open(g *global, color output.Color, hosts []string) *view {
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
		width := terminalWidth(g.out)
		shown.screen = output.NewLines(g.out, output.Options{
			Color: color, Width: width, Hosts: hosts, Logs: shown.logs,
			Verbose: g.verbose, Quiet: v.output == "quiet",
			Fold: v.output == "fold" || v.output == "auto" && width > 0 && len(hosts) > output.FoldAbove,
		})
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

// terminalWidth is how many cells a line of the terminal w has, 0 where it is none.
func terminalWidth(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			return width
		}
	}
	return 0
}
