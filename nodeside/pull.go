package nodeside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"troops/nodeside/runlog"
	"troops/nodeside/trust"
	"troops/nodeside/wire"
)

// PullTimeout bounds how long a pull may take to find out what to deploy: the remotes are
// asked twice where nothing is deployed yet, and another pull may go first.
const PullTimeout = 4*FetchTimeout + StartTimeout

// PullOptions say who pulls.
type PullOptions struct {
	Now bool      // deploy a commit that has failed without waiting for its time
	Out io.Writer // what is to be known about remotes, and the run's output
}

// Pull fetches from the node's remotes, deploys what is there as a push does, and follows
// the run. Where there is nothing to do, and without remotes, it is silent. An error says
// that nothing could be deployed, or that the deployment failed.
func Pull(ctx context.Context, l Layout, o PullOptions) error {
	id := ulid.Make().String()
	a, err := l.ask(ctx, Request{Run: id, Pull: true, Now: o.Now, By: "pull"}, PullTimeout)
	if err != nil {
		return fmt.Errorf("nodeside: pulling: %w", err)
	}
	for _, n := range a.Notes {
		if _, err := fmt.Fprintf(o.Out, "troops: %s\n", plain(n, maxReason)); err != nil {
			return fmt.Errorf("nodeside: reporting on the pull: %w", err)
		}
	}
	if a.Run == "" {
		if a.Result != nil && a.Result.Error != "" {
			return errors.New("nodeside: pulling: " + a.Result.Error)
		}
		return nil
	}
	c := &client{out: o.Out, gone: func() bool { return false }}
	r, err := c.follow(ctx, l, a.Run)
	if err != nil {
		return fmt.Errorf("nodeside: following run %s, which goes on: %w", a.Run, err)
	}
	if reason := failure(r); reason != "" && r.State != wire.Superseded {
		return errors.New("nodeside: pulling: " + reason)
	}
	return nil
}

// PullFrames is [Pull] for a workstation: run id is what it follows, as [Attach] does, and
// out gets a result in any case; host is the name by which the workstation knows the node. A commit that has failed does not wait for its time.
func PullFrames(ctx context.Context, l Layout, id, host, by string, out io.Writer) error {
	if !validRun(id) {
		return fmt.Errorf("nodeside: %q is no run", id)
	}
	if _, err := io.WriteString(out, wire.Preface); err != nil {
		return fmt.Errorf("nodeside: following run %s: %w", id, err)
	}
	sink := newFrameSink(out)
	q := Request{Run: id, Host: host, Pull: true, Now: true, By: parseOptions([]string{wire.OptionBy + by}).by}
	var a answer
	var err error
	beat(sink, time.Second, func() { a, err = l.ask(ctx, q, PullTimeout) })
	switch {
	case err != nil:
		return sink.done(wire.Result{Run: id, State: wire.Failed, Phase: phaseFetch, Error: err.Error()})
	case a.Run != "":
		return attach(ctx, l, id, 0, sink)
	case a.Result == nil:
		return errors.New("nodeside: the pull has no result")
	}
	// Not of any log, so nobody will ask for what comes after them by an offset.
	for _, n := range a.Notes {
		if err := sink.Frames(wire.AppendFrame(nil, wire.Note, []byte(plain(n, maxReason)))); err != nil {
			return fmt.Errorf("nodeside: reporting on the pull: %w", err)
		}
	}
	return sink.done(*a.Result)
}

// maxPullError is the longest reason of a pull for having deployed nothing, in bytes: there
// may be many remotes.
const maxPullError = 8 << 10

// phaseFetch is the phase of pulls that end before there is a run.
const phaseFetch = "fetch"

// beat does f, and shows the workstation meanwhile that the node lives: it looks every so often
// whether it is time to.
func beat(sink *frameSink, every time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			_ = sink.Idle() // where nobody listens any more, f goes on all the same
		}
	}
}

