package runlog

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// CheckInterval is how often a follower looks whether the run's process lives, which
	// no event tells.
	CheckInterval = time.Second
	// pollInterval is how often it looks at the files where there are no events, since
	// the user's inotify instances are used up.
	pollInterval = 200 * time.Millisecond
)

// watch wakes a follower when files in a directory change.
type watch struct {
	events <-chan fsnotify.Event
	errors <-chan error
	tick   *time.Ticker
	poll   bool
	more   *fsnotify.Watcher // nil where there are no events
	close  func() error
}

// newWatch watches the files of a directory from now on: what happens before the next
// call of wait is not missed.
func newWatch(dir string) *watch {
	if w, err := fsnotify.NewWatcher(); err == nil {
		if w.Add(dir) == nil {
			return &watch{events: w.Events, errors: w.Errors, tick: time.NewTicker(CheckInterval), more: w, close: w.Close}
		}
		w.Close()
	}
	return &watch{tick: time.NewTicker(pollInterval), poll: true, close: func() error { return nil }}
}

// add watches another directory from now on, too, and reports whether it can.
func (w *watch) add(dir string) bool { return w.more != nil && w.more.Add(dir) == nil }

// remove ends the watching of a directory that was added.
func (w *watch) remove(dir string) {
	if w.more != nil {
		_ = w.more.Remove(dir) // it may be gone, and its watch with it
	}
}

// wake is why wait returned; several reasons may have come together.
type wake struct {
	record bool // a file other than the log may have changed
	tick   bool // time to look for life
}

// wait waits until something may have changed. Only ctx ends it with an error.
func (w *watch) wait(ctx context.Context) (k wake, err error) {
	select {
	case <-ctx.Done():
		return k, context.Cause(ctx)
	case e := <-w.events:
		k.event(e)
	case <-w.errors: // events were lost
		k.record = true
	case <-w.tick.C:
		return wake{record: true, tick: true}, nil
	}
	for { // what came meanwhile is one wake
		select {
		case e := <-w.events:
			k.event(e)
		case <-w.errors:
			k.record = true
		default:
			return k, nil
		}
	}
}

// batch is wait, but where only the log has grown it does not return before a time.
func (w *watch) batch(ctx context.Context, before time.Time) (k wake, err error) {
	if k, err = w.wait(ctx); err != nil || k.record || k.tick {
		return k, err
	}
	timer := time.NewTimer(time.Until(before))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return k, context.Cause(ctx)
		case e := <-w.events:
			if k.event(e); k.record {
				return k, nil
			}
		case <-timer.C:
			return k, nil
		}
	}
}

func (k *wake) event(e fsnotify.Event) {
	k.record = k.record || filepath.Base(e.Name) != logName
}

func (w *watch) stop() {
	w.tick.Stop()
	w.close()
}
