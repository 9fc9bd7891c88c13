package gitwire

import (
	"bufio"
	"errors"
	"io"
	"strconv"
)

const (
	headerLen = 4
	maxPacket = 65520 // LARGE_PACKET_MAX of gitprotocol-common(5), header included

	// readBuffer is kept small: thousands of sessions may be open at once, and payloads are
	// handed on in the fragments in which they arrive.
	readBuffer = 8 << 10
)

// errHeader says that four bytes are no packet length. Packets of length 1 to 3 belong to
// protocol 2 and are refused like any other.
type errHeader [headerLen]byte

func (e errHeader) Error() string { return "packet length " + strconv.Quote(string(e[:])) }

// packets reads pkt-lines without assembling them. go-git's pktline.Scanner does not hold here:
// it waits for whole packets, cannot tell an empty packet from a flush, takes packets beyond the
// protocol's limit, and boxes every payload for its tracer.
type packets struct {
	br *bufio.Reader
}

// header reads a packet's length and returns that of its payload. The error is io.EOF between
// packets, io.ErrUnexpectedEOF inside a header, errHeader for other bytes.
func (p packets) header() (n int, flush bool, err error) {
	b, err := p.br.Peek(headerLen)
	if len(b) < headerLen {
		if len(b) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, false, err
	}
	size, ok := hexLen(b)
	if !ok || size > 0 && size < headerLen || size > maxPacket {
		return 0, false, errHeader(b)
	}
	if _, err := p.br.Discard(headerLen); err != nil {
		return 0, false, err
	}
	if size == 0 {
		return 0, true, nil
	}
	return size - headerLen, false, nil
}

// fragment returns between 1 and n bytes of the payload, whatever has arrived. The slice is valid
// until the next read.
func (p packets) fragment(n int) ([]byte, error) {
	if _, err := p.br.Peek(1); err != nil {
		return nil, unexpected(err)
	}
	n = min(n, p.br.Buffered())
	b, err := p.br.Peek(n)
	if err != nil {
		return nil, unexpected(err)
	}
	_, err = p.br.Discard(n)
	return b, err
}

// holds reports whether a packet of this band follows of which some data has arrived, too.
func (p packets) holds(band byte) bool {
	const least = headerLen + 2 // the band and a byte of data
	if p.br.Buffered() < least {
		return false
	}
	b, err := p.br.Peek(least)
	if err != nil {
		return false
	}
	size, ok := hexLen(b)
	return ok && size >= least && size <= maxPacket && b[headerLen] == band
}

// text returns a whole payload of n bytes.
func (p packets) text(n int) (string, error) {
	if n <= p.br.Size() {
		b, err := p.br.Peek(n)
		if err != nil {
			return "", unexpected(err)
		}
		s := string(b)
		_, err = p.br.Discard(n)
		return s, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(p.br, b); err != nil {
		return "", unexpected(err)
	}
	return string(b), nil
}

// hexLen decodes the first four bytes of b, hexadecimal digits of either case.
func hexLen(b []byte) (n int, ok bool) {
	for _, c := range b[:headerLen] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		n = n<<4 | int(c)
	}
	return n, true
}

// unexpected turns an end inside a packet into the error that says so.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
