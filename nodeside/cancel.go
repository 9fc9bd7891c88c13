package nodeside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// Cancel has run id end on behalf of who asks, waits until it has, and reports it as [Attach]
// does, without its output. It is the asker's process. A run that had ended already is reported
// as it is, one that is not here as [wire.Absent].
func Cancel(ctx context.Context, l Layout, id, by string, out io.Writer) error {
	if !validRun(id) {
		return fmt.Errorf("nodeside: %q is no run", id)
	}
	r, err := l.run(id).Record()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r = wire.Result{Run: id, State: wire.Absent}
	case err != nil:
		return err
	case r.State == wire.Joined:
		return fmt.Errorf("nodeside: run %s follows run %s: cancel that one", id, r.Other)
	case !r.State.Final():
		h := &hook{l: l, pushed: parseOptions([]string{wire.OptionBy + by})}
		if _, err := h.ask(ctx, Request{Run: id, By: h.pushed.by, Cancel: true}); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(out, wire.Preface); err != nil {
		return fmt.Errorf("nodeside: cancelling run %s: %w", id, err)
	}
	if r.State != wire.Absent {
		if r, err = runlog.Follow(ctx, l.Runs(), id, 0, mute{frameSink{out: out, now: time.Now, last: time.Now()}}); err != nil {
			return fmt.Errorf("nodeside: waiting for the end of run %s: %w", id, err)
		}
	}
	b, err := json.Marshal(r)
	if err == nil {
		_, err = out.Write(wire.AppendFrame(nil, wire.Done, b))
	}
	if err != nil {
		return fmt.Errorf("nodeside: reporting run %s: %w", id, err)
	}
	return nil
}

// mute passes heartbeats on alone.
type mute struct{ frameSink }

// Frames implements [runlog.Sink].
func (mute) Frames([]byte) error { return nil }

// Idle implements [runlog.Sink].
func (m mute) Idle() error { return m.frameSink.Idle() }

// cancel ends the run that q names, unless it has ended already. One that waits is recorded as
// cancelled here, and its process finds that out; one that works records it by itself, when the
// deployment has ended. The queue is locked.
func (l Layout) cancel(q Request) error {
	dir := l.run(q.Run)
	r, err := dir.Record()
	if err == nil {
		r, err = runlog.Settle(dir, r)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("nodeside: there is no run %s here", q.Run)
	case err != nil || r.State.Final():
		return err
	case r.State == wire.Queued:
		r.State, r.Error, r.Ended = wire.Cancelled, cancelledError{q.By}.Error(), time.Now()
		if r.LogBytes, err = logBytes(dir); err != nil {
			return err
		}
		return dir.SetRecord(r)
	}
	process, err := os.FindProcess(r.Pid)
	if err != nil {
		return fmt.Errorf("nodeside: cancelling run %s: %w", q.Run, err)
	}
	defer process.Release()
	// Now that its process is held (a pidfd), the number cannot become another's: if the run
	// still lives, this is it.
	if r, err = runlog.Settle(dir, r); err != nil || r.State.Final() {
		return err
	}
	if err := dir.SetCancelled(q.By); err != nil {
		return err
	}
	if err := process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("nodeside: cancelling run %s: %w", q.Run, err)
	}
	return nil
}

// cancelledError ends a run that somebody did not want any more.
type cancelledError struct{ by string }

func (e cancelledError) Error() string {
	if e.by == "" {
		return "cancelled"
	}
	return "cancelled by " + e.by
}

// ended is why a run ends that got a signal.
func (r *run) ended() error {
	if by, ok := r.dir.Cancelled(); ok {
		return cancelledError{by}
	}
	r.rec.Signal = syscall.SIGTERM.String()
	return errors.New("the run was told to end (SIGTERM)")
}
