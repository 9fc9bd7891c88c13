package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"troops/nodeside/wire"
	"troops/push/gitwire"
	"troops/push/packs"
	"troops/sshx"
)

// node is the push to one node.
type node struct {
	rollout *Rollout
	store   *packs.Store
	target  Target
	shown   func(NodePlan) // hears what the node will get
	conn    Conn
	way     string // how conn reaches the node, empty where it does not say
	hangUp  func() // closes conn; may be called again
	result  *wire.Result

	admit func(context.Context, *packs.Pack) error // waits until the pack may be sent
}

func (n *node) emit(s Stream, b []byte) {
	n.rollout.Sink.Emit(Output{Node: n.target.Host, Stream: s, Data: b})
}

func (n *node) note(format string, args ...any) { n.emit(Note, fmt.Appendf(nil, format, args...)) }

func (n *node) phase(p string) {
	n.rollout.Sink.Emit(Phase{Node: n.target.Host, Phase: p, At: time.Now()})
}

// deploy takes the node from a dial to its outcome.
func (n *node) deploy(ctx context.Context) Outcome {
	n.phase(PhaseConnect)
	if err := n.dial(ctx, ctx); err != nil {
		if ctx.Err() != nil {
			return NotStarted{Why: "interrupted"}
		}
		return Unreachable{Err: err}
	}
	defer func() { n.hangUp() }()

	n.phase(PhasePush)
	s, err := n.open(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return NotStarted{Why: "interrupted"}
		}
		return Failed{Phase: PhasePush, Err: n.by(err)}
	}
	defer func() { s.close() }()
	if out := n.fits(s.adv); out != nil {
		s.end(ctx)
		return out
	}
	branch, troops, at := deployedBranch(s.adv, n.rollout.Branch)
	plan := n.compare(ctx, at, troops)
	n.shown(plan)
	if plan.Outcome != nil {
		s.end(ctx)
		return plan.Outcome
	}
	if !troops {
		return n.pushBranch(ctx, s, branch, at)
	}
	return n.pushRun(ctx, s, branch, at)
}

