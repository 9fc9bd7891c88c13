package runlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"troops/nodeside/wire"
)

// Sink takes what a follower finds. An error of a Sink ends following and is returned.
type Sink interface {
	// Frames takes whole frames of the log, in order. The bytes are its only during the call.
	Frames(b []byte) error
	// Idle is called again and again while there is nothing, about every [CheckInterval].
	Idle() error
}

// BatchInterval is how long what is written after a batch waits for more: a program that prints
// line by line costs the workstation a packet each otherwise. The first line after a silence
// goes at once.
const BatchInterval = 20 * time.Millisecond

// maxJoins bounds how often a run may name another one to follow.
const maxJoins = 8

// Follow waits for the run to exist, gives s its log from byte offset on while the run
// goes on, and returns its result when the log is at its end. A run that joined another
// is followed there, where the offset then counts; what the first one's log says of that comes
// as [wire.Aside] frames before. A run whose process ended without a
// word is [wire.Interrupted]. Following has no part in the run: it ends without harm to it.
func Follow(ctx context.Context, runs, id string, offset int64, s Sink) (wire.Result, error) {
	if err := appear(ctx, runs, id, s); err != nil {
		return wire.Result{}, err
	}
	return FollowExisting(ctx, runs, id, offset, s)
}

// FollowExisting is Follow of a run that exists already; one that does not is fs.ErrNotExist.
func FollowExisting(ctx context.Context, runs, id string, offset int64, s Sink) (wire.Result, error) {
	var first wire.Result
	for joins := 0; ; joins++ {
		dir := Dir(filepath.Join(runs, id))
		r, err := dir.Record()
		switch {
		case errors.Is(err, fs.ErrNotExist) && joins > 0:
			return first, nil // the other run has been pruned: all that is known
		case err != nil:
			return r, err
		case r.State != wire.Joined || joins == maxJoins:
			return follow(ctx, dir, offset, s)
		case offset == 0:
			if err := sayJoined(dir, s); err != nil {
				return r, err
			}
		}
		first, id = r, filepath.Base(r.Other)
	}
}

// sayJoined gives s the notes of a run that joined another.
func sayJoined(dir Dir, s Sink) error {
	tail, err := OpenTail(dir, 0)
	if err != nil {
		return err
	}
	defer tail.Close()
	b, err := tail.Next()
	if err != nil {
		return err
	}
	var asides []byte
	for frames := wire.NewReader(bytes.NewReader(b)); ; {
		f, err := frames.Next()
		if err != nil { // whole frames have an end and nothing else
			break
		}
		if f.Kind == wire.Note {
			asides = wire.AppendFrame(asides, wire.Aside, f.Payload)
		}
	}
	if len(asides) == 0 {
		return nil
	}
	return s.Frames(asides)
}

// appear waits until the run exists.
func appear(ctx context.Context, runs, id string, s Sink) error {
	w := newWatch(runs)
	defer w.stop()
	for {
		_, err := Dir(filepath.Join(runs, id)).Record()
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		k, err := w.wait(ctx)
		if err != nil {
			return fmt.Errorf("runlog: waiting for run %s: %w", id, err)
		}
		if k.tick {
			if err := s.Idle(); err != nil {
				return err
			}
		}
	}
}

func follow(ctx context.Context, dir Dir, offset int64, s Sink) (r wire.Result, err error) {
	w := newWatch(string(dir)) // before the first look, so that no change is missed
	defer w.stop()
	tail, err := OpenTail(dir, offset)
	if err != nil {
		return r, err
	}
	defer tail.Close()
	// look: the record is read only when it may have changed, and always before the log's
	// end is taken for its end.
	k := wake{record: true, tick: true}
	for {
		if k.record {
			if r, err = state(dir, k.tick); err != nil {
				return r, err
			}
		}
		if err := drain(tail, s); err != nil {
			return r, err
		}
		if r.State.Final() {
			if r.State == wire.Interrupted {
				r.LogBytes = tail.Offset()
			}
			return r, nil
		}
		if k, err = w.batch(ctx, time.Now().Add(BatchInterval)); err != nil {
			return r, fmt.Errorf("runlog: following run %s: %w", r.Run, err)
		}
		if k.tick {
			if err := s.Idle(); err != nil {
				return r, err
			}
		}
	}
}

// drain gives s all that the log has now. It does not run after a writer line by line: what
// comes after a look that did not fill the buffer wakes the follower again.
func drain(tail *Tail, s Sink) error {
	for {
		b, err := tail.Next()
		if err != nil || len(b) == 0 {
			return err
		}
		if err := s.Frames(b); err != nil || len(b) < tailBuffer/2 {
			return err
		}
	}
}

// state reads the record, and where it may matter, whether the run lives.
func state(dir Dir, checkLife bool) (wire.Result, error) {
	r, err := dir.Record()
	if err != nil || r.State.Final() || !checkLife {
		return r, err
	}
	return Settle(dir, r)
}

// Settle returns r, the record of a run that had not ended, as it is now: as it was where
// the run's process lives, final where it ended meanwhile, else [wire.Interrupted].
func Settle(dir Dir, r wire.Result) (wire.Result, error) {
	alive, err := Held(dir.Alive())
	if err != nil {
		return r, fmt.Errorf("runlog: looking for the process of run %s: %w", r.Run, err)
	}
	if alive {
		return r, nil
	}
	// It ended since the record was read: perhaps well.
	if r, err = dir.Record(); err != nil || r.State.Final() {
		return r, err
	}
	r.State = wire.Interrupted
	r.Error = "the run's process ended without a word (reboot, killed, or out of memory)"
	return r, nil
}

// WaitFinal waits until the record of the run says that it ended, or for ctx.
func (d Dir) WaitFinal(ctx context.Context) error {
	w := newWatch(string(d))
	defer w.stop()
	for {
		r, err := d.Record()
		if err != nil || r.State.Final() {
			return err
		}
		if _, err := w.wait(ctx); err != nil {
			return err
		}
	}
}
