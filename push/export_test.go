package push

import "time"

// SetLimits makes every limit on how long a node may keep a push waiting d.
func (r *Rollout) SetLimits(d time.Duration) {
	r.limits = limits{d, d, d, d, d, d}
}
