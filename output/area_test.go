package output

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"

	"troops/push"
)

// emulated is a terminal, behind the line discipline of a pseudo-terminal.
type emulated struct {
	*vt.Emulator
	t             *testing.T
	width, height int
}

func newEmulated(t *testing.T, width, height int) *emulated {
	return &emulated{vt.NewEmulator(width, height), t, width, height}
}

func (e *emulated) Write(p []byte) (int, error) {
	if _, err := e.Emulator.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (e *emulated) size() (int, int) { return e.width, e.height }

func (e *emulated) resize(width, height int) {
	e.width, e.height = width, height
	e.Resize(width, height)
}

// row is what a row of the screen shows.
func (e *emulated) row(y int) string {
	var b strings.Builder
	for x := 0; x < e.width; x++ {
		if c := e.CellAt(x, y); c != nil {
			b.WriteString(c.Content)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// above are the rows before the cursor's, those in the scrollback first, as many as most at the end;
// below are the others.
func (e *emulated) above(most int) (rows []string) {
	back := e.Scrollback().Lines()
	for _, line := range back[max(0, len(back)+e.CursorPosition().Y-most):] {
		var b strings.Builder
		for _, c := range line {
			b.WriteString(c.Content)
		}
		rows = append(rows, strings.TrimRight(b.String(), " "))
	}
	for y := range e.CursorPosition().Y {
		rows = append(rows, e.row(y))
	}
	return rows
}

func (e *emulated) below() (rows []string) {
	for y := e.CursorPosition().Y; y < e.height; y++ {
		rows = append(rows, e.row(y))
	}
	for len(rows) > 0 && rows[len(rows)-1] == "" {
		rows = rows[:len(rows)-1]
	}
	return rows
}

// areaRig is a sink with a status area on a terminal, and one without on another terminal of the
// same size: what is above the area must be the same.
type areaRig struct {
	t            *testing.T
	*Lines                 // with the area
	plain        *Lines    // without
	term, oracle *emulated // their terminals
	clock        time.Time
}

func newAreaRig(t *testing.T, width, height int, o Options) *areaRig {
	r := &areaRig{t: t, term: newEmulated(t, width, height), oracle: newEmulated(t, width, height), clock: time.Unix(1e9, 0)}
	o.Width = width
	r.plain = NewLines(r.oracle, o)
	o.Size = r.term.size
	r.Lines = NewLines(r.term, o)
	r.Lines.ticks.stop() // the test calls beat
	for _, l := range []*Lines{r.Lines, r.plain} {
		l.now = func() time.Time { return r.clock }
	}
	return r
}

func (r *areaRig) emit(e push.Event) {
	r.plain.Emit(e)
	r.Lines.Emit(e)
}

// check lets a beat pass and looks at the screen.
func (r *areaRig) check() {
	r.t.Helper()
	r.clock = r.clock.Add(areaRefresh)
	r.beat()
	if x := r.term.CursorPosition().X; x != 0 {
		r.t.Fatalf("the cursor is in column %d", x)
	}
	if got, want := r.term.above(2*r.term.height), r.oracle.above(2*r.term.height); !slices.Equal(got, want) {
		r.t.Fatalf("above the area are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	want := slices.Clone(r.area.drawn)
	for i := range want {
		want[i] = strings.TrimRight(Sanitize(want[i]), " ")
	}
	if got := r.term.below(); !slices.Equal(got, want) {
		r.t.Fatalf("the area is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, row := range want {
		if cells(row) >= r.term.width {
			r.t.Fatalf("as wide as the terminal: %q", row)
		}
	}
}

// TestArea has nodes print at random above the status, one of them what would steer a terminal:
// at every step the screen has the lines, the status below them, and nothing else.
func TestArea(t *testing.T) {
	for _, nodes := range []int{5, 50, 500} {
		for _, size := range [][2]int{{60, 24}, {200, 24}, {200, 7}, {60, 4}, {15, 24}} {
			t.Run(fmt.Sprintf("%d nodes/%dx%d", nodes, size[0], size[1]), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(uint64(nodes), uint64(size[0])))
				r := newAreaRig(t, size[0], size[1], Options{Color: Color(rng.IntN(3))})
				areaRun(r, rng, nodes, func() {})
			})
		}
	}
}

// TestAreaResized changes the terminal's size all the while. What the emulator does with lines that
// do not fit any more is its own affair, so they fit.
func TestAreaResized(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	r := newAreaRig(t, 200, 24, Options{})
	areaRun(r, rng, 50, func() {
		if rng.IntN(4) == 0 {
			width := []int{60, 80, 120, 200}[rng.IntN(4)]
			height := max(r.term.height, 24+rng.IntN(5))
			r.term.resize(width, height)
			r.oracle.resize(width, height)
		}
	})
}

// areaRun is a rollout to some nodes, with a look at the screen after each step.
func areaRun(r *areaRig, rng *rand.Rand, nodes int, step func()) {
	var hosts []string
	for i := range nodes {
		hosts = append(hosts, fmt.Sprintf("web-%03d", i))
	}
	r.emit(push.Planned{Commit: "1a2b3c4d", Subject: "s", Nodes: hosts})
	r.check()
	for len(hosts) > 60 { // most do nothing of interest
		r.emit(push.Finished{Node: hosts[0], Outcome: push.Current{}})
		if hosts = hosts[1:]; len(hosts)%20 == 0 {
			r.check()
		}
	}
	todo := slices.Clone(hosts)
	for len(todo) > 0 {
		step()
		i := rng.IntN(min(len(todo), 20))
		h := todo[i]
		switch rng.IntN(8) {
		case 0:
			r.emit(push.Phase{Node: h, Phase: []string{"connect", "checkout", "venv", "deploy"}[rng.IntN(4)], At: r.clock})
		case 1:
			r.emit(push.Finished{Node: h, Outcome: push.Deployed{}, Took: time.Second})
			todo = slices.Delete(todo, i, i+1)
		case 2:
			r.emit(push.Finished{Node: h, Outcome: push.Failed{Phase: "deploy", ExitCode: 3, Err: errors.New("\x1b[2J")}, Took: time.Second})
			todo = slices.Delete(todo, i, i+1)
		case 3:
			r.emit(out(h, push.Stdout, hostileLines[rng.IntN(len(hostileLines))]+"\x1b[10A\x1b[2K\x1b[?1049h\r\x1b]0;t\x07\n"))
		case 4:
			r.emit(out(h, push.Stderr, strings.Repeat("long ", rng.IntN(8))+"\n"))
		case 5:
			r.emit(out(h, push.Stdout, "a part "))
		default:
			for range rng.IntN(4) {
				r.emit(out(h, push.Stdout, fmt.Sprintf("line %d\n", rng.IntN(100))))
			}
		}
		r.check()
	}
	r.plain.Summary()
	r.Summary()
	r.check()
	if got, want := r.term.above(1<<20), r.oracle.above(1<<20); !slices.Equal(got, want) {
		r.t.Errorf("in all the terminal shows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if below := r.term.below(); len(below) > 0 {
		r.t.Errorf("the status is still there: %q", below)
	}
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
}

// TestAreaText is what the status says.
func TestAreaText(t *testing.T) {
	r := newAreaRig(t, 60, 24, Options{})
	var hosts []string
	for i := range 30 {
		hosts = append(hosts, fmt.Sprintf("web-%02d", i))
	}
	r.emit(push.Planned{Commit: "1a2b3c4d", Subject: "s", Nodes: hosts})
	want := func(rows ...string) {
		t.Helper()
		r.check()
		if got := r.term.below(); !slices.Equal(got, rows) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(rows, "\n"))
		}
	}
	want("[0s] 30 waiting")
	for _, h := range hosts[:8] {
		r.emit(push.Phase{Node: h, Phase: "venv", At: r.clock})
	}
	r.clock = r.clock.Add(4 * time.Second)
	want("[4s] 8 running, 22 waiting", "running for 4s: web-00 (venv), web-01 (venv) and 6 more")
	r.clock = r.clock.Add(60 * time.Second)
	for _, h := range hosts[1:8] {
		r.emit(out(h, push.Stdout, "x\n"))
	}
	for i, o := range []push.Outcome{push.Deployed{}, push.Current{}, push.Unreachable{Err: errors.New("x")}, push.Refused{Reason: "x"}, push.Unknown{Err: errors.New("x")}} {
		r.emit(push.Finished{Node: hosts[20+i], Outcome: o})
	}
	want("[1m04s] 8 running, 17 waiting, 1 deployed, 1 current,", "        1 unreachable, 1 refused, 1 unknown", "quiet for 1m04s: web-00 (venv)")

	// A question takes the place of the status.
	resume := r.Silence()
	if below := r.term.below(); len(below) > 0 {
		t.Errorf("beside a question: %q", below)
	}
	resume()
	want("[1m04s] 8 running, 17 waiting, 1 deployed, 1 current,", "        1 unreachable, 1 refused, 1 unknown", "quiet for 1m04s: web-00 (venv)")
}

// TestAreaNarrowed has the terminal become narrow just before it is written to, and names that
// are longer than it is wide.
func TestAreaNarrowed(t *testing.T) {
	r := newAreaRig(t, 100, 24, Options{})
	long := strings.Repeat("long", 40)
	r.emit(push.Planned{Commit: "1a2b3c4d", Subject: "s", Nodes: []string{long, "b"}})
	r.emit(push.Phase{Node: long, Phase: "deploy", At: r.clock})
	r.check()
	if below := r.term.below(); len(below) != 2 || !strings.HasSuffix(below[1], "…") {
		t.Errorf("the area is %q", below)
	}
	r.term.Resize(60, 24) // and size does not know
	r.oracle.Resize(60, 24)
	r.emit(out("b", push.Stdout, "x\n"))
	r.clock = r.clock.Add(areaRefresh)
	r.beat()
	if at, want := r.term.CursorPosition().Y, r.oracle.CursorPosition().Y; at != want {
		t.Errorf("the area begins in row %d, want %d: %q", at, want, r.term.below())
	}
}

// TestAreaIsQuiet has nothing written where nothing has changed, and little where much is printed.
func TestAreaIsQuiet(t *testing.T) {
	var w writes
	l := NewLines(&w, Options{Size: func() (int, int) { return 80, 24 }})
	l.ticks.stop()
	clock := time.Unix(1e9, 0)
	l.now = func() time.Time { return clock }
	l.Emit(push.Planned{Commit: "1a2b3c4d", Subject: "s", Nodes: []string{"a", "b"}})
	l.Emit(push.Phase{Node: "a", Phase: "deploy", At: clock})
	clock = clock.Add(areaRefresh)
	l.beat()
	calls := len(w.calls)
	for range 3 {
		clock = clock.Add(areaRefresh)
		l.beat()
	}
	if len(w.calls) != calls {
		t.Errorf("written for nothing: %q", w.calls[calls:])
	}
	for i := range 10_000 {
		l.Emit(out("a", push.Stdout, fmt.Sprintf("line %d\n", i)))
	}
	clock = clock.Add(areaTick)
	l.beat()
	if n := len(w.calls) - calls; n > 10 {
		t.Errorf("10,000 lines at once are %d writes", n)
	}
	for _, call := range w.calls {
		if len(call) > 2*batch {
			t.Errorf("a write of %d bytes", len(call))
		}
	}
}
