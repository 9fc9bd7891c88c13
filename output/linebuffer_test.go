package output

import (
	"strings"
	"testing"
)

// lineCases are streams of one node, and the lines they make. The last line has no end.
var lineCases = []struct{ name, in, want string }{
	{"nothing", "", ""},
	{"one line", "a\n", "a\n"},
	{"empty lines", "\n\na\n\n", "\n\na\n\n"},
	{"no end", "a\nb", "a\nb" + noNewline + "\n"},
	{"CRLF", "a\r\nb\r\n", "a\nb\n"},
	{"CR CR LF", "a\r\r\nb", "a\nb" + noNewline + "\n"},
	{"repaint", "10%\r20%\r100%\n", "100%\n"},
	{"repaint with CR first", "\r10%\r20%\n", "20%\n"},
	{"repaint, CR last", "10%\r20%\r\nnext\n", "20%\nnext\n"},
	{"repaint without end", "10%\r20%\r", "20%" + noNewline + "\n"},
	{"only CR", "\r\r\n\r", "\n"},
	{"empty line after CR", "a\n\r\nb\n", "a\n\nb\n"},
	{"UTF-8", "Grüße 世界 🎉\n", "Grüße 世界 🎉\n"},
	{"invalid", "a\xffb\xe2\x82\n\xac\n", "a\uFFFDb\uFFFD\uFFFD\n\uFFFD\n"},
	{"colours", "\x1b[1;32mok\x1b[0m \x1b[31mbad\n\x1b[2Kx\n", "\x1b[1;32mok\x1b[0m \x1b[31mbad\x1b[0m\n^[[2Kx\n"},
	{"colour that ends in the next line", "\x1b[31\nm\n", "^[[31\nm\n"},
	{"forged node", "db1 | ok\n\rdb1 | ok\n", "db1 | ok\ndb1 | ok\n"},
	{"bidi", "a\u202eb\n", "a<U+202E>b\n"},
	{"other line ends", "a\vb\fc\u0085d\u2028e\n", "a^Kb^Lc<U+0085>d<U+2028>e\n"},
}

// feed runs chunks through a lineBuffer and the sanitiser.
func feed(chunks ...string) string {
	var b lineBuffer
	var out []byte
	for _, c := range chunks {
		for p := []byte(c); len(p) > 0; {
			line, rest, ok := b.next(p)
			if ok {
				out = append(appendClean(out, line.text, line.cut, true), '\n')
			}
			p = rest
		}
	}
	if b.pending() {
		line := b.take()
		out = append(appendClean(out, line.text, line.cut, true), noNewline+"\n"...)
	}
	return string(out)
}

// TestEverySplit cuts every stream at every place, at every two places, and into single
// bytes: the lines are the same.
func TestEverySplit(t *testing.T) {
	for _, tt := range lineCases {
		t.Run(tt.name, func(t *testing.T) {
			check := func(chunks ...string) {
				t.Helper()
				if got := feed(chunks...); got != tt.want {
					t.Fatalf("chunks %q\n got %q\nwant %q", chunks, got, tt.want)
				}
			}
			check(tt.in)
			check(strings.Split(tt.in, "")...)
			for i := range len(tt.in) + 1 {
				check(tt.in[:i], tt.in[i:])
				for j := i; j <= len(tt.in); j++ {
					check(tt.in[:i], tt.in[i:j], tt.in[j:])
				}
			}
			bytes := make([]string, 0, len(tt.in))
			for i := range len(tt.in) {
				bytes = append(bytes, tt.in[i:i+1])
			}
			check(bytes...)
		})
	}
}

// TestLongLines holds a stream without line feeds to bounded memory, and says what it cut.
func TestLongLines(t *testing.T) {
	full := strings.Repeat("x", MaxLine)
	mega := strings.Repeat("x", 1<<20)
	tests := []struct{ name, in, want string }{
		{"as long as may be", full + "\n", full + "\n"},
		{"1 MB", mega + "\nnext\n", full + " [+1040384 bytes]\nnext\n"},
		{"1 MB without end", mega, full + " [+1040384 bytes]" + noNewline + "\n"},
		{"wide characters", strings.Repeat("世", 4096) + "\n", strings.Repeat("世", 2730) + " [+4098 bytes]\n"},
		{"a long line repainted", mega + "\rshort\n", "short\n"},
		{"repainted by a long line", "short\r" + mega + "\r\n", full + " [+1040384 bytes]\n"},
		{"an escape in the cut", full[3:] + "\x1b[31mred\n", full[3:] + "^[[ [+6 bytes]\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{61, 128, 1000, 4096, 65515, len(tt.in)} {
				var chunks []string
				for in := tt.in; in != ""; {
					n := min(size, len(in))
					chunks, in = append(chunks, in[:n]), in[n:]
				}
				if got := feed(chunks...); got != tt.want {
					t.Fatalf("chunks of %d: got %d bytes ending in %q", size, len(got), got[max(0, len(got)-60):])
				}
			}
		})
	}
}

func TestLineBufferMemory(t *testing.T) {
	var b lineBuffer
	chunk := []byte(strings.Repeat("progress\r", 7000))
	flood := []byte(strings.Repeat("x", 64<<10))
	for range 100 {
		b.next(chunk)
		b.next(flood)
	}
	if cap(b.text) > 2*MaxLine {
		t.Errorf("a line buffer holds %d bytes", cap(b.text))
	}
}

func TestTail(t *testing.T) {
	lines := func(tl *tail) (got []string) {
		tl.each(func(m mark, text []byte) { got = append(got, string(rune(m))+string(text)) })
		return got
	}
	t.Run("last ten", func(t *testing.T) {
		var tl tail
		for i := range 1000 {
			tl.add(markErr, []byte(strings.Repeat(string(rune('a'+i%26)), i%50)))
		}
		got := lines(&tl)
		if len(got) != tailLines || got[9] != "!"+strings.Repeat("l", 49) || got[0] != "!"+strings.Repeat("c", 40) {
			t.Errorf("got %q", got)
		}
	})
	t.Run("bounded", func(t *testing.T) {
		var tl tail
		for range 100 {
			tl.add(markOut, []byte(strings.Repeat("x", MaxLine-1)))
		}
		if got := lines(&tl); len(got) != 2 {
			t.Errorf("kept %d lines of 8 KiB", len(got))
		}
		if cap(tl.buf) > 64<<10 {
			t.Errorf("holds %d bytes", cap(tl.buf))
		}
	})
	t.Run("one long line is kept", func(t *testing.T) {
		var tl tail
		tl.add(markOut, []byte("first"))
		tl.add(markOut, []byte(strings.Repeat("x", tailBytes+1)))
		if got := lines(&tl); len(got) != 1 {
			t.Errorf("kept %d lines", len(got))
		}
	})
}
