package output

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"troops/push"
)

const (
	wrapWidth    = 100 // cells of a list of names in the summary
	minWrapWidth = 40  // however narrow the terminal is
	slowestShown = 3   // how many of the slowest nodes are named, where there are more nodes
	fewNames     = 10  // how many nodes that were not started are named
)

// verdict is what an outcome means for the one who reads the summary.
type verdict int

const (
	good verdict = iota // nothing to do
	idle                // nothing happened
	bad                 // has to be looked at
)

// kinds are the outcomes in the order in which they are counted.
var kinds = [...]push.Kind{
	push.KindDeployed, push.KindStarted, push.KindCurrent, push.KindSuperseded,
	push.KindUnreachable, push.KindFailed, push.KindRefused, push.KindUnknown, push.KindNotStarted,
}

// troubles are the outcomes that are told one by one, in this order: those with output to
// read first.
var troubles = [...]push.Kind{push.KindFailed, push.KindUnknown, push.KindRefused, push.KindUnreachable, push.KindSuperseded}

func verdictOf(k push.Kind) verdict {
	switch k {
	case push.KindDeployed, push.KindStarted, push.KindCurrent:
		return good
	case push.KindNotStarted:
		return idle
	}
	return bad
}

// summaryLine is one line of a summary, made safe, without its prefix.
type summaryLine struct {
	node string // whose line it is, as in the events; empty for troops' own
	mark mark   // of a node's line
	text []byte // valid until the next line
	bad  bool   // of troops' own about a node: a failure
}

// summarize tells the reports in lines: the counts, what is wrong where, and who was left
// out. Lists of names are wrapped to width cells.
func summarize(reports []*report, took time.Duration, width int) iter.Seq[summaryLine] {
	return func(yield func(summaryLine) bool) {
		s := teller{yield: yield, width: width}
		s.say("%s", counts(reports, took))
		for _, k := range troubles {
			s.tell(of(reports, k))
		}
		s.idle(of(reports, push.KindNotStarted))
		if rest := of(reports, ""); len(rest) > 0 {
			s.list(fmt.Sprintf("%s not finished: ", count(len(rest), "node")), names(rest))
		}
		s.times(reports)
	}
}

// of returns the reports of one outcome; the empty kind is that of nodes without one.
func of(reports []*report, k push.Kind) []*report {
	var found []*report
	for _, r := range reports {
		if r.kind == k {
			found = append(found, r)
		}
	}
	return found
}

func names(reports []*report) []string {
	var list []string
	for _, r := range reports {
		list = append(list, r.name)
	}
	return list
}

// counts says how many nodes came to which end.
func counts(reports []*report, took time.Duration) string {
	var parts []string
	for _, k := range kinds {
		if n := len(of(reports, k)); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k))
		}
	}
	if n := len(of(reports, "")); n > 0 {
		parts = append(parts, fmt.Sprintf("%d not finished", n))
	}
	if len(parts) == 0 {
		return "no nodes"
	}
	return fmt.Sprintf("%s: %s in %s", count(len(reports), "node"), strings.Join(parts, ", "), duration(took))
}

// teller yields lines until its reader has enough.
type teller struct {
	yield func(summaryLine) bool
	done  bool
	width int
}

func (s *teller) line(l summaryLine) {
	s.done = s.done || !s.yield(l)
}

func (s *teller) say(format string, args ...any) {
	s.line(summaryLine{text: fmt.Appendf(nil, format, args...)})
}

// list says names after a lead, on as many lines as they need.
func (s *teller) list(lead string, names []string) {
	for _, line := range wrap(names, s.width) {
		s.say("%s%s", lead, line)
	}
}

// tell tells nodes with one kind of trouble: each in full, those that ended just as one
// before them by name only.
func (s *teller) tell(reports []*report) {
	for _, group := range alike(reports) {
		s.full(group[0])
		s.list("the same on ", names(group[1:]))
	}
}

// alike groups reports of which there is the same to tell, in the order of the first of each.
func alike(reports []*report) (groups [][]*report) {
	at := make(map[string]int)
	for _, r := range reports {
		e := r.ending()
		i, ok := at[e]
		if !ok {
			i = len(groups)
			at[e] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], r)
	}
	return groups
}

// full tells how a node ended and its last lines.
func (s *teller) full(r *report) {
	s.line(summaryLine{node: r.host, mark: markTroops, text: []byte(r.text), bad: true})
	if r.log != "" {
		text := []byte("its log is not whole: " + r.log)
		s.line(summaryLine{node: r.host, mark: markTroops, text: text, bad: true})
	}
	if r.file != "" {
		s.line(summaryLine{node: r.host, mark: markTroops, text: []byte("all of its output: " + r.file)})
	}
	r.tail.each(func(m mark, text []byte) {
		s.line(summaryLine{node: r.host, mark: m, text: text})
	})
}

// idle names the nodes that were not started, one line for each reason.
func (s *teller) idle(reports []*report) {
	byReason := make(map[string][]string)
	var reasons []string
	for _, r := range reports {
		why := r.text
		if byReason[why] == nil {
			reasons = append(reasons, why)
		}
		byReason[why] = append(byReason[why], r.name)
	}
	for _, why := range reasons {
		list := byReason[why]
		s.say("%s %s (%s)", count(len(list), "node"), why, few(list, fewNames))
	}
}

// times tells what the time went into: the phases, and which nodes took longest. Of a push in
// which nothing ran there is nothing to tell.
func (s *teller) times(reports []*report) {
	phases := phaseTimes(reports)
	ran := func(t phaseTime) bool {
		return t.phase != push.PhaseConnect && t.phase != push.PhasePush && t.phase != push.PhasePull
	}
	if !slices.ContainsFunc(phases, ran) {
		return
	}
	var parts []string
	for _, t := range phases {
		if duration(t.longest) == duration(0) {
			continue // on no node worth a word
		}
		part := t.phase + " " + duration(t.median)
		if len(reports) > 1 {
			part += fmt.Sprintf(" (%s %s)", t.slowest.name, duration(t.longest))
		}
		parts = append(parts, part)
	}
	lead := "time in each phase: "
	if len(reports) > 1 {
		lead = "time in each phase, median (longest): "
	}
	if len(parts) > 0 {
		s.say("%s%s", lead, strings.Join(parts, ", "))
	}
	if len(of(reports, push.KindNotStarted)) < len(reports)-slowestShown {
		var nodes []string
		for _, r := range slowest(reports, slowestShown) {
			nodes = append(nodes, r.name+" "+duration(r.took))
		}
		s.say("slowest nodes: %s", strings.Join(nodes, ", "))
	}
}
