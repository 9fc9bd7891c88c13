package nodeside

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// Attach writes the preface, the frames of run id's log from byte offset on as they come,
// heartbeats while there are none, and the result. It may be called before the run exists,
// and ends where out cannot be written any more. A follower may ask on in, by [wire.AskWindow],
// that no more is sent than it takes; in is read until its end, which outlasts Attach.
func Attach(ctx context.Context, l Layout, id string, offset int64, in io.Reader, out io.Writer) error {
	if !validRun(id) {
		return fmt.Errorf("nodeside: %q is no run", id)
	}
	if _, err := io.WriteString(out, wire.Preface); err != nil {
		return fmt.Errorf("nodeside: following run %s: %w", id, err)
	}
	window := wire.NewWindow(out)
	go window.Listen(in) // nothing can end a read of standard input but its end
	return attach(ctx, l, id, offset, newFrameSink(window))
}

// attach is Attach after the preface.
func attach(ctx context.Context, l Layout, id string, offset int64, out *frameSink) error {
	r, err := runlog.Follow(ctx, l.Runs(), id, offset, out)
	if err != nil {
		return fmt.Errorf("nodeside: following run %s: %w", id, err)
	}
	return out.done(r)
}

// frameSink passes frames on as they are.
type frameSink struct {
	out  io.Writer
	now  func() time.Time
	last time.Time // of the last write
}

func newFrameSink(out io.Writer) *frameSink {
	return &frameSink{out: out, now: time.Now, last: time.Now()}
}

// done writes the result, the last frame.
func (s *frameSink) done(r wire.Result) error {
	b, err := json.Marshal(r)
	if err == nil {
		err = s.Frames(wire.AppendFrame(nil, wire.Done, b))
	}
	if err != nil {
		return fmt.Errorf("nodeside: reporting run %s: %w", r.Run, err)
	}
	return nil
}

var _ runlog.Sink = (*frameSink)(nil)

// Frames implements [runlog.Sink].
func (s *frameSink) Frames(b []byte) error {
	_, err := s.out.Write(b)
	s.last = s.now()
	return err
}

// Idle implements [runlog.Sink]: it keeps the connection, and finds out that it is lost.
func (s *frameSink) Idle() error {
	if s.now().Sub(s.last) < wire.HeartbeatInterval {
		return nil
	}
	return s.Frames(wire.AppendFrame(nil, wire.Heartbeat, nil))
}