// dial connects to the node while dialling lasts. The connection is closed when ctx ends, which
// wakes whatever waits on it, or by hangUp.
func (n *node) dial(ctx, dialling context.Context) error {
	conn, err := n.rollout.Dial(dialling, n.target.Host)
	if err != nil {
		return err
	}
	n.conn = conn
	if c, ok := conn.(interface{ Transport() string }); ok {
		n.way = c.Transport()
		n.rollout.Sink.Emit(Connected{Node: n.target.Host, Transport: n.way})
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	n.hangUp = func() {
		stop()
		conn.Close()
	}
	return nil
}

// by adds to an error the program that the node is reached by, which may be at fault.
func (n *node) by(err error) error {
	var named *sshx.ProgramError
	if n.way == "" || n.way == string(sshx.TransportNative) || errors.As(err, &named) {
		return err
	}
	return fmt.Errorf("%w (reached by %s)", err, n.way)
}

// pushRun asks a troops node for a run and follows it.
func (n *node) pushRun(ctx context.Context, s *session, branch string, at gitwire.OID) Outcome {
	f := n.follower(ulid.Make().String())
	ask := gitwire.Command{Ref: wire.RunRefPrefix + f.run, Old: s.none(), New: n.rollout.Commit}
	if n.rollout.NoWait {
		return n.startRun(ctx, s, ask, f.run, n.options(branch, at))
	}
	a, err := f.attach(ctx, n.conn, n.rollout.RepoPath)
	if err != nil {
		if ctx.Err() != nil {
			return NotStarted{Why: "interrupted"}
		}
		if out := n.otherVersion(err); out != nil { // it was upgraded just now
			s.end(ctx)
			return out
		}
		if !errors.Is(err, errNoAttach) {
			return Failed{Phase: PhasePush, Err: err} // nothing has been sent
		}
		n.note("no second channel (%s): following through git", oneLine(err))
		return n.pushBranch(ctx, s, branch, at)
	}
	defer func() { a.close() }()

	err = n.send(ctx, s, ask, n.options(branch, at))
	if err != nil && ctx.Err() != nil {
		return Unknown{Run: f.run, Err: errLeft}
	}
	if out := rejected(err); out != nil {
		return out
	}
	lost := err != nil // the node may have taken it all the same
	if !lost {
		if n.result, err = f.read(a); err == nil {
			return n.outcome(f.run)
		}
	}
	return n.refind(ctx, f, &a, lost, err)
}

func (n *node) follower(run string) *follower {
	return &follower{emit: n.emit, phase: n.phase, run: run, seen: func() {}, limits: n.rollout.limits}
}

// startRun asks a troops node for a run and leaves once the node has it.
func (n *node) startRun(ctx context.Context, s *session, ask gitwire.Command, run string, options []string) Outcome {
	err := n.send(ctx, s, ask, options)
	switch out := rejected(err); {
	case err == nil:
		return Started{Run: run}
	case ctx.Err() == nil && out != nil:
		return out
	}
	return Unknown{Run: run, Err: errors.Join(errNotTaken, err)}
}

// refind looks for a node that was lost during a run and follows the run to its end. Where the
// push was never acknowledged (unsure), the node must first show that it has the run.
func (n *node) refind(ctx context.Context, f *follower, a **attachment, unsure bool, cause error) Outcome {
	f.heard = time.Now()
	for {
		if ctx.Err() != nil {
			return Unknown{Run: f.run, Err: errLeft}
		}
		n.note("lost contact (%s): looking for the node for %v", oneLine(cause), n.rollout.Reconnect)
		(*a).close()
		n.hangUp()
		err := redial(ctx, f.heard.Add(n.rollout.Reconnect), func(dialling context.Context) (bool, error) {
			if err := n.dial(ctx, dialling); err != nil {
				return false, err
			}
			next, err := f.attach(ctx, n.conn, n.rollout.RepoPath) // outlives the looking
			if err != nil {
				n.hangUp()
				return n.otherVersion(err) != nil, n.versioned(err) // which waiting does not change
			}
			*a = next
			return true, nil
		})
		if ctx.Err() != nil {
			continue
		}
		if err != nil {
			return Unknown{Run: f.run, Err: errors.New(oneLine(err))}
		}
		n.note("found again")
		if unsure {
			unsure = !n.adopt(f, *a)
		} else {
			n.result, err = f.read(*a)
			cause = err
		}
		switch {
		case n.result != nil:
			return n.outcome(f.run)
		case unsure:
			// Git there may still be at work on what it got before the connection broke.
			return Unknown{Run: f.run, Err: fmt.Errorf("%w (%w)", errNotTaken, cause)}
		}
	}
}

// adopt follows the run as read does if the node shows within [AdoptTimeout] that it has it,
// and reports whether it has.
func (n *node) adopt(f *follower, a *attachment) bool {
	timer := time.AfterFunc(n.rollout.limits.adopt, func() { a.conn.Close() })
	defer timer.Stop()
	has := false
	f.seen = func() { has = true; timer.Stop() }
	n.result, _ = f.read(a)
	f.seen = func() {}
	return has || n.result != nil
}

// pushBranch updates the branch itself and shows what git's sideband brings until the last
// hook has ended: the way of a repository that is no troops node.
func (n *node) pushBranch(ctx context.Context, s *session, branch string, at gitwire.OID) Outcome {
	if at == "" {
		at = s.none()
	}
	err := n.send(ctx, s, gitwire.Command{Ref: branch, Old: at, New: n.rollout.Commit}, n.options(branch, at))
	if err == nil {
		troops, _ := speaks(s.adv) // then the hook told how the run ended
		return Deployed{Plain: !troops}
	}
	if ctx.Err() != nil {
		return Unknown{Err: errLeft}
	}
	if out := rejected(err); out != nil {
		return out
	}
	return Unknown{Err: err}
}

// outcome reads the run's result.
func (n *node) outcome(asked string) Outcome {
	r, t := n.result, n.target
	if n.rollout.Commit != "" && r.Commit != string(n.rollout.Commit) {
		return Unknown{Run: asked, Err: fmt.Errorf("the node reports on another commit, %q", clip(r.Commit))}
	}
	switch r.State {
	case wire.OK:
		if t.Complete && r.Reported && !slices.Equal(r.Roles, t.Roles) {
			return Failed{Run: r.Run, Phase: "roles", Err: fmt.Errorf("roles differ: here {%s}, node {%s}",
				strings.Join(t.Roles, ", "), strings.Join(r.Roles, ", "))}
		}
		return Deployed{Run: r.Run}
	case wire.Current:
		if n.rollout.Rerun {
			return Refused{Reason: "the node did not run the commit again", Hint: "its troops is too old for --rerun: " + n.upgrade()}
		}
		return Current{}
	}
	return endOf(*r)
}

// endOf is the outcome of a run that ended, by its result alone.
func endOf(r wire.Result) Outcome {
	switch r.State {
	case wire.OK:
		return Deployed{Run: r.Run}
	case wire.Current:
		return Current{}
	case wire.Superseded:
		return Superseded{By: r.Other}
	case wire.Refused:
		return Refused{Reason: r.Error}
	case wire.Interrupted:
		return Failed{Run: r.Run, Phase: r.Phase, Err: errors.New("the run was interrupted on the node (reboot, kill, or out of memory); push again")}
	case wire.Absent:
		return Unknown{Run: r.Run, Err: errors.New(r.Error)}
	}
	out := Failed{Run: r.Run, Phase: r.Phase, ExitCode: r.ExitCode, Signal: r.Signal}
	if r.Error != "" {
		out.Err = errors.New(r.Error)
	}
	return out
}

func short(oid gitwire.OID) string { return string(oid[:min(len(oid), 10)]) }

// oneLine is an error's text without line feeds.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
