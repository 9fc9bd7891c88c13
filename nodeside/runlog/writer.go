package runlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"troops/nodeside/wire"
)

// file is the part of *os.File that a Writer needs; tests fill the disk by another one.
type file interface {
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// MaxLog is how long the log of one run may get by its output, in bytes. What a deployment prints
// after that is counted and lost; notes and phases still come.
const MaxLog = 256 << 20

// ErrMaxLog is why output beyond [MaxLog] is missing: by design, where any other reason is a fault.
var ErrMaxLog = fmt.Errorf("the log of a run may have %d MiB", MaxLog>>20)

// Writer appends frames to a run's log, from several goroutines at once. It never fails: a
// run must not stop since its log cannot be written. What is lost on a full disk is
// counted, said in the log where that is possible again, and told by Close.
type Writer struct {
	mu    sync.Mutex // guards all below
	f     file
	buf   []byte
	size  int64 // of the whole frames in the file
	max   int64 // what output may make of it
	gap   int64 // payload bytes lost since the last frame that was written
	lost  int64 // payload bytes lost in all
	cause error // of the first loss, or of the first that was no matter of max
	ended bool  // closed, or broken: a torn frame could not be removed
}

// OpenWriter opens the log for appending; the run that owns it is the only writer.
func OpenWriter(d Dir) (*Writer, error) {
	f, err := os.OpenFile(d.Log(), os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("runlog: opening the log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("runlog: opening the log: %w", err)
	}
	return &Writer{f: f, size: info.Size(), max: MaxLog}, nil
}

// Note writes one line by troops.
func (w *Writer) Note(line string) {
	w.frame(wire.Note, []byte(strings.Join(strings.Split(strings.TrimSpace(line), "\n"), " ")))
}

// Phase writes that a phase begins.
func (w *Writer) Phase(name string) { w.frame(wire.Phase, []byte(name)) }

// Stream returns a writer of frames of kind k. Its Write takes everything, always.
func (w *Writer) Stream(k wire.Kind) io.Writer { return stream{w, k} }

type stream struct {
	w *Writer
	k wire.Kind
}

// Write implements io.Writer.
func (s stream) Write(p []byte) (int, error) {
	if len(p) > 0 {
		s.w.frame(s.k, p)
	}
	return len(p), nil
}

func (w *Writer) frame(k wire.Kind, p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = wire.AppendFrame(w.gapNote(w.buf[:0]), k, p)
	err := ErrMaxLog
	if w.size+int64(len(w.buf)) <= w.max || k != wire.Stdout && k != wire.Stderr {
		err = w.append(w.buf)
	}
	if err != nil {
		w.gap += int64(len(p))
		w.lost += int64(len(p))
		if w.cause == nil || errors.Is(w.cause, ErrMaxLog) {
			w.cause = err
		}
		return
	}
	w.gap = 0
}

// gapNote appends to b what tells of the output that was lost here, if any was.
func (w *Writer) gapNote(b []byte) []byte {
	if w.gap == 0 {
		return b
	}
	return wire.AppendFrame(b, wire.Note, fmt.Appendf(nil, "%d bytes of output are missing here: %v", w.gap, w.cause))
}

// append writes b, one or more frames, whole or not at all. Followers read meanwhile: of
// several frames the first byte is written last, so that none of them is taken for whole
// before all are. Until then a NUL stands there, which is no frame (see firstFrame).
func (w *Writer) append(b []byte) error {
	if w.ended {
		return os.ErrClosed
	}
	last := 0
	if l, err := wire.FrameLen(b); err != nil || l < len(b) {
		last = 1
	}
	_, err := w.f.WriteAt(b[last:], w.size+int64(last))
	if err == nil && last > 0 {
		_, err = w.f.WriteAt(b[:last], w.size)
	}
	if err == nil {
		w.size += int64(len(b))
		return nil
	}
	if w.f.Truncate(w.size) != nil {
		w.ended = true
	}
	return err
}

// Close ends the log and waits until it is on the disk. It returns the log's length in
// bytes, and why the log is not whole, nil where it is; where nothing but [MaxLog] cut it, the
// error wraps [ErrMaxLog].
func (w *Writer) Close() (size int64, loss error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b := w.gapNote(nil); len(b) > 0 && w.append(b) == nil {
		w.gap = 0
	}
	w.ended = true
	for _, err := range []error{w.f.Sync(), w.f.Close()} {
		if err != nil && (w.cause == nil || errors.Is(w.cause, ErrMaxLog)) {
			w.cause = err
		}
	}
	switch {
	case w.lost > 0:
		loss = fmt.Errorf("%d bytes of output are missing: %w", w.lost, w.cause)
	case w.cause != nil:
		loss = w.cause
	}
	return w.size, loss
}
