package output

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"troops/push"
)

const (
	// quietAfter is how long a node that is at work may say nothing before it is said to be quiet.
	quietAfter = 15 * time.Second

	// fewSlow is how many of the nodes that hold things up are named in a log.
	fewSlow = 5

	// slowStates is how many of them are named to someone who asks for the state of all.
	slowStates = 20

	// unendedWidth is how much of a line without an end is shown, in cells: its end.
	unendedWidth = 40
)

// progress is how far a rollout is.
type progress struct {
	total, ended int
	parts        []string // how many nodes are in each state
	took         time.Duration

	// slow are the nodes that hold things up, worst first: those that have said nothing for long, or
	// where there are none, those that are at work, by how long they are in their phase.
	slow  []*node
	since func(*node) time.Time
	quiet bool
	now   time.Time
}

// progress needs l.mu.
func (l *Lines) progress() progress {
	p := progress{total: len(l.reports), now: l.now(), took: l.now().Sub(l.start)}
	kinds := make(map[push.Kind]int)
	var busy []*node
	waiting := 0
	for _, r := range l.reports {
		n := l.nodes[r.host]
		switch {
		case r.kind != "":
			p.ended++
			kinds[r.kind]++
		case n.heard.IsZero():
			waiting++
		default:
			busy = append(busy, n)
		}
	}
	part := func(n int, what string) {
		if n > 0 {
			p.parts = append(p.parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	part(len(busy), "running")
	part(waiting, "waiting")
	for _, k := range present(kinds) {
		part(kinds[k], string(k))
	}
	p.weigh(busy)
	return p
}

// weigh finds the nodes that hold things up among those at work.
func (p *progress) weigh(busy []*node) {
	silent := func(n *node) bool { return p.now.Sub(n.heard) >= quietAfter }
	p.slow, p.since = busy, (*node).entered
	if slices.ContainsFunc(busy, silent) {
		p.quiet, p.since = true, func(n *node) time.Time { return n.heard }
		p.slow = slices.DeleteFunc(busy, func(n *node) bool { return !silent(n) })
	}
	slices.SortStableFunc(p.slow, func(a, b *node) int {
		return cmp.Or(p.since(a).Compare(p.since(b)), cmp.Compare(a.name, b.name))
	})
}

// counts says the states in a line.
func (p *progress) counts() string {
	return fmt.Sprintf("%s: %s, after %s", count(p.total, "node"), strings.Join(p.parts, ", "), elapsed(p.took))
}

// holdUp names most of the nodes that hold things up, with phase and age; empty where there are none.
func (p *progress) holdUp(most int) string {
	var b strings.Builder
	lead, last := "running ", ""
	if p.quiet {
		lead = "quiet "
	}
	for i, n := range p.slow[:min(most, len(p.slow))] {
		switch age := elapsed(p.now.Sub(p.since(n))); {
		case age == last:
			b.WriteString(", ")
		case i > 0:
			lead = "; "
			fallthrough
		default:
			fmt.Fprintf(&b, "%sfor %s: ", lead, age)
			last = age
		}
		b.WriteString(n.name)
		b.WriteString(p.doing(n))
	}
	if more := len(p.slow) - most; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// doing is the phase of a node, and of one that is quiet how the line begins that it has not ended:
// it may be a question that nobody answers.
func (p *progress) doing(n *node) string {
	what := n.watch.phase()
	if line := n.unended(); p.quiet && line != "" {
		what = strings.TrimPrefix(what+": "+strconv.Quote(line), ": ")
	}
	if what == "" {
		return ""
	}
	return " (" + what + ")"
}

// present are the kinds that have nodes, in the order of the summary.
func present(counts map[push.Kind]int) []push.Kind {
	return slices.DeleteFunc(slices.Clone(kinds[:]), func(k push.Kind) bool { return counts[k] == 0 })
}

// elapsed says whole seconds: 59s, 2m03s, 1h02m.
func elapsed(d time.Duration) string {
	if s := max(0, d.Truncate(time.Second)); s < time.Minute {
		return fmt.Sprintf("%ds", int(s.Seconds()))
	}
	return duration(d.Truncate(time.Second))
}

// States prints the state of every node, those in the same one together: what to show to someone who
// asks in the midst of a rollout.
func (l *Lines) States() {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.progress()
	l.say(p.counts())
	groups := make(map[string][]*node)
	for _, r := range l.reports {
		n := l.nodes[r.host]
		state := "waiting"
		switch {
		case r.kind != "":
			state = string(r.kind)
		case !n.heard.IsZero():
			state = "running " + n.watch.phase()
		}
		groups[state] = append(groups[state], n)
	}
	order := []string{"waiting"}
	for _, k := range kinds {
		order = append(order, string(k))
	}
	for _, state := range slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a), slices.Index(order, b)), cmp.Compare(rankOf(a), rankOf(b)), cmp.Compare(a, b))
	}) {
		l.say(fmt.Sprintf("%s%s: %s (%d)", indent, strings.TrimSpace(state), foldNodes(groups[state]), len(groups[state])))
	}
	if slow := p.holdUp(slowStates); slow != "" {
		l.say(indent + slow)
	}
	l.write()
}

// rankOf is where the phase of a running node comes.
func rankOf(state string) int { return slices.Index(phaseOrder, strings.TrimPrefix(state, "running ")) }
