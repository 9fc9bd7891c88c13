package nodeside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"troops/gitcli"
	"troops/nodeside/deployment"
	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// moveBranch moves the branch from old, empty where there was none, to the run's commit.
func (r *run) moveBranch(ctx context.Context, old string) error {
	msg := fmt.Sprintf("troops: run %s", r.rec.Run)
	_, err := r.l.git().Run(ctx, nil, "update-ref", "-m", msg, r.rec.Branch, r.rec.Commit, old)
	if err == nil {
		r.rec.State = wire.OK
		return nil
	}
	var ge *gitcli.Error
	if now, terr := r.l.tip(ctx, r.rec.Branch); errors.As(err, &ge) && terr == nil && now != old {
		r.rec.State = wire.Refused
		r.rec.Error = fmt.Sprintf("deployed, but %s moved meanwhile, not by a run, to %s", r.rec.Branch, short(now))
		return nil
	}
	return fmt.Errorf("nodeside: moving the branch after the deployment: %w", err)
}

// keepLog ends the log of a deployment that went well, before the branch moves. One that could
// not be written, other than for its length, is a failure: nobody can see what was deployed.
func (r *run) keepLog() error {
	err := r.closeLog()
	if err == nil || errors.Is(err, runlog.ErrMaxLog) {
		return nil
	}
	program := "deploy.py"
	if _, err := os.Stat(filepath.Join(r.l.checkout(r.rec.Run), program)); err != nil {
		program = "deploy"
	}
	r.rec.Phase = phaseLog
	return fmt.Errorf("%s itself ended well, but its log is not whole (%w): push again once that is mended", program, err)
}

// phaseLog is the phase in which a run fails whose log could not be written. It does not begin in
// the log itself.
const phaseLog = "log"

// closeLog ends the log, once, and records its length and why it is not whole.
func (r *run) closeLog() error {
	if r.log == nil {
		return nil
	}
	r.dir.Release() // a full disk may have kept out the note on what is missing
	size, loss := r.log.Close()
	r.log, r.rec.LogBytes = nil, size
	if loss != nil {
		r.rec.LogError = loss.Error()
	}
	return loss
}

// finish closes the log and records how the run ended.
func (r *run) finish(err error) error {
	if r.rec.Run == "" { // it had not come so far as to read its record
		rec, rerr := r.dir.Record()
		if rerr != nil {
			return errors.Join(err, rerr)
		}
		r.rec = rec
	}
	if err != nil {
		r.fail(err)
	}
	r.rec.Ended = time.Now()
	_ = r.closeLog() // that it is not whole is in the record
	return r.dir.SetRecord(r.rec)
}

// fail records why the run failed. Of a deployment that exited, its code says all.
func (r *run) fail(err error) {
	r.rec.State, r.rec.Error = wire.Failed, plainError(wayOut(err)).Error()
	if errors.As(err, new(cancelledError)) {
		r.rec.State = wire.Cancelled
		return
	}
	if errors.Is(err, deployment.ErrVenvTimeout) {
		scope := "--system"
		if !r.l.Root {
			scope = "--global"
		}
		r.rec.Error += "; where it needs longer, on the node: git config " + scope + " " + venvTimeoutKey + " 1h"
		return // by which signal pip was ended is of no interest
	}
	var exit *deployment.ExitError
	if !errors.As(err, &exit) || r.rec.Signal != "" {
		return
	}
	r.rec.ExitCode, r.rec.Signal, r.rec.Error = exit.Code, exit.Signal, exit.Error()
	if (r.rec.Phase == "deploy" || r.rec.Phase == "check") && exit.Signal == "" {
		r.rec.Error = ""
	}
}
