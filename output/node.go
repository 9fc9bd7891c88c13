package output

import (
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"troops/push"
)

// node is what is known of one node while lines are printed.
type node struct {
	report
	out, err, troops []byte        // what stands before its lines, by mark
	partial          [3]lineBuffer // of Stdout, Stderr and Git
	phase            string        // made safe
	awaited          bool          // has a turn in this wave and has not ended
	held             *heldLine     // its last line that is held back to be folded
	spool            spool         // its lines until it has ended, where lines are in groups
	began, heard     time.Time     // of its first event and its last one so far
}

// report is what the summary tells of a node.
type report struct {
	host  string        // as in the events
	name  string        // the same, made safe
	kind  push.Kind     // empty until the node has finished
	text  string        // the outcome in one line, made safe
	log   string        // why the node's log is not whole, made safe; empty where it is
	took  time.Duration //
	tail  tail          // its last lines of output
	file  string        // the log here, made safe; empty for none
	watch stopwatch     // how long its phases took
}

// dress draws the node's prefixes for a column of host names.
func (n *node) dress(s styles, column int) {
	n.out = s.prefix(n.name, markOut, column)
	n.err = s.prefix(n.name, markErr, column)
	n.troops = s.prefix(n.name, markTroops, column)
}

// hear notes that the node has shown a sign of life.
func (n *node) hear(at time.Time) {
	if n.began.IsZero() {
		n.began = at
	}
	n.heard = at
}

// entered is when the node's phase began.
func (n *node) entered() time.Time {
	if n.watch.since.IsZero() {
		return n.began
	}
	return n.watch.since
}

func (n *node) prefix(m mark) []byte {
	switch m {
	case markErr:
		return n.err
	case markTroops:
		return n.troops
	}
	return n.out
}

// stream returns the buffer of a stream of bytes and the mark of its lines. A stream that
// is not known is standard output.
func (n *node) stream(s push.Stream) (*lineBuffer, mark) {
	switch s {
	case push.Stderr:
		return &n.partial[1], markErr
	case push.Git:
		return &n.partial[2], markOut
	}
	return &n.partial[0], markOut
}

// unended is the end of the line that the node has begun and not ended, made safe; empty where
// there is none.
func (n *node) unended() string {
	for i := range n.partial {
		if b := &n.partial[i]; b.pending() {
			text := strings.TrimSpace(Sanitize(string(b.text)))
			return ansi.TruncateLeft(text, ansi.StringWidth(text)-unendedWidth, "…")
		}
	}
	return ""
}

// finish records a node's last event, and lets go of the memory that is not needed any more.
func (n *node) finish(e push.Finished, at time.Time) {
	n.watch.stop(at)
	n.kind, n.text, n.took = e.Outcome.Kind(), Sanitize(e.Outcome.String()), e.Took
	if e.Result != nil {
		n.log = Sanitize(e.Result.LogError)
		if strings.Contains(n.text, n.log) {
			n.log = "" // the run failed for that alone, and says so
		}
	}
	n.partial = [3]lineBuffer{}
	if verdictOf(n.kind) != bad {
		n.tail.clear()
	}
}

// ending is equal for nodes of which the summary has the same to tell.
func (r *report) ending() string {
	var b strings.Builder
	b.WriteString(forHost(r.text, r.host) + "\n" + r.log)
	r.tail.each(func(m mark, text []byte) {
		b.WriteString("\n" + string(rune(m)))
		b.Write(text)
	})
	return b.String()
}

// timeOf is when a node entered a phase.
func timeOf(e push.Phase, now func() time.Time) time.Time {
	if e.At.IsZero() {
		return now()
	}
	return e.At
}
