package nodeside

import (
	"context"
	"fmt"
	"time"
)

// venvTimeoutKey is the setting of how long making a virtualenv may take.
const venvTimeoutKey = "troops.venvTimeout"

// venvTimeout reads that setting, 0 where there is none. As with signatures, the repository's own
// configuration, which who may push can write, counts where root has set nothing.
func (l Layout) venvTimeout(ctx context.Context) (time.Duration, error) {
	all, err := l.git().Settings(ctx, venvTimeoutKey)
	if err != nil {
		return 0, fmt.Errorf("nodeside: %w", err)
	}
	var limit time.Duration
	settled := false
	for _, s := range all {
		d, err := time.ParseDuration(s.Value)
		if err != nil || d <= 0 {
			return 0, fmt.Errorf("nodeside: %s is %q in the %s configuration of git, and has to be a time such as 30m or 1h30m: nothing is deployed until that is settled",
				venvTimeoutKey, s.Value, s.Scope)
		}
		if !s.Local() || !settled {
			limit, settled = d, settled || !s.Local()
		}
	}
	return limit, nil
}
