package packs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// readBuffer is how much of a file is read at once: one SSH packet.
const readBuffer = 32 << 10

// Pack reads one pack from its beginning, and waits where it is still in the making. It is for
// one goroutine, except for Close.
type Pack struct {
	ctx    context.Context
	spool  *spool
	off    int64
	once   sync.Once
	closed chan struct{}
}

var (
	_ io.ReadCloser = (*Pack)(nil)
	_ io.WriterTo   = (*Pack)(nil)
)

// Close ends a Read that waits. The pack goes on being made: other nodes may need it.
func (p *Pack) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Size waits until the pack is whole and returns its length in bytes.
func (p *Pack) Size(ctx context.Context) (int64, error) {
	for {
		size, wake, err := p.spool.state()
		if wake == nil {
			return size, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// Exceeds waits until it is known whether the pack has more than n bytes, which may be before it
// is whole.
func (p *Pack) Exceeds(ctx context.Context, n int64) (bool, error) {
	for {
		size, wake, err := p.spool.state()
		if err != nil || size > n || wake == nil {
			return size > n, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// Read implements io.Reader. Its errors: [*Error], [ErrClosed], os.ErrClosed after Close, or the
// cause of the context.
func (p *Pack) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	v, err := p.next()
	if err != nil {
		return 0, err
	}
	n := copy(b, v.memory)
	if v.file != nil {
		if n, err = p.readFile(v, b); err != nil {
			return 0, err
		}
	}
	p.off += int64(n)
	return n, nil
}

// WriteTo implements io.WriterTo: a pack in memory is written from there, without a copy.
func (p *Pack) WriteTo(w io.Writer) (total int64, err error) {
	var buf []byte
	for {
		v, err := p.next()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		b := v.memory[:min(len(v.memory), readBuffer)]
		if v.file != nil {
			if buf == nil {
				buf = make([]byte, readBuffer)
			}
			n, err := p.readFile(v, buf)
			if err != nil {
				return total, err
			}
			b = buf[:n]
		}
		n, err := w.Write(b)
		p.off += int64(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

// next waits until there are bytes at the offset.
func (p *Pack) next() (view, error) {
	for {
		select {
		case <-p.closed:
			return view{}, os.ErrClosed
		default:
		}
		if p.ctx.Err() != nil {
			return view{}, context.Cause(p.ctx)
		}
		v := p.spool.at(p.off)
		if v.wake == nil {
			return v, v.err
		}
		select {
		case <-v.wake:
		case <-p.closed:
		case <-p.ctx.Done():
		}
	}
}

// readFile reads what is there of the file, at most len(b).
func (p *Pack) readFile(v view, b []byte) (int, error) {
	n, err := v.file.ReadAt(b[:min(int64(len(b)), v.end-p.off)], p.off)
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, os.ErrClosed):
		return 0, ErrClosed
	case err == nil || errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return 0, fmt.Errorf("packs: reading the spooled pack: %w", err)
}
