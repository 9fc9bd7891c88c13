package runlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"troops/nodeside/wire"
)

// Journal tells of a node's runs when they begin, whoever asked for them. A run that waits for
// its turn, or that joined another, is not told of.
type Journal struct {
	runs    string
	w       *watch
	skip    map[string]bool
	waiting map[Dir]bool // runs that have not begun, whose directories are watched
	blind   bool         // one of them could not be watched
}

// OpenJournal watches the runs from now on.
func OpenJournal(runs string) *Journal {
	return &Journal{runs: runs, w: newWatch(runs), skip: make(map[string]bool), waiting: make(map[Dir]bool)}
}

// Close ends the watching.
func (j *Journal) Close() { j.w.stop() }

// Skip has runs not told of any more.
func (j *Journal) Skip(runs ...string) {
	for _, run := range runs {
		j.skip[run] = true
	}
}

// List tells of all runs that have begun, or ended without that, and are not skipped, as they
// are now, those that began first first.
func (j *Journal) List() ([]wire.Result, error) {
	all, err := List(j.runs)
	if err != nil {
		return nil, err
	}
	var begun []wire.Result
	waiting := make(map[Dir]bool)
	j.blind = false
	for dir, r := range all {
		if j.skip[r.Run] || r.State == wire.Joined {
			continue
		}
		if r, err = j.look(dir, r); errors.Is(err, fs.ErrNotExist) {
			continue // pruned meanwhile
		} else if err != nil {
			return nil, err
		}
		if r.State == wire.Queued {
			waiting[dir] = true
		} else {
			begun = append(begun, r)
		}
	}
	for dir := range j.waiting {
		if !waiting[dir] {
			j.w.remove(string(dir))
		}
	}
	j.waiting = waiting
	slices.SortFunc(begun, func(a, b wire.Result) int {
		return cmp.Or(began(a).Compare(began(b)), cmp.Compare(a.Run, b.Run))
	})
	return begun, nil
}

// look gives a run as it is now. The directory of one that waits is watched before that, so
// that its beginning is not missed.
func (j *Journal) look(dir Dir, r wire.Result) (wire.Result, error) {
	if r.State == wire.Queued && !j.waiting[dir] {
		if !j.w.add(string(dir)) {
			j.blind = true
		}
		var err error
		if r, err = dir.Record(); err != nil {
			return r, err
		}
	}
	if r.State.Final() {
		return r, nil
	}
	return Settle(dir, r)
}

// Wait waits until [Journal.List] may have something new to tell. It calls s.Idle meanwhile.
func (j *Journal) Wait(ctx context.Context, s Sink) error {
	for {
		k, err := j.w.wait(ctx)
		if err != nil {
			return fmt.Errorf("runlog: waiting for a run: %w", err)
		}
		if !k.tick {
			if k.record {
				return nil
			}
			continue
		}
		if err := s.Idle(); err != nil {
			return err
		}
		// No event tells that the process of a run that waits has ended.
		if j.w.poll || j.blind || len(j.waiting) > 0 {
			return nil
		}
	}
}

// began is when a run began, or where it did not, when it ended.
func began(r wire.Result) time.Time {
	for _, t := range []time.Time{r.Started, r.Ended} {
		if !t.IsZero() {
			return t
		}
	}
	return r.Queued
}

// Snapshot gives s the run's log from byte offset on as far as it is now, and returns the run
// as it was before that.
func Snapshot(dir Dir, offset int64, s Sink) (wire.Result, error) {
	r, err := state(dir, true)
	if err != nil {
		return r, err
	}
	tail, err := OpenTail(dir, offset)
	if err != nil {
		return r, err
	}
	defer tail.Close()
	return r, drain(tail, s)
}
