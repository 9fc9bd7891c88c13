package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"troops/nodeside/wire"
	"troops/sshx"
)

// TailOptions say which runs a tail shows. Those that go on are shown from their beginning in
// any case, and without NoFollow all that begin later.
type TailOptions struct {
	Runs     int           // of those that have ended, so many of each node, the newest; negative: all
	Since    time.Duration // and only those that ended no longer ago; 0: no bound
	Run      string        // only this run, to its end
	NoFollow bool          // what there is now, and no more
}

// TailResult is how the following of one node ended.
type TailResult struct {
	Target Target
	Run    *wire.Result // the last run that was shown, as it was then; nil where there was none
	Err    error        // why not all was shown that was to be
}

// RunBegan says that what follows of a node is of this run, which began when it says.
type RunBegan struct {
	Node string
	Run  wire.Result // so far; hostile text
}

// RunEnded says how the node's last run that began ended.
type RunEnded struct {
	Node    string
	Run     wire.Result // hostile text
	Outcome Outcome
}

func (RunBegan) event() {}
func (RunEnded) event() {}

// Errors that end the following of a node.
var (
	errListed   = errors.New("the node has said what it leaves out") // it is going to send the rest
	errAllShown = errors.New("all is shown")
	errNoRun    = errors.New("the node makes no sense: it speaks of no run")
	errNoTail   = errors.New("the node's runs cannot be followed")
)

// Tail follows the runs of all targets, whoever asked for them, all at once whatever Parallel is.
// A node that is lost is looked for until ctx ends; one that cannot be reached at first, too, but
// for what will not change by itself. With NoFollow or a Run, it is given up as a push does.
// The results are in the targets' order. An error means that nothing was contacted, or that ctx ended.
func (r *Rollout) Tail(ctx context.Context, o TailOptions) ([]TailResult, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	if _, err := (wire.TailRequest{Run: o.Run}).Args(); err != nil {
		return nil, err
	}
	results := make([]TailResult, len(r.Targets))
	var nodes sync.WaitGroup
	for i, target := range r.Targets {
		nodes.Go(func() {
			t := &tailing{n: &node{rollout: r, target: target}, o: o}
			err := t.run(ctx)
			results[i] = TailResult{Target: target, Run: t.shown, Err: err}
		})
	}
	nodes.Wait()
	return results, context.Cause(ctx)
}

// tailing follows the runs of one node over many connections.
type tailing struct {
	n     *node
	o     TailOptions
	f     *follower
	shown *wire.Result // the last run that was shown
	open  bool         // its end was not
	again bool         // this connection has gone on with it
	met   bool         // the node has begun to send: it can be followed
	seen  []string     // what the node is not to send again
}

