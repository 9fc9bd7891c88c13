package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"troops/nodeside/wire"
	"troops/push/gitwire"
	"troops/push/packs"
	"troops/sshx"
)

// session is receive-pack on a channel of the node, with what it advertised.
type session struct {
	conn   Conn
	limits limits
	ch     Channel
	git    *gitwire.Session
	adv    *gitwire.Advertisement
	stderr *tail
	drain  *sync.WaitGroup
}

// open starts receive-pack on the node and reads its advertisement.
func (n *node) open(ctx context.Context) (*session, error) {
	return openSession(ctx, n.conn, n.rollout.RepoPath, n.rollout.limits)
}

// receivePacks are the names by which a node's shell may know receive-pack. The second one does
// where only git itself is on PATH; the first is all that git-shell and forced commands know.
var receivePacks = []string{"git-receive-pack", "git receive-pack"}

// notFound is the exit code of a shell that knows no such command.
const notFound = 127

func openSession(ctx context.Context, conn Conn, repoPath string, l limits) (*session, error) {
	path, err := QuotePath(repoPath)
	if err != nil {
		return nil, err
	}
	var first error
	for _, program := range receivePacks {
		s, ended, err := startSession(ctx, conn, program+" "+path, l)
		if err == nil {
			return s, nil
		}
		if s == nil {
			return nil, err
		}
		if err = explainOpen(err, s.stderr.String(), repoPath); first == nil {
			first = err
		}
		var exit *sshx.ExitError
		if !errors.As(ended, &exit) || exit.Status != notFound {
			return nil, err
		}
	}
	return nil, first
}

// startSession starts receive-pack by a command line. Where that ran and did not get as far as
// its refs, the session, which is closed, has what it said, and ended is how it ended.
func startSession(ctx context.Context, conn Conn, line string, l limits) (s *session, ended, err error) {
	ch, err := conn.Exec(ctx, line)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a channel: %w", err)
	}
	s = &session{conn: conn, limits: l, ch: ch, stderr: new(tail), drain: new(sync.WaitGroup)}
	s.drain.Go(func() { io.Copy(s.stderr, ch.Stderr()) })
	inTime := within(s.limits.advertisement, s.conn, func() { s.git, s.adv, err = gitwire.ReadAdvertisement(ctx, hangUp{ch.Stdout(), s.conn}) })
	if !inTime {
		err = fmt.Errorf("git listed no refs within %v", s.limits.advertisement)
	}
	if err != nil {
		return s, s.close(), err
	}
	return s, nil, nil
}

// hangUp is a channel's output for gitwire, which hangs up on a node that makes no sense.
type hangUp struct {
	io.Reader
	io.Closer
}

// none is the object name of nothing in the node's object format.
func (s *session) none() gitwire.OID { return gitwire.ZeroOID(s.adv.ObjectFormat) }

// close ends the channel and whatever reads from it. How receive-pack ended tells nothing of a
// push, only git's report does: it exits 0 for one that was rejected.
func (s *session) close() (ended error) {
	within(s.limits.hangUp, s.conn, func() {
		s.ch.Close()
		s.drain.Wait()
		ended = s.ch.Wait()
	})
	return ended
}

// end says goodbye where there is nothing to push. The outcome stands whatever comes of it.
func (s *session) end(ctx context.Context) {
	within(s.limits.hangUp, s.conn, func() { _ = s.git.End(ctx, s.ch.Stdin()) })
}

// send pushes one command over the session; a node that cannot complete a thin pack gets a
// whole one on a second try. The error is nil where the node did the command; see [rejected].
func (n *node) send(ctx context.Context, s *session, cmd gitwire.Command, options []string) error {
	said, err := n.sendOnce(ctx, s, cmd, options, true)
	if !incomplete(err, said) {
		return explainPush(err, said)
	}
	n.note("the node could not complete the pack: sending a whole one")
	again, openErr := n.open(ctx)
	if openErr != nil {
		return explainPush(err, said)
	}
	s.close()
	*s = *again
	said, err = n.sendOnce(ctx, s, cmd, options, false)
	return explainPush(err, said)
}

// incomplete reports whether a push failed since the node lacks objects that its refs
// promised, as a shallow or damaged repository does. Git says so in these words only.
func incomplete(err error, said string) bool {
	var unpack *gitwire.UnpackError
	var no *gitwire.RejectedError
	return errors.As(err, &unpack) && strings.Contains(said, "unresolved delta") ||
		errors.As(err, &no) && no.Reason == "missing necessary objects"
}

