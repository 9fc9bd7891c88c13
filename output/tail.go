package output

const (
	tailLines = 10       // how many last lines of a failed node the summary shows
	tailBytes = 16 << 10 // how many bytes of them are kept of a node while it runs
)

// tail keeps the last lines of a node: at most [tailLines], and [tailBytes] together. Its
// memory is at most twice that, and is reused.
type tail struct {
	buf   []byte
	lines [tailLines + 1]tailLine // the first n are in use
	n     int
}

type tailLine struct {
	mark       mark
	start, end int // in buf
}

// add appends a line that is safe already, and copies it.
func (t *tail) add(m mark, text []byte) {
	start := len(t.buf)
	t.buf = append(t.buf, text...)
	t.lines[t.n] = tailLine{m, start, len(t.buf)}
	t.n++
	drop := 0
	for t.n-drop > tailLines || t.n-drop > 1 && len(t.buf)-t.lines[drop].start > tailBytes {
		drop++
	}
	if drop == 0 {
		return
	}
	copy(t.lines[:], t.lines[drop:t.n])
	t.n -= drop
	dead := t.lines[0].start
	if live := len(t.buf) - dead; dead > live+1024 {
		t.buf = t.buf[:copy(t.buf, t.buf[dead:])]
		for i := range t.lines[:t.n] {
			t.lines[i].start -= dead
			t.lines[i].end -= dead
		}
	}
}

// each calls f with every line kept, oldest first. The slice is only f's.
func (t *tail) each(f func(m mark, text []byte)) {
	for _, l := range t.lines[:t.n] {
		f(l.mark, t.buf[l.start:l.end])
	}
}

// clear forgets all lines and their memory.
func (t *tail) clear() { *t = tail{} }
