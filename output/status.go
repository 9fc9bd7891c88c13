package output

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"troops/nodeside/wire"
	"troops/push"
	"troops/push/packs"
)

// Status draws what the nodes have deployed, folded: nodes whose lines would be the same are
// on one, those that differ most from what they should be come first. width is that of the
// terminal in cells, 0 where it is not known.
func Status(states []push.NodeState, c Color, width int) string {
	type group struct {
		line  statusLine
		hosts []string
	}
	var groups []*group
	byText := make(map[string]*group)
	for _, s := range states {
		line := statusOf(s)
		key := line.key()
		if byText[key] == nil {
			byText[key] = &group{line: line}
			groups = append(groups, byText[key])
		}
		g := byText[key]
		g.hosts = append(g.hosts, s.Target.Host)
		g.line.join(line)
	}
	slices.SortStableFunc(groups, func(a, b *group) int {
		return cmp.Or(cmp.Compare(a.line.order, b.line.order), cmp.Compare(a.line.key(), b.line.key()))
	})
	st := newStyles(c)
	var b strings.Builder
	for _, g := range groups {
		head := Sanitize(count(len(g.hosts), "node") + " " + g.line.facts[0].String())
		if g.line.order < calm {
			head = st.bad.Render(head)
		}
		fmt.Fprintln(&b, head)
		for _, f := range g.line.facts[1:] {
			fmt.Fprintf(&b, "    %s\n", Sanitize(f.of(len(g.hosts))))
		}
		for _, line := range wrap(strings.Fields(Fold(g.hosts)), max(minWrapWidth, cmp.Or(width, wrapWidth)-4)) {
			fmt.Fprintf(&b, "    %s\n", Sanitize(strings.ReplaceAll(line, ", ", " ")))
		}
	}
	return b.String()
}

// The order in which states are shown; up to calm they have to be looked at.
const (
	orderUnknown  = iota // nothing is known of the node
	orderDiverged        // it has what is on no way to the commit
	orderAhead           // it has later commits
	orderFailed          // its last run failed
	orderBehind
	orderNew
	calm
	orderRunning
	orderCurrent
)

// statusLine is the state of a node, or of several whose facts are the same but for their times.
type statusLine struct {
	order int
	facts []fact // the first one is what is deployed
}

// fact is a part of a state.
type fact struct {
	text   string
	alone  string // what is added where no other node has the same facts
	format string // of times, with one %s; empty for none
	times  span
}

// span is a time or, for several nodes, from the shortest to the longest.
type span struct{ min, max time.Duration }

func (s span) String() string {
	if age(s.min) == age(s.max) {
		return age(s.max)
	}
	return age(s.min) + " to " + age(s.max)
}

func (f fact) String() string {
	if f.format == "" {
		return f.text
	}
	return f.text + fmt.Sprintf(f.format, f.times)
}

// of is the fact as it is told of so many nodes.
func (f fact) of(nodes int) string {
	if nodes == 1 {
		return f.String() + f.alone
	}
	return f.String()
}

func (l *statusLine) add(text string) { l.facts = append(l.facts, fact{text: text}) }

func (l *statusLine) addTimed(text, format string, t time.Duration) {
	l.facts = append(l.facts, fact{text: text, format: format, times: span{max(0, t), max(0, t)}})
}

func (l statusLine) key() string {
	var b strings.Builder
	for _, f := range l.facts {
		fmt.Fprintln(&b, f.text, f.format)
	}
	return b.String()
}

// join takes in the times of another node with the same key.
func (l *statusLine) join(other statusLine) {
	for i, f := range other.facts {
		times := &l.facts[i].times
		times.min, times.max = min(times.min, f.times.min), max(times.max, f.times.max)
	}
}

