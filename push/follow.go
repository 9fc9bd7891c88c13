package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"troops/nodeside/wire"
	"troops/sshx"
)

const (
	// RedialFirst and RedialMost bound the pause between two attempts to find a lost node:
	// it doubles, with jitter.
	RedialFirst = 500 * time.Millisecond
	RedialMost  = 15 * time.Second
)

var (
	errNoAttach = errors.New("the node does not let troops attach")
	errSilent   = errors.New("the node went silent")
	errBroke    = errors.New("the connection broke")
	errLeft     = errors.New("left on request, what runs there goes on")
	errNotTaken = errors.New("the connection broke before the node said that it took the commit")
)

// follower reads a run's frames from a node and remembers how far it came, so that a later
// connection goes on from there.
type follower struct {
	emit   func(Stream, []byte)
	phase  func(string)
	run    string
	offset int64     // of the log, in bytes of stored frames
	seen   func()    // called when the node shows that it has the run: the first stored frame
	heard  time.Time // when the last frame came, whatever it was
	limits limits
	// other takes the frames of kinds that attach does not send; its error ends reading. It may be nil.
	other func(wire.Frame) error
}

// attachment is an attach command that answered with its preface.
type attachment struct {
	conn   Conn
	limits limits
	ch     Channel
	reader *wire.Reader
	taker  wire.Taker // where the node was asked for a window
	stderr *tail
	drain  sync.WaitGroup
}

// attach opens a channel that follows the run. An error wraps errNoAttach where the node cannot
// attach at all: no second channel, a forced command, no troops; it is a *wire.VersionError where
// it speaks another version. Then nothing has been sent that matters.
func (f *follower) attach(ctx context.Context, conn Conn, repo string) (*attachment, error) {
	a, err := f.followBy(ctx, conn, repo, fmt.Sprintf("attach %s %d", f.run, f.offset))
	if err == nil {
		// An error is the connection's, which reading tells.
		a.taker.W = a.ch.Stdin()
		within(f.limits.silence, conn, func() { _, _ = io.WriteString(a.ch.Stdin(), wire.AskWindow()) })
	}
	return a, err
}

// followBy is attach by a command of the node's launcher that prints frames.
func (f *follower) followBy(ctx context.Context, conn Conn, repo, command string) (*attachment, error) {
	launcher, err := QuotePath(strings.TrimSuffix(repo, "/") + "/" + wire.Launcher)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Exec(ctx, launcher+" "+command)
	var refused *sshx.ChannelError
	if errors.As(err, &refused) {
		return nil, fmt.Errorf("%w: %w", errNoAttach, err)
	} else if err != nil {
		return nil, fmt.Errorf("attaching to the run: %w", err)
	}
	a := &attachment{conn: conn, limits: f.limits, ch: ch, reader: wire.NewReader(ch.Stdout()), stderr: new(tail)}
	a.drain.Go(func() { io.Copy(a.stderr, ch.Stderr()) })
	var noise []byte
	inTime := within(f.limits.silence, conn, func() { noise, err = a.reader.SkipPreface() })
	if err == nil {
		return a, nil
	}
	var lost *sshx.LostError
	var other *wire.VersionError
	ended := a.close()
	switch {
	case errors.As(err, &other):
	case !inTime:
		err = fmt.Errorf("attaching to the run: %w", errSilent)
	case errors.As(ended, &lost):
		err = fmt.Errorf("attaching to the run: %w", ended)
	default:
		err = fmt.Errorf("%w: %w: %q", errNoAttach, err, clip(strings.TrimSpace(string(noise)+a.stderr.String())))
	}
	return nil, err
}

// close ends the attach, and returns how the node's command ended.
func (a *attachment) close() (err error) {
	within(a.limits.hangUp, a.conn, func() {
		a.ch.Close()
		a.drain.Wait()
		err = a.ch.Wait()
	})
	return err
}

// read tells the run's frames until its result, which it returns, or until the stream breaks.
func (f *follower) read(a *attachment) (*wire.Result, error) {
	var silent sync.Once
	quiet := false
	timer := time.AfterFunc(f.limits.silence, func() { silent.Do(func() { quiet = true; a.conn.Close() }) })
	defer timer.Stop()
	for {
		timer.Reset(f.limits.silence)
		fr, err := a.reader.Next()
		timer.Stop() // the sink may hold us back as long as it likes
		if err != nil {
			silent.Do(func() {})
			switch {
			case quiet:
				err = errSilent
			case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
				err = errBroke
			}
			return nil, err
		}
		f.heard = time.Now()
		if fr.Kind.Stored() {
			f.offset += fr.Size()
			f.seen()
		}
		switch fr.Kind {
		case wire.Stdout:
			f.emit(Stdout, fr.Payload)
		case wire.Stderr:
			f.emit(Stderr, fr.Payload)
		case wire.Note, wire.Aside:
			f.emit(Note, fr.Payload)
		case wire.Phase:
			if p := string(fr.Payload); slices.Contains(runPhases, p) {
				f.phase(p)
			}
		case wire.Done:
			res, err := wire.ParseResult(fr.Payload)
			if err != nil {
				return nil, err
			}
			return &res, nil
		case wire.Windowed, wire.Heartbeat:
		default:
			if f.other != nil {
				if err := f.other(fr); err != nil {
					return nil, err
				}
			}
		}
		timer.Reset(f.limits.silence) // nor may the node refuse to hear what was taken
		a.taker.Took(fr)
	}
}

// runPhases are the phases that a run tells of; a node's other words for a phase are dropped.
var runPhases = []string{"checkout", "venv", "deploy", "check"}

// redial looks for a lost node until attempt says that it was found, or until the deadline, if
// that is not zero. It pauses before each attempt, longer and longer.
func redial(ctx context.Context, deadline time.Time, attempt func(context.Context) (found bool, err error)) error {
	if !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadlineCause(ctx, deadline, errors.New("not found again"))
		defer cancel()
	}
	last := context.Cause(ctx)
	for pause := RedialFirst; ; pause = min(2*pause, RedialMost) {
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		found, err := attempt(ctx)
		if found {
			return err
		}
		last = err
	}
}

// clip shortens a node's text for an error message.
func clip(s string) string {
	const limit = 500
	if len(s) > limit {
		return s[:limit] + "..."
	}
	return s
}
