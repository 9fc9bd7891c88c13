package nodeside

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"troops/nodeside/python"
	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// WriteStatus writes the node's account of itself, for a workstation: see [wire.StatusPreface].
func WriteStatus(ctx context.Context, l Layout, out io.Writer) error {
	s, err := Status(ctx, l)
	if err != nil {
		return err
	}
	b, err := json.Marshal(s)
	if err == nil {
		_, err = fmt.Fprintf(out, "%s%s\n", wire.StatusPreface, b)
	}
	if err != nil {
		return fmt.Errorf("nodeside: reporting the status: %w", err)
	}
	return nil
}

// Status is the node's account of itself: what it has deployed, and its runs.
func Status(ctx context.Context, l Layout) (wire.NodeStatus, error) {
	s := wire.NodeStatus{Troops: python.Version(), Host: l.hostname(), Now: time.Now()}
	var err error
	if s.Branch, err = l.deployedBranch(ctx); err != nil {
		return s, err
	}
	if s.Branch != "" {
		if s.Commit, err = l.tip(ctx, s.Branch); err != nil {
			return s, err
		}
	}
	runs, err := runlog.List(l.Runs())
	if err != nil {
		return s, err
	}
	now := time.Now()
	for dir, r := range runs {
		if !r.State.Final() {
			if r, err = runlog.Settle(dir, r); err != nil {
				return s, err
			}
		}
		count(&s, r, now)
	}
	slices.SortFunc(s.Active, func(a, b wire.Result) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Queued.Compare(b.Queued), cmp.Compare(a.Run, b.Run))
	})
	s.Active = s.Active[:min(len(s.Active), wire.MaxActive)]
	return s, nil
}

// count takes a run into account. Of times after now, those before are the better ones.
func count(s *wire.NodeStatus, r wire.Result, now time.Time) {
	later := func(a, b time.Time) bool { return believed(a, now).After(believed(b, now)) }
	if !r.State.Final() {
		s.Active = append(s.Active, r)
		return
	}
	if r.State == wire.Joined {
		return // the other one counts
	}
	if r.Check {
		if r.Commit == s.Commit && (s.Check == nil || later(ended(r), ended(*s.Check))) {
			s.Check = &r
		}
		return
	}
	if s.Last == nil || later(ended(r), ended(*s.Last)) {
		s.Last = &r
	}
	if r.State == wire.OK && r.Commit == s.Commit && (s.Since.IsZero() || later(r.Ended, s.Since)) {
		s.Since, s.By = r.Ended, r.By
	}
}

// deployedBy says of commit, which is deployed, who did that, where it is known.
func (l Layout) deployedBy(commit string) string {
	s := wire.NodeStatus{Commit: commit}
	all, _ := runlog.List(l.Runs()) // what cannot be read tells nothing
	for _, r := range all {
		if r.State.Final() {
			count(&s, r, time.Now())
		}
	}
	if s.By == "" {
		return "is deployed"
	}
	return s.By + " deployed"
}

// ended is when a run ended, or where it did not get to write that down, when it began.
func ended(r wire.Result) time.Time {
	for _, t := range []time.Time{r.Ended, r.Started} {
		if !t.IsZero() {
			return t
		}
	}
	return r.Queued
}

// believed is t, or the zero time where it is after now: a clock that was set back since wrote
// it, and what it says must not count as newer than all that comes for years.
func believed(t, now time.Time) time.Time {
	if t.After(now) {
		return time.Time{}
	}
	return t
}

// rank sorts the run that works before those that wait.
func rank(r wire.Result) int {
	if r.State == wire.Running {
		return 0
	}
	return 1
}
