package output

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// maxMarks is how many combining marks one character may carry. More is no language: it is
// text that climbs over the lines above and below it.
const maxMarks = 8

const (
	textSelector  = 0xfe0e // asks for the plain form of the character before it
	emojiSelector = 0xfe0f // asks for its emoji form
)

// cluster follows the characters of one line: what the next combining mark or variation
// selector would attach to. The zero value is the start of a line, where there is nothing.
type cluster struct {
	base  rune // the last character that stands by itself, 0 for none
	marks int  // combining marks after it
}

// startOf returns the cluster that begins with r.
func startOf(r rune) cluster { return cluster{base: r} }

// takesMark reports whether one more combining mark may follow.
func (c cluster) takesMark() bool { return c.base != 0 && c.marks < maxMarks }

// takesSelector reports whether a variation selector has a meaning here. Elsewhere it is an
// invisible character like any other.
func (c cluster) takesSelector() bool {
	keycap := c.base >= '0' && c.base <= '9' || c.base == '#' || c.base == '*'
	return c.marks == 0 && (c.base >= utf8.RuneSelf || keycap)
}

// appendRune appends the first character of p, made safe, and returns its length in p.
// Control characters appear in caret notation (line feed as \n), other characters without
// an appearance of their own as <U+XXXX>, bytes that are no UTF-8 as U+FFFD.
func appendRune(dst, p []byte, c cluster) ([]byte, int, cluster) {
	r, size := utf8.DecodeRune(p)
	switch {
	case r == utf8.RuneError && size <= 1:
		return utf8.AppendRune(dst, utf8.RuneError), 1, startOf(r)
	case r == '\n':
		return append(dst, `\n`...), size, startOf('n')
	case r < ' ' || r == 0x7f:
		visible := byte(r) ^ 0x40
		return append(dst, '^', visible), size, startOf(rune(visible))
	case ordinary(r):
		return append(dst, p[:size]...), size, startOf(r)
	case (r == emojiSelector || r == textSelector) && c.takesSelector():
		c.marks++
		return append(dst, p[:size]...), size, c
	case hidden(r):
		return appendCode(dst, r), size, startOf('>')
	case unicode.Is(unicode.M, r):
		if !c.takesMark() {
			return appendCode(dst, r), size, startOf('>')
		}
		c.marks++
		return append(dst, p[:size]...), size, c
	}
	return append(dst, p[:size]...), size, startOf(r)
}

func appendCode(dst []byte, r rune) []byte { return fmt.Appendf(dst, "<U+%04X>", r) }

// ordinary reports quickly that r is of the scripts that need no look at the tables: Latin,
// Greek and Cyrillic letters, box drawing and symbols, Chinese, Japanese and Korean.
func ordinary(r rune) bool {
	switch {
	case r < 0x80:
		return r >= ' ' && r != 0x7f
	case r < 0x300:
		return r >= 0xa0 && r != 0xad
	case r < 0x2000:
		return r >= 0x370 && r < 0x483
	}
	return r >= 0x2190 && r < 0x2c00 || r >= 0x3041 && r < 0x3097 || r >= 0x30a0 && r < 0x3100 ||
		r >= 0x4e00 && r < 0xa000 || r >= 0xac00 && r < 0xd7a4
}

// hidden reports whether r shows nothing itself, or changes how others are shown: controls,
// line and paragraph separators, bidi and other format characters, zero-width and filler
// characters, tags, variation selectors, noncharacters. The few format characters that are
// signs of their own (Arabic number signs) are not hidden.
func hidden(r rune) bool {
	if unicode.Is(unicode.Prepended_Concatenation_Mark, r) {
		return false
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector, unicode.Noncharacter_Code_Point)
}
