package output

import "bytes"

// rawLine is a line as a node sent it, without its end, before it is made safe.
type rawLine struct {
	text []byte // at most [MaxLine] bytes; valid until the buffer is used again
	cut  int64  // how many bytes follow that are not kept
}

// lineBuffer cuts one stream of one node into lines. However the bytes are split into chunks,
// the lines are the same. A carriage return goes back to the line's start, so that of a
// progress display only the last state remains; before a line feed it means nothing. Memory
// is bounded by [MaxLine] whatever the node sends.
type lineBuffer struct {
	text []byte // the start of the line whose end has not come yet
	cut  int64
	cr   bool // text ends in a carriage return: whatever comes next replaces it
}

// next takes bytes from p up to a line's end and returns that line and the rest of p. Where p
// ends first, all of it is kept and ok is false.
func (b *lineBuffer) next(p []byte) (line rawLine, rest []byte, ok bool) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		b.add(p)
		return rawLine{}, nil, false
	}
	if len(b.text) > 0 {
		b.add(p[:i])
		return b.take(), p[i+1:], true
	}
	b.cr = false
	text, _, _ := repaint(p[:i])
	n := min(len(text), MaxLine)
	return rawLine{text[:n], int64(len(text) - n)}, p[i+1:], true
}

// pending reports whether a line has begun and not ended.
func (b *lineBuffer) pending() bool { return len(b.text) > 0 }

// take returns the line as far as it has come, and begins a new one.
func (b *lineBuffer) take() rawLine {
	line := rawLine{b.text, b.cut}
	b.text, b.cut, b.cr = b.text[:0], 0, false
	return line
}

// add appends p, which has no line feed.
func (b *lineBuffer) add(p []byte) {
	text, replaces, cr := repaint(p)
	if len(text) == 0 {
		b.cr = b.cr || cr
		return
	}
	if b.cr || replaces {
		b.text, b.cut = b.text[:0], 0
	}
	n := min(len(text), MaxLine-len(b.text))
	b.text = append(b.text, text[:n]...)
	b.cut += int64(len(text) - n)
	b.cr = cr
}

// repaint returns what remains of p after its carriage returns: the last segment that has
// text. replaces reports that this segment replaces the text before it, cr that p ended in a
// carriage return.
func repaint(p []byte) (text []byte, replaces, cr bool) {
	if bytes.IndexByte(p, '\r') < 0 {
		return p, false, false
	}
	text = bytes.TrimRight(p, "\r")
	cr = len(text) < len(p)
	i := bytes.LastIndexByte(text, '\r')
	return text[i+1:], i >= 0, cr
}
