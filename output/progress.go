package output

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"troops/push"
)

const (
	// quietAfter is how long a node that is at work may say nothing before it is said to be quiet.
	quietAfter = 15 * time.Second

	// fewQuiet is how many of the nodes that hold things up are named in a log.
	fewQuiet = 5
)

// progress is how far a rollout is.
type progress struct {
	total, ended int
	counts       string // all nodes by state, and the time that has passed
	quiet        string // the nodes that hold things up, with phase and age; empty where there are none
}

// progress needs l.mu. It names most nodes at most.
func (l *Lines) progress(most int) progress {
	now := l.now()
	kinds := make(map[push.Kind]int)
	var busy []*node
	p := progress{total: len(l.reports)}
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
	var parts []string
	part := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	part(len(busy), "running")
	part(waiting, "waiting")
	for _, k := range present(kinds) {
		part(kinds[k], string(k))
	}
	p.counts = fmt.Sprintf("%s: %s, after %s", count(p.total, "node"), strings.Join(parts, ", "), elapsed(now.Sub(l.start)))
	p.quiet = holdUp(busy, now, most)
	return p
}

// present are the kinds that have nodes, in the order of the summary.
func present(counts map[push.Kind]int) []push.Kind {
	return slices.DeleteFunc(slices.Clone(kinds[:]), func(k push.Kind) bool { return counts[k] == 0 })
}

// holdUp names the nodes that have said nothing for long, quietest first; where there are none, those
// that are longest in their phase.
func holdUp(busy []*node, now time.Time, most int) string {
	if len(busy) == 0 {
		return ""
	}
	lead, since := "quiet ", func(n *node) time.Time { return n.heard }
	if !slices.ContainsFunc(busy, func(n *node) bool { return now.Sub(n.heard) >= quietAfter }) {
		lead, since = "running ", func(n *node) time.Time { return n.watch.since }
	} else {
		busy = slices.DeleteFunc(busy, func(n *node) bool { return now.Sub(n.heard) < quietAfter })
	}
	slices.SortStableFunc(busy, func(a, b *node) int { return cmp.Or(since(a).Compare(since(b)), cmp.Compare(a.name, b.name)) })
	var b strings.Builder
	last := ""
	for i, n := range busy[:min(most, len(busy))] {
		if a := elapsed(now.Sub(since(n))); a != last {
			if i > 0 {
				b.WriteString("; ")
			}
			fmt.Fprintf(&b, "%sfor %s: ", lead, a)
			lead, last = "", a
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%s)", n.name, n.watch.phase())
	}
	if more := len(busy) - most; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// elapsed says whole seconds: 59s, 2m03s, 1h02m.
func elapsed(d time.Duration) string {
	if s := max(0, d.Truncate(time.Second)); s < time.Minute {
		return fmt.Sprintf("%ds", int(s.Seconds()))
	}
	return duration(d.Truncate(time.Second))
}
