package nodeside

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// A commit whose deployment failed is pulled again after RetryFirst, then after twice that,
// and so on up to RetryMost.
const (
	RetryFirst = 5 * time.Minute
	RetryMost  = 6 * time.Hour
)

// choose finds the commit to deploy among what the remotes have: it descends from what is
// deployed (tip, empty for nothing) and from all others that do. Where there is none, the
// answer says why. from names its remotes.
func (p *puller) choose(ctx context.Context, remotes []*remote, branch, tip string) (oid, from string, a answer, err error) {
	var candidates, lagging []*remote
	var refused []string
	reached := false
	for _, r := range remotes {
		if r.err != nil {
			continue
		}
		reached = true
		rel, err := p.compare(ctx, tip, r.oid)
		switch {
		case err != nil:
			return "", "", a, err
		case rel == later:
			if err := p.trusted(ctx, r); err != nil {
				refused = append(refused, fmt.Sprintf("remote %s: %v", r.name, err))
				continue
			}
			candidates = append(candidates, r)
		case rel == earlier:
			lagging = append(lagging, r)
		case rel == diverged:
			how := "has diverged from"
			if r.forced {
				how = "was force-pushed: it has left"
			}
			refused = append(refused, fmt.Sprintf("remote %s %s what is deployed here: its %s is at %s, which is no descendant of %s",
				r.name, how, branch, short(r.oid), short(tip)))
		}
	}
	if !reached {
		return "", "", p.unreachable(remotes, nil), nil
	}
	for _, r := range remotes {
		if r.err != nil {
			p.note("remote %s is left out: %v", r.name, r.err)
		}
	}
	if len(candidates) > 0 || p.q.Now {
		for _, r := range lagging {
			p.note("remote %s lags behind, at %s", r.name, short(r.oid))
		}
	}
	switch {
	case len(candidates) > 0:
		for _, why := range refused {
			p.note("refused: %s", why)
		}
		oid, from, a, err = p.furthest(ctx, candidates)
	case len(refused) > 0:
		a.Result = &wire.Result{State: wire.Refused, Error: strings.Join(refused, "; ")}
	default:
		a = p.idle(wire.Current, "")
		if a.Result != nil {
			a.Result.Commit, a.Result.Branch = tip, branch
		}
	}
	return oid, from, a, err
}

// relation is that of a remote's commit to the deployed one.
type relation int

const (
	same relation = iota
	later
	earlier
	diverged
)

func (p *puller) compare(ctx context.Context, tip, oid string) (relation, error) {
	switch tip {
	case "":
		return later, nil
	case oid:
		return same, nil
	}
	if is, err := p.l.isAncestor(ctx, tip, oid); is || err != nil {
		return later, err
	}
	if is, err := p.l.isAncestor(ctx, oid, tip); is || err != nil {
		return earlier, err
	}
	return diverged, nil
}

// furthest is the commit of the candidates that all others are ancestors of.
func (p *puller) furthest(ctx context.Context, candidates []*remote) (oid, from string, a answer, err error) {
	args := []string{"merge-base", "--independent"}
	for _, r := range candidates {
		args = append(args, r.oid)
	}
	out, err := p.l.git().Line(ctx, args...)
	if err != nil {
		return "", "", a, fmt.Errorf("nodeside: comparing the remotes: %w", err)
	}
	ends := strings.Fields(out)
	var at []string
	for _, end := range ends {
		var names []string
		for _, r := range candidates {
			if r.oid == end {
				names = append(names, r.name)
			}
		}
		from = strings.Join(names, ", ")
		at = append(at, fmt.Sprintf("%s (at %s)", from, short(end)))
	}
	if len(ends) == 1 {
		return ends[0], from, a, nil
	}
	a.Result = &wire.Result{State: wire.Refused, Error: "these remotes have diverged from each other, so none is deployed: " +
		strings.Join(at, " and ") + "; merge them, and push the result to one"}
	return "", "", a, nil
}

// due tells by the records of former runs whether a commit may be deployed now; otherwise why not.
func (l Layout) due(commit string, now time.Time) (bool, string, error) {
	all, err := runlog.List(l.Runs())
	if err != nil {
		return false, "", err
	}
	var ends []time.Time
	for dir, r := range all {
		if r.Commit != commit || r.Check {
			continue
		}
		if !r.State.Final() {
			if r, err = runlog.Settle(dir, r); err != nil {
				return false, "", err
			}
		}
		switch r.State {
		case wire.Queued, wire.Running:
			return true, "", nil // to be followed
		case wire.Failed, wire.Interrupted:
			ends = append(ends, ended(r))
		}
	}
	if len(ends) == 0 {
		return true, "", nil
	}
	last := slices.MaxFunc(ends, time.Time.Compare)
	next := last.Add(pause(len(ends)))
	// A clock that was set back must not hold a commit up for years.
	if !now.Before(next) || last.After(now) {
		return true, "", nil
	}
	return false, fmt.Sprintf("%s has failed %s, last at %s: tried again after %s, or by a push, or now by node pull --now",
		short(commit), times(len(ends)), last.Format(time.DateTime), next.Format(time.DateTime)), nil
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// pause is how long a commit waits after n failures.
func pause(n int) time.Duration {
	d := RetryFirst
	for ; n > 1 && d < RetryMost; n-- {
		d *= 2
	}
	return min(d, RetryMost)
}
