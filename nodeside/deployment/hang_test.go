package deployment

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// A virtualenv that is never done, for a pip that hangs, is given up: nothing of it is left,
// and the next run makes its own. That all of pip's processes end is [TestCancelledBuild]'s.
func TestPipHangs(t *testing.T) {
	t.Parallel()
	n, _ := hangingNode(t)
	n.Spec.VenvTimeout = 5 * time.Second // wherever it has come to by then, it does not end
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := EnsureVenv(ctx, n.Spec); !errors.Is(err, ErrVenvTimeout) || !strings.Contains(err.Error(), "no virtualenv within 5s") {
		t.Errorf("error %v", err)
	}
	if left := n.entries(); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
	n.next()
	n.Spec.VenvTimeout = 0
	n.files(map[string]string{"requirements.txt": "foo\n"})
	n.deploy()
}
