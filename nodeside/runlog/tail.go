package runlog

import (
	"errors"
	"fmt"
	"io"
	"os"

	"troops/nodeside/wire"
)

// ErrOffset is wrapped by errors about an offset where no frame of the log begins.
var ErrOffset = errors.New("no frame begins at this offset")

// tailBuffer is how much of a log is read at once: several of the longest frames.
const tailBuffer = 4 * wire.MaxFrame

// Tail reads the whole frames of a log that may still grow. A torn frame at the end
// (being written, or left by a run that was killed) is not read.
type Tail struct {
	f   *os.File
	off int64
	buf []byte
}

// OpenTail opens the run's log at a byte offset, where a frame begins or the log ends so
// far; other offsets give an error that wraps [ErrOffset].
func OpenTail(d Dir, offset int64) (*Tail, error) {
	f, err := os.Open(d.Log())
	if err != nil {
		return nil, fmt.Errorf("runlog: opening the log: %w", err)
	}
	t := &Tail{f: f, buf: make([]byte, tailBuffer)}
	if err := t.skip(offset); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

// Close closes the log.
func (t *Tail) Close() error { return t.f.Close() }

// Offset is where the next frame begins.
func (t *Tail) Offset() int64 { return t.off }

// Next returns the next whole frames, as many as fit its buffer, or none where there are
// no more now. The bytes are valid until the next call.
func (t *Tail) Next() ([]byte, error) {
	n, err := t.f.ReadAt(t.buf, t.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("runlog: reading the log: %w", err)
	}
	whole := 0
	for {
		l, err := firstFrame(t.buf[whole:n])
		if err != nil && whole > 0 {
			break // first what is right
		}
		if err != nil {
			return nil, fmt.Errorf("runlog: reading the log at byte %d: %w", t.off, err)
		}
		if l == 0 {
			break
		}
		whole += l
	}
	t.off += int64(whole)
	return t.buf[:whole], nil
}

// skip moves to offset, frame by frame.
func (t *Tail) skip(offset int64) error {
	if offset < 0 {
		return fmt.Errorf("runlog: offset %d: %w", offset, ErrOffset)
	}
	for t.off < offset {
		start := t.off
		b, err := t.Next()
		if err != nil {
			return err
		}
		at := start
		for len(b) > 0 && at < offset {
			l, err := wire.FrameLen(b) // whole: Next has looked
			if err != nil {
				return err
			}
			at, b = at+int64(l), b[l:]
		}
		if at == start || at > offset {
			return fmt.Errorf("runlog: offset %d: %w", offset, ErrOffset)
		}
		t.off = at
	}
	return nil
}

// firstFrame is the length of the frame that b begins with, 0 where b has not all of it: it
// is cut short, or a NUL stands where it begins. That is how a [Writer] hides frames that it may
// have to take back, and what a power failure leaves at the end of a file.
func firstFrame(b []byte) (int, error) {
	const header = wire.MaxFrame - wire.MaxPayload
	if len(b) < header || b[0] == 0 {
		return 0, nil
	}
	l, err := wire.FrameLen(b)
	if err != nil || l > len(b) {
		return 0, err
	}
	return l, nil
}
