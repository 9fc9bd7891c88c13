package output

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"troops/push"
)

// colourSequence is the only escape sequence that may reach a terminal.
var colourSequence = regexp.MustCompile("\x1b\\[[0-9;:]*m")

// checkLine holds one printed line, without its line feed, to the rules of a safe one.
func checkLine(t *testing.T, line string, colours bool) {
	t.Helper()
	if !utf8.ValidString(line) {
		t.Fatalf("not UTF-8: %.200q", line)
	}
	if len(line) > MaxLine+200 {
		t.Fatalf("a line of %d bytes", len(line))
	}
	if colours {
		all := colourSequence.FindAllString(line, -1)
		if len(all) > 0 && strings.Trim(all[len(all)-1], "\x1b[0m") != "" {
			t.Fatalf("the colours do not end with the line: %q", line)
		}
		line = colourSequence.ReplaceAllString(line, "")
	}
	for _, r := range line {
		switch {
		case r == '\t' || unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		case r == textSelector || r == emojiSelector:
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			t.Fatalf("%U in %.200q", r, line)
		}
	}
}

func FuzzSanitize(f *testing.F) {
	for _, tt := range lineCases {
		f.Add(tt.in)
	}
	f.Add(strings.Repeat("\x1b[31m", 3000) + strings.Repeat("\u202e", 3000))
	f.Fuzz(func(t *testing.T, s string) {
		got := Sanitize(s)
		if strings.Contains(got, "\x1b") {
			t.Fatalf("an escape in %q", got)
		}
		checkLine(t, got, false)
		if len(s) < MaxLine/8 && Sanitize(got) != got {
			t.Fatalf("%q is not safe, %q is", got, Sanitize(got))
		}
	})
}

// FuzzAssembler sends bytes of one node on two streams, cut in two ways, and asserts that
// every line is safe and the node's own, and that the cuts do not show.
func FuzzAssembler(f *testing.F) {
	for _, tt := range lineCases {
		f.Add([]byte(tt.in), uint16(3), true)
	}
	f.Add(bytes.Repeat([]byte("\xe2\x80\xae\r"), 5000), uint16(1000), false)
	f.Fuzz(func(t *testing.T, data []byte, size uint16, colours bool) {
		o := Options{Hosts: []string{"web1"}}
		if colours {
			o.Color = Color256
		}
		whole := print(o, push.Output{Node: "web1", Data: data})
		var chunks []push.Event
		for p := data; len(p) > 0; {
			n := min(int(size)%5000+1, len(p))
			chunks = append(chunks, push.Output{Node: "web1", Data: p[:n]}, push.Output{Node: "web1", Stream: push.Stderr, Data: p[:n]})
			p = p[n:]
		}
		both := print(o, chunks...)
		outPrefix := string(newStyles(o.Color).prefix("web1", markOut, 4))
		errPrefix := string(newStyles(o.Color).prefix("web1", markErr, 4))
		var stdout, stderr strings.Builder
		for line := range strings.Lines(both) {
			text, ok := strings.CutPrefix(line, outPrefix)
			if ok {
				stdout.WriteString(line)
			} else {
				if text, ok = strings.CutPrefix(line, errPrefix); !ok {
					t.Fatalf("a line without its node: %q", line)
				}
				stderr.WriteString(outPrefix + text)
			}
			checkLine(t, strings.TrimSuffix(text, "\n"), colours)
		}
		if stdout.String() != whole || stderr.String() != whole {
			t.Fatalf("in one piece\n%q\nin pieces of %d\n%q\n%q", whole, size, stdout.String(), stderr.String())
		}
	})
}
