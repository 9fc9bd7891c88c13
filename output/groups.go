package output

import (
	"fmt"
	"strings"
	"time"
)

// The methods of Lines in this file need l.mu, but for tell.

const (
	// progressEvery is how often a log without a status area is told how far the rollout is.
	progressEvery = 30 * time.Second

	// maxAlarms is how many failures are pointed out: GitHub shows no more of a step.
	maxAlarms = 10

	// maxAlarm is how long the text of one may be, in bytes.
	maxAlarm = 4 << 10
)

// keep moves the lines that l.buf has from begin on to what the node prints when it has ended,
// where lines are in groups.
func (l *Lines) keep(n *node, begin int) {
	if l.groups != nil {
		n.spool.add(l.buf[begin:])
		l.buf = l.buf[:begin]
	}
}

// group prints the lines of a node that were kept, as a group of their own, where there are any.
func (l *Lines) group(n *node) bool {
	if l.groups == nil || n.spool.empty() {
		return false
	}
	ended := "not finished"
	if n.kind != "" {
		ended = n.text + " (" + duration(n.took) + ")"
	}
	l.grouped++
	began := n.began
	if began.IsZero() {
		began = l.start
	}
	l.buf = l.groups.begin(l.buf, l.grouped, n.name+": "+ended, began, verdictOf(n.kind) == bad)
	err := n.spool.take(func(lines []byte) {
		l.buf = append(l.buf, lines...)
		if len(l.buf) >= batch {
			l.write()
		}
	})
	if err != nil {
		l.ownLine(n.troops, Sanitize(err.Error()), true)
	}
	l.buf = l.groups.end(l.buf, l.grouped, l.now())
	return true
}

// alarms points out the nodes that are not well, those together that ended alike.
func (l *Lines) alarms() {
	if l.groups == nil {
		return
	}
	said, left := 0, 0
	for _, k := range troubles {
		for _, alike := range alike(of(l.reports, k)) {
			if said == maxAlarms-1 {
				left += len(alike)
				continue
			}
			said++
			l.buf = l.groups.alarm(l.buf, "troops: "+nodesOf(alike), alike[0].story())
		}
	}
	if left > 0 {
		l.buf = l.groups.alarm(l.buf, "troops", count(left, "more node")+" not well: see the summary")
	}
}

// nodesOf names the nodes of reports, folded.
func nodesOf(reports []*report) string {
	text := Fold(names(reports))
	if len(reports) > 1 {
		text += fmt.Sprintf(" (%d)", len(reports))
	}
	return text
}

// story is how a node ended, and its last lines, without colours and not too long.
func (r *report) story() string {
	var b strings.Builder
	b.WriteString(r.text)
	if r.log != "" {
		b.WriteString("\nits log is not whole: " + r.log)
	}
	for _, line := range r.lastLines() {
		b.WriteString("\n" + line)
	}
	text := b.String()
	if len(text) > maxAlarm {
		text = string(wholeRunes([]byte(text[:maxAlarm]))) + " ..."
	}
	return text
}

// lastLines are the last lines of a node's output, without colours.
func (r *report) lastLines() (lines []string) {
	r.tail.each(func(_ mark, text []byte) { lines = append(lines, Sanitize(string(text))) })
	return lines
}

// tell says how far the rollout is, until all nodes have ended.
func (l *Lines) tell() {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.progress()
	if p.total == 0 || p.ended == p.total {
		return
	}
	text := p.counts()
	if slow := p.holdUp(fewSlow); slow != "" {
		text += "; " + slow
	}
	l.say(text)
	l.write()
}
