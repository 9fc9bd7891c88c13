package nodeside

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// ErrNoRun is wrapped by errors about a run that the node does not have (any more).
var ErrNoRun = errors.New("the node has no such run: troops node history lists them")

// History lists the runs that the node keeps, by when they were asked for, the last one first.
// A run whose process is gone without a word is [wire.Interrupted].
func History(l Layout) ([]wire.Result, error) {
	all, err := runlog.List(l.Runs())
	if err != nil {
		return nil, err
	}
	runs := make([]wire.Result, 0, len(all))
	for dir, r := range all {
		if !r.State.Final() {
			if r, err = runlog.Settle(dir, r); err != nil {
				return nil, err
			}
		}
		runs = append(runs, r)
	}
	slices.SortFunc(runs, newestFirst(time.Now()))
	return runs, nil
}

// newestFirst compares runs by the node's own record of when they were asked for.
func newestFirst(now time.Time) func(a, b wire.Result) int {
	return func(a, b wire.Result) int {
		return cmp.Or(believed(b.Queued, now).Compare(believed(a.Queued, now)), b.Queued.Compare(a.Queued), cmp.Compare(b.Run, a.Run))
	}
}

// ShowRun gives show the frames of run id's log, from its beginning to its end, as they come
// where it goes on, and returns how it ended. An empty id means the run that works, or the last
// one. Errors wrap [ErrNoRun] where there is none.
func ShowRun(ctx context.Context, l Layout, id string, show func(wire.Frame)) (wire.Result, error) {
	if id == "" {
		runs, err := History(l)
		if err != nil {
			return wire.Result{}, err
		}
		working := slices.IndexFunc(runs, func(r wire.Result) bool { return r.State == wire.Running })
		if len(runs) == 0 {
			return wire.Result{}, fmt.Errorf("nodeside: showing the last run: %w", ErrNoRun)
		}
		id = runs[max(0, working)].Run
	}
	if !validRun(id) {
		return wire.Result{}, fmt.Errorf("nodeside: %q is no run: %w", id, ErrNoRun)
	}
	if _, err := l.run(id).Record(); errors.Is(err, fs.ErrNotExist) {
		return wire.Result{}, fmt.Errorf("nodeside: showing run %s: %w", id, ErrNoRun)
	}
	return runlog.Follow(ctx, l.Runs(), id, 0, shower(show))
}

// shower is a [runlog.Sink] that takes frames apart.
type shower func(wire.Frame)

// Frames implements [runlog.Sink].
func (show shower) Frames(b []byte) error {
	frames := wire.NewReader(bytes.NewReader(b))
	for {
		f, err := frames.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		show(f)
	}
}

// Idle implements [runlog.Sink].
func (shower) Idle() error { return nil }

// Summary says in one line how a run ended, or how far it is, without its name and commit. It may
// hold text of the deployment: not safe for a terminal.
func Summary(r wire.Result) string {
	switch r.State {
	case wire.Running:
		return "running: " + cmp.Or(r.Phase, "begins")
	case wire.Queued:
		return "queued"
	case wire.Joined:
		return "the same as run " + r.Other
	}
	text := strings.TrimPrefix(summary(r), "run "+r.Run+" ")
	return strings.TrimPrefix(text, short(r.Commit)+" ")
}
