package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/google/renameio/v2"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"troops/output"
	"troops/push"
)

// views are the values of --output.
var views = []string{"auto", "lines", "fold", "ci", "json", "quiet"}

// viewOptions are the flags that say how a push is shown.
type viewOptions struct {
	output string
	logDir string
	report string // the file for it, empty for none
}

func (v *viewOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Usage: "`HOW` to show the push: auto, lines, fold (a line that several hosts print is shown once), ci (docs/ci.md), json (docs/json.md) or quiet (failures and summary)", Value: "auto", Destination: &v.output},
		&cli.StringFlag{Name: "log-dir", Usage: "keep the raw output of each host in a file in `DIR`, and an index of them", Destination: &v.logDir},
		&cli.StringFlag{Name: "report", Usage: "write to `FILE` what became of each host, as JUnit XML", Destination: &v.report},
	}
}

// check finds mistakes in the flags.
func (v *viewOptions) check(dryRun bool) error {
	switch {
	case !slices.Contains(views, v.output):
		return usagef("--output %q: one of %s", v.output, strings.Join(views, ", "))
	case dryRun && v.output == "json":
		return usagef("--output json tells what happens in a push, and in a --dry-run nothing does: give one of them")
	case dryRun && v.report != "":
		return usagef("--report is about what became of hosts, and in a --dry-run nothing does: give one of them")
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
	sink    push.Sink      // hears of everything, the screen included
	logs    *output.Logs   // nil where none are kept
	lines   *output.Lines  // the screen, where it has a status area; else nil
	keys    *keys          // nil but while the push goes on beside a status area
	record  *output.Record // nil where nobody reads it
	reports []func() error // what is to be written of it
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
	width := terminalWidth(g.out)
	o := output.Options{Color: color, Width: width, Hosts: hosts, Logs: shown.logs, Verbose: g.verbose}
	ci := output.CIFor(os.Getenv)
	switch v.output {
	case "auto":
		switch {
		case width == 0:
			o.CI = ci
		case len(hosts) > output.FoldAbove:
			o.Fold = true
		}
	case "ci":
		o.CI = max(ci, output.OtherCI)
	case "fold":
		o.Fold = true
	case "quiet":
		o.Quiet = true
	}
	if f, ok := g.out.(*os.File); ok && width > 0 && o.CI == output.NoCI && !o.Quiet && !slices.Contains([]string{"", "dumb"}, os.Getenv("TERM")) {
		o.Size = func() (int, int) { return terminalSize(f) }
	}
	if v.output == "json" {
		shown.screen = output.NewJSON(g.out, logOf)
	} else {
		lines := output.NewLines(g.out, o)
		if shown.screen = lines; o.Size != nil {
			shown.lines = lines
		}
	}
	if shown.toReport(v.report, ci); len(shown.reports) > 0 {
		shown.record = output.NewRecord()
		sinks = append(sinks, shown.record)
	}
	shown.sink = append(sinks, shown.screen)
	return shown
}

// toReport says what is to be written once the push has ended: file, where it has a name, and the
// summary of the job, where the CI system has a place for it.
func (v *view) toReport(file string, ci output.CI) {
	if file != "" {
		v.reports = append(v.reports, func() error {
			f, err := renameio.NewPendingFile(file, renameio.WithPermissions(0o666))
			if err == nil {
				defer f.Cleanup()
				if err = v.record.JUnit(f); err == nil {
					err = f.CloseAtomicallyReplace()
				}
			}
			return wrap(err, "writing the report %s", file)
		})
	}
	if page := os.Getenv("GITHUB_STEP_SUMMARY"); ci == output.GitHub && page != "" {
		v.reports = append(v.reports, func() error {
			f, err := os.OpenFile(page, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
			if err == nil {
				_, err = io.WriteString(f, v.record.Markdown())
				err = errors.Join(err, f.Close())
			}
			return wrap(err, "writing the summary of the job")
		})
	}
}

// wrap says what was being done, where it failed.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// watch begins to watch the keys, where there is a status area; end ends it.
func (v *view) watch() {
	if v.lines != nil {
		v.keys = watchKeys(v.lines.States, v.lines.Silence)
	}
}

// Silence is the screen's, and leaves the keys to whoever asks something.
func (v *view) Silence() (resume func()) {
	listen, show := v.keys.pause(), v.screen.Silence()
	return func() {
		show()
		listen()
	}
}

// end shows the summary of a push that was one, and closes all. An error says that something
// of the output is lost.
func (v *view) end(pushed bool) error {
	v.keys.release()
	var err error
	if v.logs != nil && pushed {
		err = v.logs.Close()
	}
	if pushed {
		v.Summary()
		for _, report := range v.reports {
			err = errors.Join(err, report())
		}
	}
	// Output that nobody reads any more (| head) is no failure of the deployment.
	if lost := v.Close(); !errors.Is(lost, syscall.EPIPE) {
		err = errors.Join(err, lost)
	}
	return err
}

// terminalSize is how many cells and rows a terminal has; none where it is not for this process to
// draw on.
func terminalSize(f *os.File) (width, height int) {
	if !foreground(int(f.Fd())) {
		return 0, 0
	}
	width, height, _ = term.GetSize(int(f.Fd())) // 0 where nobody knows
	return width, height
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