// puller is one pull, in the process that may do it.
type puller struct {
	l     Layout
	q     Request
	notes []string // for people

	verifier *trust.Verifier // nil where nothing has to be signed
}

func (p *puller) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// pull fetches from all remotes and queues the run of the furthest commit. One pull at a time.
func (l Layout) pull(ctx context.Context, q Request) (answer, error) {
	lock, err := os.OpenFile(filepath.Join(l.Dir, "pull.lock"), os.O_RDWR|os.O_CREATE, lockMode)
	if err != nil {
		return answer{}, fmt.Errorf("nodeside: opening the pull's lock: %w", err)
	}
	defer lock.Close()
	if err := runlog.Lock(lock); err != nil {
		return answer{}, err
	}
	p := &puller{l: l, q: q}
	a, err := p.pull(ctx)
	if a.Result != nil {
		a.Result.Run, a.Result.Error = q.Run, plain(a.Result.Error, maxPullError)
		if a.Result.State != wire.Current && a.Result.Phase == "" {
			a.Result.Phase = phaseFetch
		}
	}
	a.Notes = p.notes
	return a, err
}

func (p *puller) pull(ctx context.Context) (answer, error) {
	remotes, err := p.l.remotes(ctx)
	if err == nil {
		err = p.l.forgetRemotes(ctx, remotes)
	}
	if err != nil {
		return answer{}, err
	}
	if len(remotes) == 0 {
		return p.idle(wire.Refused, "there is no remote to pull from: git --git-dir="+p.l.Repo()+" remote add NAME URL"), nil
	}
	if p.verifier, err = p.l.verifier(ctx); err != nil {
		return answer{Result: &wire.Result{State: wire.Refused, Error: plainError(err).Error()}}, nil
	}
	f := p.l.fetcher()
	branch, err := p.l.deployedBranch(ctx)
	if err != nil {
		return answer{}, err
	}
	if branch == "" {
		if branch, err = f.firstBranch(ctx, remotes); err != nil {
			return answer{Result: &wire.Result{State: wire.Refused, Error: err.Error()}}, nil
		}
	}
	if branch == "" {
		return p.unreachable(remotes, errors.New("it has no branch")), nil
	}
	if err := f.fetch(ctx, remotes, branch); err != nil {
		return answer{}, err
	}
	tip, err := p.l.tip(ctx, branch)
	if err != nil {
		return answer{}, err
	}
	chosen, from, a, err := p.choose(ctx, remotes, branch, tip)
	if chosen == "" || err != nil {
		return a, err
	}
	if !p.q.Now {
		due, why, err := p.l.due(chosen, time.Now())
		if err != nil || !due {
			p.note("%s", why)
			return answer{}, err
		}
	}
	p.note("pulled %s from %s", short(chosen), from)
	told := make([]string, len(p.notes))
	for i, n := range p.notes {
		told[i] = plain(n, maxReason)
	}
	id, err := p.l.accept(ctx, Request{
		Run: p.q.Run, Commit: chosen, Branch: branch, Host: p.q.Host, By: p.q.By, told: strings.Join(told, "\n"),
	})
	return answer{Run: id}, err
}

// idle is the answer where there is nothing to do: of no interest unless somebody wants to know.
func (p *puller) idle(s wire.State, why string) answer {
	if !p.q.Now {
		return answer{}
	}
	return answer{Result: &wire.Result{State: s, Error: why}}
}

// unreachable is the answer where no remote could be fetched from.
func (p *puller) unreachable(remotes []*remote, otherwise error) answer {
	var all []string
	for _, r := range remotes {
		err := r.err
		if err == nil {
			err = otherwise
		}
		all = append(all, fmt.Sprintf("remote %s: %v", r.name, err))
	}
	return answer{Result: &wire.Result{State: wire.Failed, Error: "no remote could be fetched from: " + strings.Join(all, "; ")}}
}
