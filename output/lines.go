package output

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"troops/push"
)

// batch is how many bytes of whole lines are gathered before they are written, when one
// event has that many.
const batch = 64 << 10

// noNewline marks a line that its node did not end.
const noNewline = " [no newline]"

// Options say how lines look. The zero value is plain text.
type Options struct {
	Color Color    // see [ColorFor]
	Width int      // of the terminal in cells, 0 where it is not known
	Hosts []string // aligns names before [push.Planned] tells them all
	Fold  bool     // show once what several nodes print, after a short while
	// Size is that of the terminal in cells, now; not nil where a status area is to be below the
	// lines. Lines then wait for a moment at most to be written together.
	Size    func() (width, height int)
	CI      CI    // whose log it is: [GitHub] and [GitLab] get the lines of each node in a group
	Quiet   bool  // only failures, the summary, and what Printf is given
	Logs    *Logs // where the summary finds log files; nil where none are kept
	Verbose bool  // show the phases connect and push too, and how nodes are reached
}

// Lines is the sink that prints every event as lines, at once. Its methods may be called by
// many goroutines.
//
// A write error is kept ([Lines.Err]), and everything after it is discarded: the rollout goes
// on. (The Go runtime ends a process that writes to a closed pipe on descriptor 1 or 2; for
// `troops push | head` to leave the rollout alone, the process must ignore SIGPIPE.)
type Lines struct {
	verbose bool
	quiet   bool
	logs    *Logs
	color   Color
	width   int
	styles  styles
	now     func() time.Time
	groups  groupFormat // nil where each line is shown at once
	ticks   *ticks      // nil where nothing is to be done now and then

	mu sync.Mutex // guards all below, and writing
	page
	area    *area   // nil where there is no status area
	fold    *folder // nil where each line is shown at once
	awaited int     // nodes that have a turn in this wave and have not ended
	grouped int     // groups so far
	column  int     // cells of the column of names
	start   time.Time
	nodes   map[string]*node
	reports []*report // of nodes, in order of the plan
}

var _ push.Sink = (*Lines)(nil)

// NewLines returns a sink that prints to w. Nothing else may write there until
// [Lines.Close] has returned.
func NewLines(w io.Writer, o Options) *Lines {
	l := &Lines{
		verbose: o.Verbose,
		quiet:   o.Quiet,
		logs:    o.Logs,
		color:   o.Color,
		width:   o.Width,
		styles:  newStyles(o.Color),
		now:     time.Now,
		page:    page{w: w},
		column:  columnOf(o.Hosts, o.Width),
		start:   time.Now(),
		nodes:   make(map[string]*node),
	}
	if o.Fold {
		l.fold = newFolder(l.heldLine)
	}
	if o.Size != nil {
		l.area = &area{size: o.Size}
	}
	switch {
	case o.CI != NoCI:
		l.groups = groupsOf(o.CI)
		l.ticks = tick(progressEvery, l.tell)
	case l.area != nil:
		l.ticks = tick(areaTick, l.beat)
	case l.fold != nil:
		l.ticks = tick(foldTick, l.beat)
	}
	return l
}

// Emit implements [push.Sink]. All of the event's lines that are whole have been written when
// it returns, but for those that wait to be folded, grouped, or written together above a status
// area. After Close it does nothing.
func (l *Lines) Emit(e push.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := e.(type) {
	case push.Planned:
		l.planned(e)
	case push.Wave:
		l.wave(e)
	case push.Compared:
		for _, line := range comparedLines(e) {
			l.news(line)
		}
	case push.Soaking:
		l.news(fmt.Sprintf("waiting %v, then looking whether these are still well", e.For))
	case push.Phase:
		l.phase(e)
	case push.Connected:
		l.connected(e)
	case push.Output:
		l.output(e)
	case push.Finished:
		l.finished(e)
	case push.RunBegan:
		l.runBegan(e)
	case push.RunEnded:
		l.runEnded(e)
	}
	l.write()
}

// Printf prints troops' own words, not about one node, as whole lines that begin with
// "troops: ". Text of nodes among the arguments is made safe.
func (l *Lines) Printf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.SplitSeq(strings.TrimSuffix(fmt.Sprintf(format, args...), "\n"), "\n") {
		l.say(line)
	}
	l.write()
}

// Silence keeps everything from being printed until resume is called, so that the user can be
// asked something on the same terminal. Whoever has something to print waits.
func (l *Lines) Silence() (resume func()) {
	l.mu.Lock()
	l.clearArea()
	return l.mu.Unlock
}

// Summary prints what has become of the nodes, after the lines that have not ended yet:
// how many of each outcome, then for every node that is not well its outcome and its last
// lines, under its name. Call it when the last node has finished, or when nobody waits longer.
func (l *Lines) Summary() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endArea()
	l.flushAll()
	width := wrapWidth
	if l.width > 0 {
		width = min(width, max(l.width, minWrapWidth))
	}
	if l.logs != nil {
		for _, r := range l.reports {
			r.file = Sanitize(l.logs.File(r.host))
		}
	}
	for line := range summarize(l.reports, l.now().Sub(l.start), width) {
		l.summaryLine(line)
	}
	l.alarms()
	if l.logs != nil {
		l.say("all output is in " + l.logs.dir + ", which file has which node's in its " + LogIndex)
	}
	l.write()
}

// Close prints the lines that have not ended, marked as such, and returns the first error of
// writing. It is the last use of the writer.
func (l *Lines) Close() error {
	if l.ticks != nil {
		l.ticks.stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endArea()
	l.flushAll()
	l.write()
	l.closed = true
	return l.err
}

// Err returns the first error of writing so far.
func (l *Lines) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
