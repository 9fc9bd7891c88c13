package output

import (
	"fmt"

	"troops/push"
)

// The methods of this file need l.mu.

func (l *Lines) planned(e push.Planned) {
	l.start = l.now()
	l.column = columnOf(e.Nodes, l.width)
	for _, n := range l.nodes {
		n.dress(l.styles, l.column)
	}
	l.await(e.Nodes)
	if e.Commit == "" {
		l.news("pulling on " + count(len(e.Nodes), "node"))
		return
	}
	l.news(fmt.Sprintf(`%s "%s" to %s`, short(e.Commit), e.Subject, count(len(e.Nodes), "node")))
}

func (l *Lines) wave(e push.Wave) {
	l.await(e.Nodes)
	l.news(waveLine(e))
}

// waveLine tells which nodes a wave has.
func waveLine(e push.Wave) string {
	lead := fmt.Sprintf("wave %d of %d", e.Number, e.Of)
	if e.Of == 1 {
		lead = "canary"
	}
	return fmt.Sprintf("%s: %s (%s)", lead, count(len(e.Nodes), "node"), few(e.Nodes, fewNames))
}

func (l *Lines) phase(e push.Phase) {
	n := l.node(e.Node)
	text := Sanitize(e.Phase)
	n.watch.enter(text, timeOf(e, l.now))
	n.hear(l.now())
	if e.Phase == push.PhaseConnect || e.Phase == push.PhasePush || e.Phase == push.PhasePull {
		if l.verbose {
			l.own(n, text, false)
		}
		return
	}
	// Processes of the phase before have ended: nothing will end their lines.
	l.flush(n)
	n.phase = text
	l.own(n, text, false)
}

func (l *Lines) connected(e push.Connected) {
	if l.verbose {
		l.own(l.node(e.Node), "connected: "+Sanitize(e.Transport), false)
	}
}

func (l *Lines) output(e push.Output) {
	n := l.node(e.Node)
	n.hear(l.now())
	if e.Stream == push.Note {
		l.own(n, Sanitize(string(e.Data)), false)
		return
	}
	partial, m := n.stream(e.Stream)
	for p := e.Data; len(p) > 0; {
		line, rest, ok := partial.next(p)
		if ok {
			l.line(n, m, line, "")
		}
		p = rest
	}
}

func (l *Lines) finished(e push.Finished) {
	n := l.node(e.Node)
	l.flush(n)
	n.finish(e, l.now())
	grouped := l.group(n)
	if n.awaited {
		n.awaited = false
		l.awaited--
	}
	switch n.kind {
	case push.KindNotStarted: // the summary names them together
	case push.KindCurrent, push.KindStarted:
		l.ending(n, n.text, grouped, false)
	case push.KindDeployed:
		text := n.text
		if l.fold == nil { // the time would keep it from being folded
			text += " in " + duration(n.took)
		}
		l.ending(n, text, grouped, false)
	default:
		l.ending(n, n.text+" ("+duration(n.took)+")", grouped, verdictOf(n.kind) == bad)
	}
}

// ending says how it ended for a node. Where its lines were a group, which says so too, only a
// failure is told once more.
func (l *Lines) ending(n *node, text string, grouped, failure bool) {
	switch {
	case l.groups == nil:
		l.own(n, text, failure)
	case failure || !grouped:
		l.ownLine(n.troops, text, failure)
	}
}

// node returns what is known of a node, and makes its acquaintance where it is new.
func (l *Lines) node(name string) *node {
	if n := l.nodes[name]; n != nil {
		return n
	}
	n := &node{report: report{host: name, name: Sanitize(name)}}
	n.dress(l.styles, l.column)
	l.nodes[name] = n
	l.reports = append(l.reports, &n.report)
	return n
}

// line appends a line of a node's output, made safe, and keeps it for the summary.
func (l *Lines) line(n *node, m mark, line rawLine, end string) {
	begin := len(l.buf)
	l.buf = append(l.buf, n.prefix(m)...)
	start := len(l.buf)
	l.buf = appendClean(l.buf, line.text, line.cut, l.color != NoColor)
	l.buf = append(l.buf, end...)
	n.tail.add(m, l.buf[start:])
	if l.quiet {
		l.buf = l.buf[:begin]
		return
	}
	if l.fold != nil {
		text := string(l.buf[start:])
		l.buf = l.buf[:begin]
		l.fold.add(n, foldKey{n.phase, m, text}, l.awaited, l.now())
		return
	}
	l.buf = append(l.buf, '\n')
	l.keep(n, begin)
	if len(l.buf) >= batch {
		l.write()
	}
}

// own appends a line by troops about a node. The text is safe already.
func (l *Lines) own(n *node, text string, failure bool) {
	if l.quiet && !failure {
		return
	}
	begin := len(l.buf)
	switch {
	case l.fold == nil:
	case failure:
		l.fold.releaseNode(n)
	default:
		l.fold.add(n, foldKey{n.phase, markTroops, text}, l.awaited, l.now())
		return
	}
	l.ownLine(n.troops, text, failure)
	l.keep(n, begin)
}

func (l *Lines) ownLine(prefix []byte, text string, failure bool) {
	style := l.styles.own
	if failure {
		style = l.styles.bad
	}
	if l.color != NoColor { // rendering costs more than all else here, and nothing comes of it
		text = style.Render(text)
	}
	l.buf = append(l.buf, prefix...)
	l.buf = append(l.buf, text...)
	l.buf = append(l.buf, '\n')
}

// say appends a line by troops that is not about one node.
func (l *Lines) say(text string) {
	l.buf = append(l.buf, "troops: "...)
	l.buf = append(l.buf, Sanitize(text)...)
	l.buf = append(l.buf, '\n')
}

// news is say for those who want to see what goes well.
func (l *Lines) news(text string) {
	if l.fold != nil {
		l.fold.releaseAll()
	}
	if !l.quiet {
		l.say(text)
	}
}

func (l *Lines) summaryLine(line summaryLine) {
	switch n := l.nodes[line.node]; {
	case n == nil:
		l.say(string(line.text))
	case line.mark == markTroops:
		l.ownLine(n.troops, string(line.text), line.bad)
	default:
		l.buf = append(append(append(l.buf, n.prefix(line.mark)...), line.text...), '\n')
	}
	if len(l.buf) >= batch {
		l.write()
	}
}

// flush appends the lines of a node that have begun and not ended.
func (l *Lines) flush(n *node) {
	for _, s := range []push.Stream{push.Stdout, push.Stderr, push.Git} {
		if partial, m := n.stream(s); partial.pending() {
			l.line(n, m, partial.take(), noNewline)
		}
	}
}

func (l *Lines) flushAll() {
	for _, r := range l.reports {
		l.flush(l.nodes[r.host])
		l.group(l.nodes[r.host])
	}
	if l.fold != nil {
		l.fold.releaseAll()
	}
}
