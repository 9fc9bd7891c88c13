package output

import (
	"cmp"
	"slices"
	"time"

	"troops/push"
)

// stopwatch measures how long a node was in its phases. The zero value runs in none.
type stopwatch struct {
	laps    []lap // in the order in which the phases were entered first
	current int   // the lap that runs, where since is set
	since   time.Time
}

type lap struct {
	phase string // made safe
	took  time.Duration
}

// enter ends the phase that runs, and begins one.
func (s *stopwatch) enter(phase string, at time.Time) {
	s.stop(at)
	s.current = slices.IndexFunc(s.laps, func(p lap) bool { return p.phase == phase })
	if s.current < 0 {
		s.current = len(s.laps)
		s.laps = append(s.laps, lap{phase: phase})
	}
	s.since = at
}

// phase is the one that runs; empty for none.
func (s *stopwatch) phase() string {
	if s.since.IsZero() {
		return ""
	}
	return s.laps[s.current].phase
}

// stop ends the phase that runs.
func (s *stopwatch) stop(at time.Time) {
	if !s.since.IsZero() {
		s.laps[s.current].took += max(0, at.Sub(s.since))
	}
	s.since = time.Time{}
}

// phaseTime is how long nodes were in one phase.
type phaseTime struct {
	phase           string
	nodes           int
	median, longest time.Duration
	slowest         *report // of which longest is
}

// phaseOrder is how phases follow each other; others come last.
var phaseOrder = []string{push.PhaseConnect, push.PhasePush, "checkout", "venv", "deploy", push.PhaseCheck}

// phaseTimes are the times of the nodes that have ended, phase by phase.
func phaseTimes(reports []*report) []phaseTime {
	took := make(map[string][]time.Duration)
	longest := make(map[string]*phaseTime)
	for _, r := range reports {
		if r.kind == "" {
			continue
		}
		for _, s := range r.watch.laps {
			t := longest[s.phase]
			if t == nil {
				t = &phaseTime{phase: s.phase, slowest: r}
				longest[s.phase] = t
			}
			if s.took > t.longest {
				t.longest, t.slowest = s.took, r
			}
			took[s.phase] = append(took[s.phase], s.took)
		}
	}
	var times []phaseTime
	for phase, t := range longest {
		all := took[phase]
		slices.Sort(all)
		t.nodes, t.median = len(all), all[(len(all)-1)/2]
		times = append(times, *t)
	}
	rank := func(phase string) int {
		if i := slices.Index(phaseOrder, phase); i >= 0 {
			return i
		}
		return len(phaseOrder)
	}
	slices.SortFunc(times, func(a, b phaseTime) int {
		return cmp.Or(cmp.Compare(rank(a.phase), rank(b.phase)), cmp.Compare(a.phase, b.phase))
	})
	return times
}

// slowest are the nodes that took longest of those that something was sent to, longest first,
// at most n.
func slowest(reports []*report, n int) []*report {
	var ran []*report
	for _, r := range reports {
		if r.kind != "" && r.kind != push.KindNotStarted && r.took > 0 {
			ran = append(ran, r)
		}
	}
	slices.SortStableFunc(ran, func(a, b *report) int { return cmp.Compare(b.took, a.took) })
	return ran[:min(n, len(ran))]
}
