package output

import (
	"strconv"
	"unicode/utf8"
)

// MaxLine is the most of one line of a node that is shown: 8 KiB after it was made safe. The
// mark " [+N bytes]" says how many bytes of the node's line were cut.
const MaxLine = 8 << 10

// Sanitize makes text of a node (errors, reasons, ref names, host names) safe to print inside
// one line: line feeds appear as \n, control characters as ^X, hidden characters as <U+XXXX>,
// bytes that are no UTF-8 as U+FFFD; colours are dropped, tabs kept. At most [MaxLine] bytes
// are kept, and what was cut is said.
func Sanitize(s string) string {
	if len(s) <= MaxLine && plainRun(s) == len(s) {
		return s
	}
	return string(appendClean(make([]byte, 0, min(len(s), MaxLine)+32), []byte(s), 0, false))
}

// appendClean appends a line of a node, made safe. cut is how many bytes of the line's end the
// caller has left out of text already. Colour sequences are kept where colours is set, and
// ended with the line; without it they are dropped, as the only sequences that are: all others
// become visible, hence inert.
func appendClean(dst, text []byte, cut int64, colours bool) []byte {
	limit := len(dst) + MaxLine
	var at cluster
	styled := false
	for len(text) > 0 {
		if n := min(plainRun(text), limit-len(dst)); n > 0 {
			dst = append(dst, text[:n]...)
			at = startOf(rune(text[n-1]))
			text = text[n:]
			continue
		}
		if n := sgrLen(text); n > 0 {
			if colours {
				if len(dst)+n > limit {
					break
				}
				dst = append(dst, text[:n]...)
				styled = !isReset(text[:n])
			}
			text = text[n:]
			continue
		}
		if cut > 0 && !utf8.FullRune(text) {
			break // a character that the cut went through
		}
		mark := len(dst)
		var n int
		if dst, n, at = appendRune(dst, text, at); len(dst) > limit {
			dst = dst[:mark]
			break
		}
		text = text[n:]
	}
	if styled {
		dst = append(dst, resetStyle...)
	}
	if cut += int64(len(text)); cut > 0 {
		dst = append(dst, " [+"...)
		dst = strconv.AppendInt(dst, cut, 10)
		dst = append(dst, " bytes]"...)
	}
	return dst
}

// plainRun returns how many bytes at the start of s need no look at all: printable ASCII and tabs.
func plainRun[T string | []byte](s T) int {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c-' ' > '~'-' ' && c != '\t' {
			return i
		}
	}
	return len(s)
}
