package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/urfave/cli/v2"

	"troops/inventory"
	"troops/nodeside"
	"troops/nodeside/wire"
	"troops/output"
	"troops/push"
	"troops/sshx"
)

// tailRuns is how many runs of each host that have ended troops tail shows without being asked.
const tailRuns = 1

// tailOptions are the flags of troops tail: those of a push that choose and reach hosts, and
// which runs are wanted.
type tailOptions struct {
	pushOptions
	runs     int
	since    time.Duration
	run      string
	noFollow bool
}

func newTail(g *global) *cli.Command {
	var o tailOptions
	return &cli.Command{
		Name:      "tail",
		Usage:     "follow the runs of the hosts, whoever started them",
		ArgsUsage: " ",
		Description: `Shows the last run of each host, what runs now, from its beginning, and all that begins later: by
troops push, a plain git push, a pull, or by hand. A host that is lost is looked for as long as it takes,
and followed from where it was: no line is lost or shown twice.

Ctrl-C leaves at once; what runs goes on.

Exit codes: 130 interrupted; with --no-follow or --run: 0, or 1 if some host could not be asked, the run
failed, or no host has it; 1 if no host can be followed; 2 for a usage, repository or inventory error.`,
		Flags: append(o.selection.flags(),
			&cli.StringFlag{Name: "run", Usage: "only the run `ID`, to its end", Destination: &o.run},
			&cli.IntFlag{Name: "runs", Aliases: []string{"n"}, Usage: "show the last `N` runs of each host that have ended", DefaultText: "1, with --since all", Destination: &o.runs},
			&cli.DurationFlag{Name: "since", Usage: "show only runs that ended in the last `TIME`, such as 2h", DefaultText: "however old", Destination: &o.since},
			&cli.BoolFlag{Name: "no-follow", Usage: "show what there is now, and leave", DisableDefaultText: true, Destination: &o.noFollow},
			&cli.DurationFlag{Name: "reconnect", Usage: "with --no-follow or --run, look for a host that was lost for `TIME`", Value: push.DefaultReconnect, Destination: &o.reconnect},
			&cli.StringFlag{Name: "repo-path", Usage: "`PATH` of the repository on the hosts", DefaultText: "as troops push", Destination: &o.repoPath},
			transportFlag(&o.transport),
		),
		Action: func(c *cli.Context) error {
			if err := o.check(c); err != nil {
				return err
			}
			return runTail(c.Context, g, o)
		},
	}
}

// check finds mistakes in the flags, and fills in what was not given.
func (o *tailOptions) check(c *cli.Context) error {
	o.commit = "HEAD"
	switch {
	case c.Args().Present():
		return usagef("tail takes no arguments but options: see troops tail --help")
	case o.runs < 0:
		return usagef("-n %d: at least 0", o.runs)
	case c.IsSet("since") && o.since <= 0:
		return usagef("--since %v: more than 0", o.since)
	case o.reconnect <= 0:
		return usagef("--reconnect %v: more than 0", o.reconnect)
	case o.run != "" && (c.IsSet("runs") || c.IsSet("since")):
		return usagef("--run shows one run, -n and --since choose among all: give one of them")
	}
	if !c.IsSet("runs") {
		if o.runs = tailRuns; c.IsSet("since") {
			o.runs = -1
		}
	}
	if o.run == "" {
		return nil
	}
	run, err := ulid.ParseStrict(o.run)
	if err != nil {
		return usagef("%q is no run, such as 01ARZ3NDEKTSV4RRFFQ69G5FAV: troops status --json shows them", o.run)
	}
	o.run = run.String()
	return nil
}

func runTail(ctx context.Context, g *global, o tailOptions) error {
	color, err := output.ColorFor(g.color, g.out, os.Getenv)
	if err != nil {
		return err
	}
	repo, err := openRepository(ctx, g.dir)
	if err != nil {
		return err
	}
	r, warnings, err := o.rollout(ctx, repo)
	if err != nil {
		return err
	}
	options, err := repo.sshOptions(ctx, g, o.transport)
	if err != nil {
		return err
	}
	if err := allAtOnce(len(r.Targets), options); err != nil {
		return err
	}
	var hosts []string
	for _, t := range r.Targets {
		hosts = append(hosts, t.Host)
	}
	lines := output.NewLines(g.out, output.Options{Color: color, Verbose: g.verbose, Hosts: hosts})
	options.ReadOnly = true
	g.askBeside(lines, &options)
	client, err := sshx.New(options)
	if err != nil {
		return err
	}
	r.Dial = push.SSH(client)
	results, err := showTail(ctx, r, o, lines, warnings)
	// Output that nobody reads any more (| head) was all that was wanted.
	if err = errors.Join(err, client.Close()); errors.Is(err, syscall.EPIPE) {
		return nil
	}
	if err != nil {
		return err
	}
	return o.ended(g, results)
}

