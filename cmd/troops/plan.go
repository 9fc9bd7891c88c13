package main

import (
	"context"
	"io"
	"slices"

	"troops/output"
	"troops/push"
	"troops/push/gitwire"
)

// printPlan prints what a rollout would do by these plans of its nodes.
func printPlan(ctx context.Context, w io.Writer, r *push.Rollout, plans []push.NodePlan) (err error) {
	changes := make(map[gitwire.OID]push.Change)
	for _, p := range plans {
		if _, seen := changes[p.At]; seen || p.Outcome != nil {
			continue
		}
		if changes[p.At], err = r.Change(ctx, p); err != nil {
			return err
		}
	}
	return output.Plan(w, r, plans, changes)
}

// dryRun is push --dry-run.
func dryRun(ctx context.Context, w io.Writer, r *push.Rollout, force bool) error {
	plans, err := r.Plan(ctx)
	if err != nil {
		return err
	}
	if force {
		r.AllowForce(plans)
	}
	if err := printPlan(ctx, w, r, plans); err != nil {
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

// targetsOf are the hosts that a rollout reaches.
func targetsOf(r *push.Rollout) []push.Target { return slices.Concat(r.TargetsByWave()...) }

// hostsOf are the hosts of targets, in their order.
func hostsOf(targets []push.Target) []string {
	hosts := make([]string, len(targets))
	for i, t := range targets {
		hosts[i] = t.Host
	}
	return hosts
}
