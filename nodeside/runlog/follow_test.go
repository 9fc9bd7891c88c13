package runlog

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/goleak"

	"troops/nodeside/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a Sink that keeps all, and hands on every batch.
type recorder struct {
	got   []byte
	batch chan string // may be nil
	idle  chan struct{}
	fail  error
}

func (r *recorder) Frames(b []byte) error {
	r.got = append(r.got, b...)
	if r.batch != nil {
		r.batch <- string(b)
	}
	return r.fail
}

func (r *recorder) Idle() error {
	select {
	case r.idle <- struct{}{}:
	default:
	}
	return nil
}

const patience = 30 * time.Second

func receive[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
	}
	return v
}

type ending struct {
	r   wire.Result
	err error
}

func follower(ctx context.Context, runs, id string, s Sink) <-chan ending {
	c := make(chan ending, 1)
	go func() {
		r, err := Follow(ctx, runs, id, 0, s)
		c <- ending{r, err}
	}()
	return c
}

// Following begins before the run exists, and shows every frame when it is written.
func TestFollowLive(t *testing.T) {
	runs := t.TempDir()
	s := &recorder{batch: make(chan string), idle: make(chan struct{}, 1)}
	end := follower(t.Context(), runs, runA, s)
	receive(t, s.idle, "idling without a run")
	dir, _ := newRun(t, runs, runA, wire.Queued, "first")
	if got := receive(t, s.batch, "the first note"); got != "000atfirst" {
		t.Errorf("%q", got)
	}
	w, err := OpenWriter(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"a", "b", "c"} {
		w.Stream(wire.Stdout).Write([]byte(line))
		if got := receive(t, s.batch, line); got != "0006o"+line {
			t.Errorf("%q", got)
		}
	}
	receive(t, s.idle, "idling")
	w.Note("last")
	receive(t, s.batch, "the last note")
	size, _ := w.Close()
	want := wire.Result{Run: runA, State: wire.OK, LogBytes: size}
	if err := dir.SetRecord(want); err != nil {
		t.Fatal(err)
	}
	if e := receive(t, end, "the end"); e.err != nil || e.r.State != wire.OK || e.r.LogBytes != size {
		t.Errorf("%+v", e)
	}
	if log, _ := os.ReadFile(dir.Log()); !bytes.Equal(log, s.got) {
		t.Errorf("%q, want %q", s.got, log)
	}
}

// What a program prints line by line goes in batches: all that is there already in as few as fit
// the buffer, and what comes then together with what follows it closely.
func TestFollowBatches(t *testing.T) {
	runs := t.TempDir()
	dir, _ := newRun(t, runs, runA, wire.Queued)
	w, err := OpenWriter(dir)
	if err != nil {
		t.Fatal(err)
	}
	const frames = 2000
	print := func() {
		for range frames {
			w.Stream(wire.Stdout).Write([]byte("a line\n"))
		}
	}
	print()
	s := &recorder{batch: make(chan string)}
	end := follower(t.Context(), runs, runA, s)
	if got := receive(t, s.batch, "what is there"); len(got) != frames*len("000co a line") {
		t.Errorf("%d bytes at first", len(got))
	}
	batches, got, begin := 0, 0, time.Now()
	go func() {
		print()
		size, _ := w.Close()
		dir.SetRecord(wire.Result{Run: runA, State: wire.OK, LogBytes: size})
	}()
	for got < frames*len("000co a line") {
		got += len(receive(t, s.batch, "more"))
		batches++
	}
	took := time.Since(begin) // a slow machine may have more batches, of fewer lines
	if most := 3 + int(took/BatchInterval) + int(took/CheckInterval); batches > most {
		t.Errorf("%d lines came in %d batches within %v, want at most %d", frames, batches, took, most)
	}
	if e := receive(t, end, "the end"); e.err != nil || e.r.State != wire.OK {
		t.Errorf("%+v", e)
	}
}