// statusOf tells a node's state.
func statusOf(s push.NodeState) statusLine {
	var l statusLine
	var deployed string
	l.order, deployed = deployedText(s)
	n := s.Node
	if n == nil || n.Since.IsZero() || s.Err != nil {
		l.add(deployed)
	} else {
		l.addTimed(deployed, ", since %s ago", n.Now.Sub(n.Since))
	}
	switch {
	case s.Err != nil:
		l.add(nameless(s.Err.Error(), s.Target.Host))
		return l
	case n == nil && !s.Plain:
		l.add("its troops is too old to tell more: troops bootstrap upgrades it")
	}
	if n == nil {
		return l
	}
	l.lastRun(n)
	if c := n.Check; c != nil && c.State != wire.OK {
		l.order = min(l.order, orderFailed)
		l.addTimed("last check "+string(c.State)+": "+cmp.Or(c.Error, fmt.Sprintf("exit code %d", c.ExitCode)), ", %s ago", n.Now.Sub(c.Ended))
	}
	l.activeRuns(n)
	about := "troops " + n.Troops
	if n.Last != nil && n.Last.Reported {
		about = "roles " + strings.Join(n.Last.Roles, ", ") + "; " + about
	}
	l.add(about)
	return l
}

// nameless is what was said of a node without its name, since the same may be said of others.
func nameless(text, host string) string {
	return strings.ReplaceAll(forHost(text, host), host, "it")
}

// forHost has the command that upgrades a node for any of its kind.
func forHost(text, host string) string {
	const command = "troops bootstrap "
	return strings.ReplaceAll(text, command+host, command+"HOST")
}

// deployedText says how what a node has deployed stands to what was asked about.
func deployedText(s push.NodeState) (order int, text string) {
	at := short(string(s.At))
	if s.Plain {
		at += " (no troops node)"
	}
	switch r := s.Relation; {
	case s.Err != nil:
		return orderUnknown, "of which nothing is known"
	case s.At == "":
		return orderNew, "with nothing deployed"
	case r.Kind == packs.Equal:
		return orderCurrent, "current at " + at
	case r.Kind == packs.Behind:
		return orderBehind, fmt.Sprintf("behind by %s, at %s", count(r.Missing, "commit"), at)
	case r.Kind == packs.Ahead:
		return orderAhead, fmt.Sprintf("ahead by %s, at %s", count(r.Extra, "commit"), at)
	case r.Kind == packs.Diverged:
		return orderDiverged, fmt.Sprintf("diverged, at %s", at)
	}
	return orderDiverged, "at " + at + ", a commit that is not in this repository"
}

// lastRun tells how the last run ended, where that is more than what is deployed says.
func (l *statusLine) lastRun(n *wire.NodeStatus) {
	r := n.Last
	if r == nil || r.State == wire.OK && r.Commit == n.Commit || r.State == wire.Current {
		return
	}
	text := fmt.Sprintf("last run: %s of %s", r.State, short(r.Commit))
	if r.Phase != "" && r.State != wire.OK {
		text += " in " + r.Phase
	}
	switch {
	case r.Signal != "":
		text += ", signal " + r.Signal
	case r.ExitCode != 0:
		text += fmt.Sprintf(", exit code %d", r.ExitCode)
	case r.Error != "":
		text += ", " + r.Error
	}
	if r.By != "" {
		text += ", by " + r.By
	}
	if r.State == wire.Failed || r.State == wire.Interrupted {
		l.order = min(l.order, orderFailed)
	}
	if r.Ended.IsZero() {
		l.add(text)
	} else {
		l.addTimed(text, ", %s ago", n.Now.Sub(r.Ended))
	}
}

// activeRuns tells what runs and waits.
func (l *statusLine) activeRuns(n *wire.NodeStatus) {
	for _, r := range n.Active {
		began := r.Started
		if began.IsZero() {
			began = r.Queued
		}
		text := fmt.Sprintf("%s: %s", r.State, short(r.Commit))
		if r.Phase != "" {
			text += " in " + r.Phase
		}
		if r.By != "" {
			text += ", by " + r.By
		}
		l.addTimed(text, ", for %s", n.Now.Sub(began))
		l.facts[len(l.facts)-1].alone = ": run " + r.Run
	}
	if len(n.Active) > 0 && l.order > calm {
		l.order = orderRunning
	}
}

// age is a time span in its largest unit, rounded down.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	switch d = max(0, d); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}
