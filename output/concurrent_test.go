package output

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"troops/push"
)

// TestConcurrent has 50 nodes print 10,000 numbered lines each, in chunks that end anywhere,
// on two streams: none is torn, lost or out of order.
func TestConcurrent(t *testing.T) {
	const nodes, lines = 50, 10_000
	var w wholeLines
	l := NewLines(&w, Options{})
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			host := fmt.Sprintf("web%d", i)
			for _, s := range []push.Stream{push.Stdout, push.Stderr} {
				wg.Go(func() { numbered(l, host, s, lines/2, 137+7*i) })
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if w.torn > 0 {
		t.Errorf("%d writes did not end with a line", w.torn)
	}
	next := make(map[string]int)
	for line := range strings.Lines(w.String()) {
		stream, text, _ := strings.Cut(line, " # ")
		host, _, _ := strings.Cut(stream, " ")
		if want := fmt.Sprintf("%d of %s\n", next[stream], host); text != want {
			t.Fatalf("line %q, want %q", line, want)
		}
		next[stream]++
	}
	if len(next) != 2*nodes {
		t.Fatalf("%d streams, want %d", len(next), 2*nodes)
	}
	for stream, n := range next {
		if n != lines/2 {
			t.Errorf("%s: %d lines, want %d", stream, n, lines/2)
		}
	}
}

// numbered prints n numbered lines in chunks of size bytes.
func numbered(l *Lines, host string, s push.Stream, n, size int) {
	var buf []byte
	for i := range n {
		buf = fmt.Appendf(buf, "# %d of %s\n", i, host)
		for len(buf) >= size || i == n-1 && len(buf) > 0 {
			k := min(size, len(buf))
			l.Emit(push.Output{Node: host, Stream: s, Data: buf[:k]})
			buf = buf[k:]
		}
	}
}

type wholeLines struct {
	bytes.Buffer
	torn int
}

func (w *wholeLines) Write(p []byte) (int, error) {
	if !bytes.HasSuffix(p, []byte("\n")) {
		w.torn++
	}
	return w.Buffer.Write(p)
}