// A run that ended is settled at once: what its process left is all there is.
func TestFollowInterrupted(t *testing.T) {
	runs := t.TempDir()
	dir, alive := newRun(t, runs, runA, wire.Running, "half")
	log, err := os.OpenFile(dir.Log(), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	log.WriteString("0010otorn")
	log.Close()
	s := &recorder{idle: make(chan struct{}, 1)}
	end := follower(t.Context(), runs, runA, s)
	receive(t, s.idle, "idling while it lives")
	alive.Close()
	e := receive(t, end, "the end")
	if e.err != nil || e.r.State != wire.Interrupted || e.r.LogBytes != 9 || string(s.got) != "0009thalf" {
		t.Errorf("%+v, %q", e, s.got)
	}
}

func TestFollowJoined(t *testing.T) {
	runs := t.TempDir()
	newRun(t, runs, runB, wire.OK, "other")
	dir, _ := newRun(t, runs, runA, wire.Queued, "own")
	if err := dir.SetRecord(wire.Result{Run: runA, State: wire.Joined, Other: runB}); err != nil {
		t.Fatal(err)
	}
	var s recorder
	if r, err := Follow(t.Context(), runs, runA, 0, &s); err != nil || r.Run != runB || string(s.got) != "0008aown000atother" {
		t.Errorf("%+v, %v, %q", r, err, s.got)
	}
	var again recorder // from an offset on it has been said already
	if _, err := Follow(t.Context(), runs, runA, 10, &again); err != nil || len(again.got) > 0 {
		t.Errorf("again: %v, %q", err, again.got)
	}
	// The other one is no longer kept: the run's own record is what is known.
	if err := os.RemoveAll(filepath.Join(runs, runB)); err != nil {
		t.Fatal(err)
	}
	if r, err := Follow(t.Context(), runs, runA, 0, &s); err != nil || r.Run != runA || r.State != wire.Joined {
		t.Errorf("%+v, %v", r, err)
	}
	// A record that names itself does not hold a follower for ever.
	if err := dir.SetRecord(wire.Result{Run: runA, State: wire.Joined, Other: runA}); err != nil {
		t.Fatal(err)
	}
	if r, err := Follow(t.Context(), runs, runA, 0, &s); err != nil || r.State != wire.Joined {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestFollowEnds(t *testing.T) {
	runs := t.TempDir()
	newRun(t, runs, runA, wire.Running, "x")
	gone := errors.New("gone")
	if _, err := Follow(t.Context(), runs, runA, 0, &recorder{fail: gone}); !errors.Is(err, gone) {
		t.Errorf("a sink's error: %v", err)
	}
	if _, err := Follow(t.Context(), runs, runA, 3, &recorder{}); !errors.Is(err, ErrOffset) {
		t.Errorf("a bad offset: %v", err)
	}
	for _, id := range []string{runA, runB} { // one works, one does not exist
		ctx, cancel := context.WithCancelCause(t.Context())
		s := &recorder{idle: make(chan struct{}, 1)}
		end := follower(ctx, runs, id, s)
		receive(t, s.idle, "idling")
		cancel(gone)
		if e := receive(t, end, "the end"); !errors.Is(e.err, gone) {
			t.Errorf("%s: %v", id, e.err)
		}
	}
}

func TestWaitFinal(t *testing.T) {
	dir, _ := newRun(t, t.TempDir(), runA, wire.Queued)
	end := make(chan error, 1)
	go func() { end <- dir.WaitFinal(t.Context()) }()
	if err := dir.SetRecord(wire.Result{Run: runA, State: wire.Superseded}); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, end, "the end"); err != nil {
		t.Error(err)
	}
	if err := Dir(string(dir) + "x").WaitFinal(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no run: %v", err)
	}
}

// Without events a follower looks by itself.
func TestPolling(t *testing.T) {
	w := newWatch(filepath.Join(t.TempDir(), "missing"))
	defer w.stop()
	if !w.poll {
		t.Fatal("watches a directory that is not there")
	}
	k, err := w.wait(t.Context())
	if err != nil || !k.record || !k.tick {
		t.Errorf("%+v, %v", k, err)
	}
}

// Of any bytes a Tail gives whole frames or an error, and what it gives is the log.
func FuzzTail(f *testing.F) {
	f.Add([]byte("0006oa0005h0007ebc00"), int64(6))
	f.Add([]byte("0000"), int64(0))
	f.Add([]byte("0006oa0004"), int64(0))
	dir := Dir(f.TempDir())
	f.Fuzz(func(t *testing.T, log []byte, offset int64) {
		if err := os.WriteFile(dir.Log(), log, 0o600); err != nil {
			t.Fatal(err)
		}
		tail, err := OpenTail(dir, offset)
		if err != nil {
			return
		}
		defer tail.Close()
		var got []byte
		for {
			b, err := tail.Next()
			if err != nil && !errors.Is(err, wire.ErrFrame) {
				t.Fatal(err)
			}
			if len(b) == 0 {
				break
			}
			got = append(got, b...)
		}
		if int64(len(got)) != tail.Offset()-offset || !bytes.HasPrefix(log[offset:], got) {
			t.Errorf("%d bytes from %d to %d", len(got), offset, tail.Offset())
		}
		text(t, got)
	})
}

// While its time has not come, a batch is not ended by more of the log, only by another file.
func TestBatchWaits(t *testing.T) {
	events := make(chan fsnotify.Event) // without a buffer: what was sent was taken
	w := &watch{events: events, tick: time.NewTicker(time.Hour)}
	defer w.tick.Stop()
	got := make(chan wake, 1)
	go func() {
		k, err := w.batch(t.Context(), time.Now().Add(time.Hour))
		if err != nil {
			t.Error(err)
		}
		got <- k
	}()
	for range 100 {
		select {
		case events <- fsnotify.Event{Name: logName}:
		case k := <-got:
			t.Fatalf("ended by the log alone: %+v", k)
		}
	}
	events <- fsnotify.Event{Name: "record.json"}
	if k := receive(t, got, "the record"); !k.record || k.tick {
		t.Errorf("%+v", k)
	}
}
