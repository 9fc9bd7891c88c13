package gitwire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bands of the sideband, gitprotocol-pack(5).
const (
	bandReport   = 1
	bandProgress = 2
	bandFatal    = 3
)

// errNoReport is a server that ended in good order without a word on the push.
var errNoReport = errors.New("server ended without a report")

// response reads the server's answer to a push: sideband packets up to a flush.
type response struct {
	pk       packets
	report   *reportParser
	h        Handler
	reported bool   // h has been told
	said     []byte // what was printed and has not been handed on yet
}

// read returns nil at the flush that ends the answer, with the report whole. Its other errors are
// io.EOF or another one of reading, errNoReport, *ProtocolError and *RemoteError.
func (r *response) read() error {
	for {
		n, flush, err := r.pk.header()
		if err != nil {
			var bad errHeader
			if errors.As(err, &bad) {
				return &ProtocolError{doingReport, bad.Error()}
			}
			return err
		}
		switch {
		case flush && !r.report.done:
			return errNoReport
		case flush:
			r.report.report.Complete = true
			return nil
		case n > 0:
			if err := r.packet(n); err != nil {
				return err
			}
		}
	}
}

// packet takes one sideband packet of n > 0 bytes. One without data (receive.keepAlive) is none.
func (r *response) packet(n int) error {
	b, err := r.pk.fragment(1)
	if err != nil {
		return err
	}
	band := b[0]
	switch band {
	case bandReport, bandProgress:
		return r.stream(band, n-1)
	case bandFatal:
		text, err := r.pk.text(n - 1)
		if err != nil {
			return err
		}
		return &RemoteError{Text: clip(strings.TrimRight(text, "\n"))}
	}
	text, err := r.pk.text(n - 1)
	if err != nil {
		return err
	}
	if text, ok := strings.CutPrefix(string(band)+text, "ERR "); ok {
		return &RemoteError{Text: clip(strings.TrimRight(text, "\n"))}
	}
	return &ProtocolError{doingReport, fmt.Sprintf("band %d: %s", band, quoteShort([]byte(text)))}
}

// stream hands on the n bytes of a packet as they arrive.
func (r *response) stream(band byte, n int) error {
	for n > 0 {
		b, err := r.pk.fragment(n)
		if err != nil {
			return err
		}
		n -= len(b)
		if band == bandProgress {
			r.print(b)
			continue
		}
		err = r.report.feed(b)
		if h, ok := r.h.(ReportHandler); ok && r.report.done && !r.reported {
			r.reported = true
			h.Reported(&r.report.report)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// print hands on what was printed. Git sends a hook's output in packets of 128 bytes, many of which
// may have arrived together: they are handed on together.
func (r *response) print(b []byte) {
	if r.h == nil {
		return
	}
	if r.pk.holds(bandProgress) {
		r.said = append(r.said, b...) // at most what the reader has buffered
		return
	}
	if len(r.said) > 0 {
		b = append(r.said, b...)
		r.said = b[:0]
	}
	r.h.Sideband(b)
}

// verdict puts together what the two directions came to. The server's own words count most.
func (r *response) verdict(ctx context.Context, rerr error, snd *sender) (*Report, error) {
	var report *Report
	if r.report.done {
		report = &r.report.report
	}
	if rerr == nil && (snd.packErr == nil || report.OK()) {
		return report, nil
	}
	if ctx.Err() != nil {
		return report, &LostError{Reported: report != nil, Err: context.Cause(ctx)}
	}
	var remote *RemoteError
	var protocol *ProtocolError
	switch {
	case errors.As(rerr, &remote), errors.As(rerr, &protocol):
		return report, rerr
	case snd.packErr != nil:
		return report, &PackError{Err: snd.packErr}
	case errors.Is(rerr, io.EOF):
		rerr = io.ErrUnexpectedEOF
	}
	if snd.writeErr != nil {
		rerr = fmt.Errorf("%w; writing: %w", rerr, snd.writeErr)
	}
	return report, &LostError{Reported: report != nil, Err: rerr}
}
