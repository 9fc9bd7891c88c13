package nodeside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"troops/nodeside/wire"
)

// Check asks for run id, which runs the checks of the deployed commit, and follows it as
// [Attach] does. It is the pusher's process. A node that has deployed nothing is an error.
func Check(ctx context.Context, l Layout, id, by string, out io.Writer) error {
	if !validRun(id) {
		return fmt.Errorf("nodeside: %q is no run", id)
	}
	branch, err := l.deployedBranch(ctx)
	if err != nil {
		return err
	}
	tip := ""
	if branch != "" {
		if tip, err = l.tip(ctx, branch); err != nil {
			return err
		}
	}
	if tip == "" {
		return errors.New("nodeside: nothing is deployed here, so there is nothing to check")
	}
	h := &hook{l: l, deployed: branch, pushed: parseOptions([]string{wire.OptionBy + by})}
	run, err := h.ask(ctx, Request{Run: id, Commit: tip, Branch: branch, By: h.pushed.by, Check: true})
	if err != nil {
		return err
	}
	return Attach(ctx, l, run, 0, strings.NewReader(""), out)
}
