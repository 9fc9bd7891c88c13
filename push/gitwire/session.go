package gitwire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// HangUpGrace is how long a server that has ended its output may leave a write to it hanging
// before the connection is closed.
const HangUpGrace = 5 * time.Second

const (
	sendBuffer = 32 << 10 // one SSH packet: a small push leaves in a single write
	drainLimit = 64 << 10 // read and dropped between the server's last word and its end
)

// Handler hears the server while a push goes on. It is called from the goroutine of Push.
type Handler interface {
	// Sideband takes bytes that the server's hooks and git printed, as soon as they are there:
	// they may end inside a line or a character. The slice is valid until Sideband returns. While
	// it blocks nothing more is read, which in the end holds back the hook.
	Sideband(p []byte)
}

// ReportHandler is a Handler that wants to know the report when it comes, which is before
// post-receive hooks run.
type ReportHandler interface {
	Handler
	// Reported is called at most once. The report is Push's own: read it, do not keep it.
	Reported(*Report)
}

// Session is a connection to receive-pack whose advertisement has been read. It serves one push
// and is not for concurrent use.
type Session struct {
	r    io.Reader
	pk   packets
	adv  *Advertisement
	hung sync.Once
	used bool

	grace time.Duration // HangUpGrace, but in tests
}

// hangUp ends the connection where r can do that.
func (s *Session) hangUp() {
	s.hung.Do(func() {
		if c, ok := s.r.(io.Closer); ok {
			_ = c.Close() // its error would only say that the connection is gone, which is the aim
		}
	})
}

// onCancel calls f when ctx ends. The function it returns takes that back, or waits for f.
func onCancel(ctx context.Context, f func()) (release func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		f()
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// End tells the server that there is nothing to push, closes w, its standard input, and waits for
// the server to end its output.
func (s *Session) End(ctx context.Context, w io.WriteCloser) error {
	s.used = true
	release := onCancel(ctx, s.hangUp)
	defer release()
	_, err := io.WriteString(w, "0000")
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	s.drain()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("gitwire: ending the session: %w", err)
	}
	return nil
}

// Push sends req to w, the server's standard input, while it reads what the server says, to its
// last byte. It closes w, and where it fails early r as well (see [ReadAdvertisement]).
//
// The report is not nil as soon as the server's report was read whole, also together with an
// error. An error says that the exchange went wrong: [*LostError], [*RemoteError], [*ProtocolError],
// [*PackError]. What the server refused is no such error but in [Report.Err]. A request that the
// server cannot serve ([*UnsupportedError]) or nobody could is refused before anything is sent,
// and w stays open for [Session.End]. h may be nil.
func (s *Session) Push(ctx context.Context, w io.WriteCloser, req Request, h Handler) (*Report, error) {
	snd := &sender{w: w, pack: req.Pack, sendPack: req.sendsPack(), done: make(chan struct{})}
	defer snd.closePack()
	if s.used {
		return nil, badRequest("the session has been used")
	}
	head, err := req.encode(s.adv)
	if err != nil {
		return nil, err
	}
	s.used = true
	release := onCancel(ctx, func() { snd.abort(); s.hangUp() })
	defer release()
	go snd.run(head)
	rd := &response{pk: s.pk, report: newReportParser(req.Commands), h: h}
	rerr := rd.read()
	snd.abort() // whatever is not sent yet is not wanted any more
	if rerr == nil || errors.Is(rerr, io.EOF) {
		s.drain()
	} else {
		s.hangUp()
	}
	s.await(snd)
	return rd.verdict(ctx, rerr, snd)
}

// drain reads on to the server's end, a little at most: nothing that matters is left.
func (s *Session) drain() {
	_, _ = io.CopyN(io.Discard, s.pk.br, drainLimit)
}

// await waits for an aborted sender.
func (s *Session) await(snd *sender) {
	grace := time.NewTimer(s.grace)
	defer grace.Stop()
	select {
	case <-snd.done:
	case <-grace.C:
		s.hangUp()
		<-snd.done
	}
}

// sender writes a request in a goroutine of its own, so that a server that talks or refuses
// before it has read everything is heard.
type sender struct {
	w        io.WriteCloser
	pack     io.ReadCloser // may be nil where sendPack is false
	sendPack bool

	closeW, closeP sync.Once
	aborted        atomic.Bool
	done           chan struct{} // closed when run has returned; packErr and writeErr are set then
	packErr        error         // of reading the pack, before any abort
	writeErr       error         // of writing to the server, before any abort
}

// abort makes run return early, and has no effect once it has returned.
func (s *sender) abort() {
	s.aborted.Store(true)
	s.closePack()
	s.close()
}

// closePack ends a Read of the pack that waits. What its Close returns is of no use to anybody:
// the pack has been read to its end, or does not matter any more.
func (s *sender) closePack() {
	if s.pack != nil {
		s.closeP.Do(func() { _ = s.pack.Close() })
	}
}

// close tells the server that there is no more. Whether it got everything its report says.
func (s *sender) close() { s.closeW.Do(func() { _ = s.w.Close() }) }

// sendBuffers are used again: a push to many nodes sends for a moment only to each of them.
var sendBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, sendBuffer) }}

func (s *sender) run(head []byte) {
	defer close(s.done)
	defer s.close()
	sink := &sinkWriter{w: s.w}
	buf := sendBuffers.Get().(*bufio.Writer)
	buf.Reset(sink)
	defer func() {
		buf.Reset(nil)
		sendBuffers.Put(buf)
	}()
	_, err := buf.Write(head)
	if err == nil && s.sendPack {
		_, err = io.Copy(buf, s.pack)
	}
	if err == nil {
		err = buf.Flush()
	}
	switch {
	case s.aborted.Load():
	case sink.err != nil:
		s.writeErr = sink.err
	default:
		s.packErr = err
	}
}

// sinkWriter remembers the error of writing, to tell it from one of reading the pack.
type sinkWriter struct {
	w   io.Writer
	err error
}

func (s *sinkWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}
