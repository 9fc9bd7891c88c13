package output

import (
	"fmt"
	"io"
)

// page gathers whole lines for a writer that may break.
type page struct {
	w      io.Writer
	err    error // the first of writing; everything after it is dropped
	closed bool
	buf    []byte // whole lines to be written
}

// write hands the gathered lines to the writer, in one call. After an error, or once the
// sink is closed, they are dropped.
func (p *page) write() {
	if len(p.buf) == 0 {
		return
	}
	if p.err == nil && !p.closed {
		n, err := p.w.Write(p.buf)
		if err == nil && n < len(p.buf) {
			err = io.ErrShortWrite
		}
		if err != nil {
			p.err = fmt.Errorf("output: writing lines: %w", err)
		}
	}
	p.buf = p.buf[:0]
}