// showTail follows the hosts and prints their runs, until all is shown, ctx ends, or what is
// printed goes nowhere.
func showTail(ctx context.Context, r *push.Rollout, o tailOptions, lines *output.Lines, warnings []inventory.Problem) ([]push.TailResult, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.Sink = &readSink{lines, stop}
	for _, w := range warnings {
		lines.Printf("warning: %s", w)
	}
	if o.run == "" && !o.noFollow {
		lines.Printf("hosts: %d; following their runs until Ctrl-C", len(r.Targets))
	}
	results, err := r.Tail(ctx, push.TailOptions{Runs: o.runs, Since: o.since, Run: o.run, NoFollow: o.noFollow})
	if werr := lines.Close(); werr != nil {
		err = werr
	}
	return results, err
}

// readSink prints events, and has the following end when nobody reads them any more.
type readSink struct {
	lines *output.Lines
	stop  context.CancelCauseFunc
}

// Emit implements [push.Sink].
func (s *readSink) Emit(e push.Event) {
	s.lines.Emit(e)
	if err := s.lines.Err(); err != nil {
		s.stop(err)
	}
}

var _ push.Sink = (*readSink)(nil)

// ended makes the exit code of what could not be shown.
func (o *tailOptions) ended(g *global, results []push.TailResult) error {
	found, code := false, exitOK
	for _, res := range results {
		if res.Err != nil {
			code = exitNodes // and said
		}
		if res.Run != nil {
			found = true
			if o.run != "" && !well(res.Run.State) {
				code = exitNodes
			}
		}
	}
	if o.run != "" && !found {
		code = exitNodes
		fmt.Fprintf(g.err, "troops: run %s was not found on the hosts that were asked (--host, --role): hosts keep %d runs at most; troops tail --no-follow -n %d shows them\n", o.run, nodeside.KeepRuns, nodeside.KeepRuns)
	}
	if code != exitOK {
		return &nodesError{code}
	}
	return nil
}

// well reports whether a run that is in this state has not failed.
func well(s wire.State) bool { return !s.Final() || s == wire.OK || s == wire.Current }

// newNodeTail is what troops tail starts on a node.
func newNodeTail(g *global, layout func() nodeside.Layout) *cli.Command {
	var q wire.TailRequest
	return &cli.Command{
		Name: "tail", Usage: "print the frames of the runs, as they begin, for a workstation", Hidden: true,
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "runs", Usage: "of those that have ended, the last `N`; negative: all", Value: -1, Destination: &q.Runs},
			&cli.DurationFlag{Name: "since", Usage: "only those that ended in the last `TIME`", Destination: &q.Since},
			&cli.StringFlag{Name: "run", Usage: "only this `RUN`", Destination: &q.Run},
			&cli.BoolFlag{Name: "once", Usage: "what there is now, and no more", Destination: &q.Once},
			&cli.BoolFlag{Name: "resume", Usage: "go on after an earlier request, without --runs and --since", Destination: &q.Resume},
			&cli.StringFlag{Name: "at", Usage: "the run that was cut, and how far it had come: `RUN:OFFSET`"},
			&cli.StringFlag{Name: "seen", Usage: "`RUNS` that are not wanted, with commas"},
		},
		Action: func(c *cli.Context) error {
			var err error
			if c.IsSet("at") {
				err = q.SetAt(c.String("at"))
			}
			if c.IsSet("seen") {
				err = errors.Join(err, q.SetSeen(c.String("seen")))
			}
			if _, bad := q.Args(); bad != nil || err != nil || c.Args().Present() {
				return usagef("node tail: %s", strings.ReplaceAll(fmt.Sprint(errors.Join(err, bad)), "\n", "; "))
			}
			return nodeside.Tail(c.Context, layout(), q, g.out)
		},
	}
}