// sendOnce returns the end of what the node's git and hooks said, too.
func (n *node) sendOnce(ctx context.Context, s *session, cmd gitwire.Command, options []string, thin bool) (string, error) {
	flags, haves := packs.FlagsOf(s.adv), packs.HavesOf(s.adv, wire.IsVersionRef)
	if !thin {
		flags.NoThin, haves = true, nil
	}
	pack, err := n.store.Open(ctx, n.rollout.Commit, haves, flags)
	if err != nil {
		return "", &gitwire.PackError{Err: err}
	}
	if err := n.admit(ctx, pack); err != nil {
		pack.Close()
		return "", err
	}
	up := &upload{WriteCloser: s.ch.Stdin(), limit: s.limits.upload}
	if isRun(cmd) {
		up.after = s.limits.accept
	}
	up.timer = time.AfterFunc(up.limit, func() { s.conn.Close() })
	up.timer.Stop() // the pack may take its time to be made
	defer up.timer.Stop()
	req := gitwire.Request{Commands: []gitwire.Command{cmd}, Shallow: n.store.Shallow(), Pack: pack, Agent: "troops"}
	if s.adv.Caps.Has("push-options") {
		req.Options = options
	}
	h := &band{n: n}
	report, err := s.git.Push(ctx, up, req, h)
	var lost *gitwire.LostError
	if report != nil && (err == nil || errors.As(err, &lost) && lost.Reported && isRun(cmd)) {
		err = report.Err() // a run is followed elsewhere: what else git would have said does not matter
	}
	return h.said.String(), err
}

// options tell the node's hook what the push is about, given what the node has deployed.
func (n *node) options(branch string, at gitwire.OID) []string {
	o := []string{wire.OptionHost + n.target.Name, wire.OptionBranch + branch, wire.OptionBy + n.rollout.By}
	if n.rollout.Rerun {
		o = append(o, wire.OptionRerun+"yes")
	}
	if n.forced(at) {
		o = append(o, wire.OptionForce+string(at))
	}
	return o
}

func isRun(cmd gitwire.Command) bool { return strings.HasPrefix(cmd.Ref, wire.RunRefPrefix) }

// band shows what the node's git and hooks print and keeps the end of it.
type band struct {
	n    *node
	said tail
}

// Sideband implements gitwire.Handler.
func (b *band) Sideband(p []byte) {
	b.said.Write(p)
	b.n.emit(Git, p)
}

// upload hangs up, by its timer, on a node that leaves a write waiting for limit, and that
// has not answered for the time of after once it has everything; zero lets it take its time,
// as the hooks of a plain repository may. While the pack is made the clock stands.
type upload struct {
	io.WriteCloser
	limit, after time.Duration
	timer        *time.Timer
}

// Write implements io.Writer.
func (u *upload) Write(p []byte) (int, error) {
	u.timer.Reset(u.limit)
	defer u.timer.Stop()
	return u.WriteCloser.Write(p)
}

// Close implements io.Closer.
func (u *upload) Close() error {
	if u.after > 0 {
		u.timer.Reset(u.after)
	}
	return u.WriteCloser.Close()
}

// rejected is the outcome of a push that ended with this error where the error says that
// nothing was taken. It is nil where there is no error, or where the node may have taken it.
func rejected(err error) Outcome {
	var no *gitwire.RejectedError
	var lost *gitwire.LostError
	var kept *declined
	switch {
	case err == nil, errors.As(err, &lost):
		return nil
	case errors.As(err, &kept):
		return NotStarted{Why: kept.Error()}
	case errors.As(err, &no) && strings.HasPrefix(no.Reason, "troops: run "):
		return runReason(no.Reason)
	case errors.As(err, &no):
		out := Refused{Reason: no.Reason}
		if known := (*refusal)(nil); errors.As(err, &known) {
			out.Hint = known.hint
		}
		return out
	}
	return Failed{Phase: PhasePush, Err: err}
}

// runReason is the outcome that a hook gives a run in git's own report.
func runReason(reason string) Outcome {
	run, rest, _ := strings.Cut(strings.TrimPrefix(reason, "troops: run "), " ")
	if by, ok := strings.CutPrefix(rest, wire.ReasonGaveWay); ok {
		return Superseded{By: by}
	}
	if strings.HasPrefix(rest, wire.ReasonGoesOn) {
		return Unknown{Run: run, Err: errors.New("it " + rest)}
	}
	return Failed{Run: run, Phase: "run", Err: errors.New(reason)}
}
