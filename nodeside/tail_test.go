package nodeside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// tailed is what a workstation gets of Tail: a word for each frame, heartbeats left out.
type tailed struct {
	*testing.T
	frames chan string
	end    chan error
}

func startTail(t *testing.T, l Layout, q wire.TailRequest) *tailed {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	d := &tailed{t, make(chan string, 1000), make(chan error, 1)}
	r, w := io.Pipe()
	go func() {
		err := Tail(ctx, l, q, w)
		w.Close()
		d.end <- err
	}()
	read := make(chan struct{})
	t.Cleanup(func() { cancel(); r.Close(); <-read })
	go func() {
		defer close(read)
		defer close(d.frames)
		frames := wire.NewReader(r)
		if _, err := frames.SkipPreface(); err != nil {
			return
		}
		for {
			f, err := frames.Next()
			if err != nil {
				return
			}
			word := string(f.Kind)
			switch f.Kind {
			case wire.Heartbeat:
				continue
			case wire.Began, wire.Done:
				r, _ := wire.ParseResult(f.Payload)
				word += fmt.Sprintf(" %s %s", r.Run, r.State)
			case wire.CaughtUp:
			default:
				word += " " + string(f.Payload)
			}
			d.frames <- word
		}
	}()
	return d
}

// next wants these frames to come next.
func (d *tailed) next(want ...string) {
	d.Helper()
	for _, w := range want {
		select {
		case got := <-d.frames:
			if got != w {
				d.Fatalf("got %q, want %q", got, w)
			}
		case <-time.After(patience):
			d.Fatalf("waited %v for %q", patience, w)
		}
	}
}

// over wants the stream to be at its end.
func (d *tailed) over() {
	d.Helper()
	if rest, open := <-d.frames; open {
		d.Fatalf("got %q after the end", rest)
	}
	if err := <-d.end; err != nil {
		d.Fatal(err)
	}
}

// runID is the name of the nth run; their order is not that of the runs.
func runID(n int) string { return fmt.Sprintf("01ARZ3NDEKTSV4RRFFQ69G5F%02d", 50-n) }

// at is when the nth run began.
func at(n int) time.Time { return time.Unix(int64(1000*n), 0).UTC() }

// makeRun records the nth run, with its number in its log.
func makeRun(t *testing.T, l Layout, n int, state wire.State) (runlog.Dir, *os.File) {
	t.Helper()
	r := wire.Result{Run: runID(n), Commit: "c", State: state, Queued: at(0)}
	if state != wire.Queued {
		r.Started = at(n)
	}
	if state.Final() && state != wire.Interrupted {
		r.Ended = at(n).Add(time.Second)
	}
	dir, alive, err := runlog.Create(l.Runs(), r, fmt.Sprint("log ", n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { alive.Close() })
	return dir, alive
}

func newRuns(t *testing.T, states ...wire.State) Layout {
	t.Helper()
	l := LayoutAt(t.TempDir())
	if err := os.Mkdir(l.Runs(), 0o700); err != nil {
		t.Fatal(err)
	}
	for i, s := range states {
		makeRun(t, l, i+1, s)
	}
	return l
}

func set(t *testing.T, dir runlog.Dir, change func(*wire.Result)) {
	t.Helper()
	r, err := dir.Record()
	if err != nil {
		t.Fatal(err)
	}
	change(&r)
	if err := dir.SetRecord(r); err != nil {
		t.Fatal(err)
	}
}

func list(runs ...int) string {
	ids := []string{}
	for _, n := range runs {
		ids = append(ids, `"`+runID(n)+`"`)
	}
	return "l [" + strings.Join(ids, ",") + "]"
}

func frames(n int, state wire.State) []string {
	return []string{fmt.Sprintf("n %s %s", runID(n), state), fmt.Sprint("t log ", n), fmt.Sprintf("r %s %s", runID(n), state)}
}

// TestTailHistory asks for parts of what there is.
func TestTailHistory(t *testing.T) {
	l := newRuns(t, wire.OK, wire.Failed, wire.Joined, wire.OK, wire.Queued, wire.Running)
	running := []string{"n " + runID(6) + " running", "t log 6"}
	hour := time.Since(at(3))
	for name, tt := range map[string]struct {
		q    wire.TailRequest
		want [][]string
	}{
		"all":      {wire.TailRequest{Runs: -1}, [][]string{{list()}, frames(1, wire.OK), frames(2, wire.Failed), frames(4, wire.OK), running}},
		"two":      {wire.TailRequest{Runs: 2}, [][]string{{list(1)}, frames(2, wire.Failed), frames(4, wire.OK), running}},
		"none":     {wire.TailRequest{}, [][]string{{list(1, 2, 4)}, running}},
		"since":    {wire.TailRequest{Runs: -1, Since: hour}, [][]string{{list(1, 2)}, frames(4, wire.OK), running}},
		"both":     {wire.TailRequest{Runs: 1, Since: 2 * hour}, [][]string{{list(1, 2)}, frames(4, wire.OK), running}},
		"again":    {wire.TailRequest{Resume: true, Seen: []string{runID(4), runID(1), runID(9)}}, [][]string{{list(1, 4)}, frames(2, wire.Failed), running}},
		"cut":      {wire.TailRequest{Resume: true, At: runID(2), Offset: 10, Seen: []string{runID(4)}}, [][]string{{list(4)}, {frames(2, wire.Failed)[0], frames(2, wire.Failed)[2]}, frames(1, wire.OK), running}},
		"one":      {wire.TailRequest{Run: runID(1)}, [][]string{{list()}, frames(1, wire.OK)}},
		"one runs": {wire.TailRequest{Run: runID(6)}, [][]string{{list()}, running}},
		"no such":  {wire.TailRequest{Run: runID(9)}, [][]string{{list()}}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.q.Once = true
			d := startTail(t, l, tt.q)
			d.next(slices.Concat(tt.want...)...)
			d.next("c")
			d.over()
		})
	}
}