// run follows the node until ctx ends, all is shown, or the node is given up.
func (t *tailing) run(ctx context.Context) error {
	t.f = t.n.follower("")
	t.f.other = t.frame
	var lost error
	for {
		a, err := t.find(ctx, lost)
		if err != nil {
			if ctx.Err() == nil {
				t.n.note("%s", oneLine(err))
			}
			return err
		}
		if lost != nil {
			t.n.note("found again")
		}
		lost = said(a, t.read(a))
		t.n.hangUp()
		switch {
		case errors.Is(lost, errAllShown):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		t.n.note("lost contact (%s): looking for the node", oneLine(lost))
	}
}

// bounded reports whether the tail ends by itself.
func (t *tailing) bounded() bool { return t.o.NoFollow || t.o.Run != "" }

// find connects to the node and has it send its runs. It is looked for where it was lost before.
func (t *tailing) find(ctx context.Context, lost error) (a *attachment, err error) {
	var deadline time.Time
	if lost == nil {
		var final bool
		if a, final, err = t.attempt(ctx, ctx); err == nil || final || t.bounded() || ctx.Err() != nil {
			return a, err
		}
		t.n.note("not there yet (%s): looking for the node", oneLine(err))
	} else if t.bounded() {
		deadline = time.Now().Add(t.n.rollout.Reconnect)
	}
	err = redial(ctx, deadline, func(dialling context.Context) (bool, error) {
		next, final, err := t.attempt(ctx, dialling)
		a = next
		return err == nil || final, err
	})
	if err == nil && lost == nil {
		t.n.note("found")
	}
	return a, err
}

// attempt connects once, while dialling lasts. An error that is final will not change by itself.
func (t *tailing) attempt(ctx, dialling context.Context) (a *attachment, final bool, err error) {
	if err := t.n.dial(ctx, dialling); err != nil {
		var key *sshx.HostKeyError
		var auth *sshx.AuthError
		var config *sshx.ConfigError
		// A node that comes up may refuse a key for a while: its users' homes are not there yet.
		return nil, errors.As(err, &key) || !t.met && (errors.As(err, &auth) || errors.As(err, &config)), err
	}
	command, err := t.command()
	if err == nil {
		a, err = t.f.followBy(ctx, t.n.conn, t.n.rollout.RepoPath, command)
	}
	if errors.Is(err, errNoAttach) && !t.met {
		err = t.n.lacks(ctx, "tail", err)
	}
	var lack *lackError
	var other *wire.VersionError
	switch {
	case errors.As(err, &lack):
		err = fmt.Errorf("%w: %w", errNoTail, err)
	case errors.As(err, &other):
		t.n.hangUp()
		return nil, true, fmt.Errorf("%w: %w", errNoTail, t.n.versioned(err))
	}
	if err == nil {
		if _, err = t.f.read(a); errors.Is(err, errListed) {
			t.met, t.again = true, false
			return a, false, nil
		}
		err = said(a, err)
	}
	t.n.hangUp()
	return nil, errors.Is(err, errNoTail) && !t.met, err
}

// said ends a stream that ended with err. What the node said of that is the better reason.
func said(a *attachment, err error) error {
	var exit *sshx.ExitError
	if ended := a.close(); errors.Is(err, errBroke) && errors.As(ended, &exit) {
		return fmt.Errorf("%w: %s", errNoTail, clip(strings.TrimSpace(a.stderr.String())))
	}
	return err
}

// command asks for what was not shown yet.
func (t *tailing) command() (string, error) {
	q := wire.TailRequest{Runs: t.o.Runs, Since: t.o.Since, Run: t.o.Run, Once: t.o.NoFollow, Resume: t.met && t.o.Run == "", Seen: t.seen}
	if t.open {
		q.At, q.Offset = t.shown.Run, t.f.offset
	}
	args, err := q.Args()
	return "tail " + strings.Join(args, " "), err
}

// read shows what the node sends until all is shown or the connection is lost.
func (t *tailing) read(a *attachment) error {
	for {
		res, err := t.f.read(a)
		if err != nil {
			return err
		}
		if !t.open || !t.again {
			return errNoRun
		}
		res.Run = t.shown.Run
		t.end(*res)
	}
}

// end shows that the open run ended.
func (t *tailing) end(res wire.Result) {
	t.shown, t.open = &res, false
	t.seen = append(t.seen, res.Run)
	if over := len(t.seen) - wire.MaxOmitted; over > 0 {
		t.seen = slices.Delete(t.seen, 0, over)
	}
	t.n.rollout.Sink.Emit(RunEnded{Node: t.n.target.Host, Run: res, Outcome: endOf(res)})
}

// abandon ends a run of which the node does not speak any more.
func (t *tailing) abandon() {
	if t.open && !t.again {
		res := *t.shown
		res.State, res.Error = wire.Absent, "the node has lost it"
		t.end(res)
	}
}

// frame takes what stands between the frames of the runs' logs.
func (t *tailing) frame(fr wire.Frame) error {
	switch fr.Kind {
	case wire.Omitted:
		runs, err := wire.ParseOmitted(fr.Payload)
		if err != nil {
			return err
		}
		if t.o.Run == "" {
			t.seen = runs
		}
		return errListed
	case wire.Began:
		run, err := wire.ParseBegan(fr.Payload)
		if err != nil {
			return err
		}
		t.begin(run)
	case wire.CaughtUp:
		t.abandon()
		if t.bounded() {
			return errAllShown
		}
	}
	return nil
}

// begin shows that a run begins, unless an earlier connection did.
func (t *tailing) begin(run wire.Result) {
	if t.open && !t.again && run.Run == t.shown.Run {
		t.again = true
		return
	}
	t.abandon()
	t.shown, t.open, t.again = &run, true, true
	t.f.offset = 0
	t.n.rollout.Sink.Emit(RunBegan{Node: t.n.target.Host, Run: run})
}
