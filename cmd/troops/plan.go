package main

import (
	"context"

	"troops/output"
	"troops/push"
	"troops/push/gitwire"
)

// showPlan looks at the nodes of a rollout and prints what it would do: --dry-run.
func showPlan(ctx context.Context, g *global, r *push.Rollout) ([]push.NodePlan, error) {
	plans, err := r.Plan(ctx)
	if err != nil {
		return nil, err
	}
	changes := make(map[gitwire.OID]push.Change)
	for _, p := range plans {
		if _, seen := changes[p.At]; seen || p.Outcome != nil {
			continue
		}
		if changes[p.At], err = r.Change(ctx, p.At); err != nil {
			return nil, err
		}
	}
	return plans, output.Plan(g.out, r, plans, changes)
}

// dryRun is push --dry-run.
func dryRun(ctx context.Context, g *global, r *push.Rollout) error {
	plans, err := showPlan(ctx, g, r)
	if err != nil {
		return err
	}
	var results []push.NodeResult
	for _, p := range plans {
		if p.Outcome != nil {
			results = append(results, push.NodeResult{Target: p.Target, Outcome: p.Outcome})
		}
	}
	if code := rolloutCode(results, false); code != exitOK {
		return &nodesError{code}
	}
	return nil
}
