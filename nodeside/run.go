package nodeside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"troops/nodeside/deployment"
	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// run is one run in its own process.
type run struct {
	l   Layout
	dir runlog.Dir
	rec wire.Result
	log *runlog.Writer

	waited bool // for another run: what was looked at before may no longer hold
}

// errSuperseded ends a run that gave way while it waited: its record is final already.
var errSuperseded = errors.New("superseded")

// Run does the queued run id: it waits for its turn, deploys, moves the branch, and records
// how it ended. It is the main function of a process that [Start] made; a hangup does not
// end it, SIGTERM ends its deployment and is recorded. The error is about the record
// alone: a deployment that failed is a result.
func Run(ctx context.Context, l Layout, id string) error {
	if !validRun(id) {
		return fmt.Errorf("nodeside: %q is no run", id)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	// Caught, not ignored: what is ignored stays so in deploy.py and in the daemons it starts.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGHUP, syscall.SIGXFSZ)
	defer signal.Stop(caught)
	unix.Umask(0o022)

	r := &run{l: l, dir: l.run(id)}
	alive, err := inherit(r.dir.Alive())
	if err != nil {
		return err
	}
	defer alive.Close()
	if r.log, err = runlog.OpenWriter(r.dir); err != nil {
		return r.finish(err)
	}
	turn, err := r.wait(ctx)
	if errors.Is(err, errSuperseded) {
		return nil
	}
	if turn != nil {
		defer turn.Close()
	}
	if err == nil {
		err = r.work(ctx)
	}
	if ctx.Err() != nil && err != nil {
		err = r.ended()
	}
	if err := r.finish(err); err != nil {
		return err
	}
	return l.tidy(context.WithoutCancel(ctx), id)
}

// wait waits for the run's turn and begins it. The returned file holds the node's lock.
func (r *run) wait(ctx context.Context) (*os.File, error) {
	turn, err := os.OpenFile(r.l.runLock(), os.O_RDWR|os.O_CREATE, lockMode)
	if err != nil {
		return nil, fmt.Errorf("nodeside: opening the node's lock: %w", err)
	}
	free, err := runlog.TryLock(turn)
	if err == nil && !free {
		r.waited = true
		err = r.queue(ctx, turn)
	}
	if err == nil {
		err = r.begin()
	}
	return turn, err
}

// queue waits for the lock, the end of the run's being queued, or ctx.
func (r *run) queue(ctx context.Context, turn *os.File) error {
	if err := r.queued(func() { r.log.Note("waiting for " + r.l.working()) }); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// flock(2) cannot be called off: where the wait ends otherwise, the process ends and
	// takes this goroutine along.
	locked := make(chan error, 1)
	go func() { locked <- runlog.Lock(turn) }()
	ended := make(chan error, 1)
	go func() { ended <- r.dir.WaitFinal(ctx) }()
	select {
	case err := <-locked:
		cancel(nil)
		<-ended
		return err
	case err := <-ended:
		if err == nil {
			err = errSuperseded
		}
		return err
	}
}

// working names the run that is working, for people.
func (l Layout) working() string {
	all, _ := runlog.List(l.Runs()) // an unreadable directory names none
	for _, r := range all {
		if r.State == wire.Running {
			return described(r)
		}
	}
	return "the run that is working"
}

// queued calls f while the run is surely queued. The queue's lock is held meanwhile.
func (r *run) queued(f func()) error {
	queue, err := r.l.lockQueue()
	if err != nil {
		return err
	}
	defer queue.Close()
	if r.rec, err = r.dir.Record(); err != nil {
		return err
	}
	if r.rec.State != wire.Queued {
		return errSuperseded
	}
	f()
	return nil
}

// begin makes the run the one that works.
func (r *run) begin() error {
	var err error
	if e := r.queued(func() {
		r.rec.State, r.rec.Started, r.rec.Pid = wire.Running, time.Now(), os.Getpid()
		err = r.dir.SetRecord(r.rec)
	}); e != nil {
		return e
	}
	return err
}

// work deploys the commit and moves the branch. Where that is not to be, rec.State says so.
func (r *run) work(ctx context.Context) error {
	tip, err := r.l.tip(ctx, r.rec.Branch)
	if err != nil {
		return err
	}
	if r.waited {
		if err := r.verifyAgain(ctx, tip); err != nil {
			r.rec.State, r.rec.Error = wire.Refused, plainError(err).Error()
			return nil
		}
	}
	if r.rec.Check {
		return r.check(ctx, tip)
	}
	if tip != "" {
		if done, err := r.compare(ctx, tip); done || err != nil {
			return err
		}
	}
	if err := r.phases(ctx); err != nil {
		return err
	}
	return r.moveBranch(context.WithoutCancel(ctx), tip)
}

// compare settles runs that have nothing to deploy, given where the branch is. Only from the
// commit that the request named it may be taken to one that is no descendant.
func (r *run) compare(ctx context.Context, tip string) (done bool, err error) {
	switch tip {
	case r.rec.Commit:
		if r.rec.Rerun {
			return false, nil
		}
		r.rec.State = wire.Current
		return true, nil
	case r.rec.Force:
		return false, nil
	}
	beyond, err := r.l.isAncestor(ctx, r.rec.Commit, tip)
	if err != nil {
		return false, err
	}
	if beyond && r.rec.Force == "" {
		r.rec.State, r.rec.Other = wire.Superseded, tip
		return true, nil
	}
	forward, err := r.l.isAncestor(ctx, tip, r.rec.Commit)
	if err != nil || forward {
		return false, err
	}
	r.rec.State = wire.Refused
	r.rec.Error = fmt.Sprintf("%s is not a descendant of %s, which %s: fetch that, merge it and push the result",
		short(r.rec.Commit), short(tip), r.l.deployedBy(tip))
	if r.rec.Force != "" {
		r.rec.Error = fmt.Sprintf("%s was to be taken away, but now %s is deployed: look again, then push", short(r.rec.Force), short(tip))
	}
	return true, nil
}

// phases are what a deployment consists of.
func (r *run) phases(ctx context.Context) error {
	spec := deployment.Spec{
		Checkout:   r.l.checkout(r.rec.Run),
		Venvs:      r.l.Venvs(),
		Run:        r.rec.Run,
		Commit:     r.rec.Commit,
		Hostname:   r.rec.Host,
		ReportFile: r.dir.Report(),
		Stdout:     r.log.Stream(wire.Stdout),
		Stderr:     r.log.Stream(wire.Stderr),
		Note:       r.log.Note,
		Check:      r.rec.Check,
	}
	if err := r.phase("checkout"); err != nil {
		return err
	}
	if err := r.l.checkOut(ctx, r.dir, r.rec.Commit, spec.Checkout, r.log.Note); err != nil {
		return err
	}
	if err := r.phase("venv"); err != nil {
		return err
	}
	var err error
	if spec.VenvTimeout, err = r.l.venvTimeout(ctx); err != nil {
		return err
	}
	venv, err := deployment.EnsureVenv(ctx, spec)
	if err != nil {
		return err
	}
	name := "deploy"
	if r.rec.Check {
		name = "check"
	}
	if err := r.phase(name); err != nil {
		return err
	}
	if r.rec.Roles, r.rec.Reported, err = deployment.Deploy(ctx, spec, venv); err != nil {
		return err
	}
	return r.keepLog()
}

// check runs the checks of what is deployed.
func (r *run) check(ctx context.Context, tip string) error {
	if tip != r.rec.Commit {
		r.rec.State, r.rec.Other = wire.Superseded, tip
		return nil
	}
	if err := r.phases(ctx); err != nil {
		return err
	}
	r.rec.State = wire.OK
	return nil
}

func (r *run) phase(name string) error {
	r.rec.Phase = name
	r.log.Phase(name)
	return r.dir.SetRecord(r.rec)
}

// short is an object name as people read it.
func short(oid string) string { return oid[:min(len(oid), 12)] }