// TestTailFollows sees runs begin: a new one, one that waited, one that never came to its turn.
func TestTailFollows(t *testing.T) {
	l := newRuns(t)
	waits, _ := makeRun(t, l, 1, wire.Queued)
	d := startTail(t, l, wire.TailRequest{})
	d.next(list(), "c")
	later, alive := makeRun(t, l, 2, wire.Running)
	d.next("n "+runID(2)+" running", "t log 2")
	w, err := runlog.OpenWriter(later)
	if err != nil {
		t.Fatal(err)
	}
	w.Stream(wire.Stdout).Write([]byte("more"))
	d.next("o more")
	gives, _ := makeRun(t, l, 3, wire.Queued)
	set(t, gives, func(r *wire.Result) { r.State, r.Ended = wire.Superseded, at(3) })
	makeRun(t, l, 4, wire.Joined)
	set(t, later, func(r *wire.Result) { r.State = wire.OK })
	alive.Close()
	d.next("r " + runID(2) + " ok")
	d.next(frames(3, wire.Superseded)...)
	d.next("c")
	set(t, waits, func(r *wire.Result) { r.State, r.Started = wire.Running, at(5) })
	d.next("n "+runID(1)+" running", "t log 1")
	set(t, waits, func(r *wire.Result) { r.State = wire.Failed })
	d.next("r "+runID(1)+" failed", "c")
}

// TestTailInterrupted follows runs whose process ends without a word, while it waits and while it works.
func TestTailInterrupted(t *testing.T) {
	l := newRuns(t)
	_, waits := makeRun(t, l, 1, wire.Queued)
	_, works := makeRun(t, l, 2, wire.Running)
	d := startTail(t, l, wire.TailRequest{})
	d.next(list(), "n "+runID(2)+" running", "t log 2")
	works.Close()
	d.next("r "+runID(2)+" interrupted", "c")
	waits.Close()
	d.next(frames(1, wire.Interrupted)...)
}

// TestTailLostLog goes on after a power failure that took the end of a log, which had been sent.
func TestTailLostLog(t *testing.T) {
	l := newRuns(t)
	_, alive := makeRun(t, l, 1, wire.Running)
	alive.Close()
	makeRun(t, l, 2, wire.OK)
	q := wire.TailRequest{Resume: true, At: runID(1), Offset: 4000}
	d := startTail(t, l, q)
	d.next(list(), "n "+runID(1)+" interrupted", "r "+runID(1)+" interrupted")
	d.next(frames(2, wire.OK)...)

	// Of one that lives this makes no sense.
	_, _ = makeRun(t, l, 3, wire.Running)
	q.At = runID(3)
	d = startTail(t, l, q)
	if err := <-d.end; !errors.Is(err, runlog.ErrOffset) {
		t.Errorf("ended with %v", err)
	}
}

// TestTailPruned follows a run that is removed meanwhile.
func TestTailPruned(t *testing.T) {
	l := newRuns(t)
	dir, _ := makeRun(t, l, 1, wire.Running)
	d := startTail(t, l, wire.TailRequest{})
	d.next(list(), "n "+runID(1)+" running", "t log 1")
	if err := os.RemoveAll(string(dir)); err != nil {
		t.Fatal(err)
	}
	d.next("r "+runID(1)+" absent", "c")
}

// TestTailJoined follows the run that the one asked for has joined.
func TestTailJoined(t *testing.T) {
	l := newRuns(t, wire.OK, wire.Joined)
	set(t, l.run(runID(2)), func(r *wire.Result) { r.Other = runID(1) })
	d := startTail(t, l, wire.TailRequest{Run: runID(2)})
	d.next(list())
	d.next(frames(1, wire.OK)...)
	d.next("c")
	d.over()
}

// TestTailWithoutRuns says why nothing can be followed.
func TestTailWithoutRuns(t *testing.T) {
	if err := Tail(t.Context(), LayoutAt(t.TempDir()), wire.TailRequest{}, io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}
