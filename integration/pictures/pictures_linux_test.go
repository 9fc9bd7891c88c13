package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// TestSVG draws what a terminal shows in the end: escaped, in its columns and colours.
func TestSVG(t *testing.T) {
	term := newTerminal()
	defer term.close()
	term.show("gone\r\x1b[K<script>&\"</script> \x1b[1;31mred\x1b[0m\r\n\r\n日本 \x1b[38;5;208mx\x1b[m\r\n\r\n")
	svg := term.svg("a <title>")
	for _, want := range []string{
		"<title>a &lt;title&gt;</title>", ">&lt;script&gt;&amp;&#34;&lt;/script&gt; </tspan>", `x="184.0" textLength="25.2" fill="#e06c75" font-weight="bold">red</tspan>`,
		`fill="#ff8700">x</tspan>`, `x="16.0" textLength="42.0">日本 </tspan>`, `height="89"`,
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
	if strings.Contains(svg, "gone") || strings.ContainsRune(svg, '\x1b') || strings.Count(svg, "<text ") != 2 {
		t.Errorf("too much is in\n%s", svg)
	}
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestRun has a program at the terminal, which sees its size, an act beside it, and its keys.
func TestRun(t *testing.T) {
	term := newTerminal()
	script := `stty size; echo ready; read answer; echo "got $answer"; exit 3`
	acts := []act{{"ready", 1, func(t *terminal) error { return t.press("yes\r") }}}
	if err := term.run(t.Context(), exec.Command("sh", "-c", script), acts, 3); err != nil {
		t.Fatal(err)
	}
	if svg := term.svg("x"); !strings.Contains(svg, ">120 100<") || !strings.Contains(svg, ">got yes<") {
		t.Errorf("shows\n%s", svg)
	}
	failed := errors.New("failed")
	acts = []act{{"x", 1, func(*terminal) error { return failed }}}
	if err := newTerminal().run(t.Context(), exec.Command("echo", "x"), acts, 0); !errors.Is(err, failed) {
		t.Errorf("an act that fails: %v", err)
	}
	if err := newTerminal().run(t.Context(), exec.Command("false"), nil, 0); err == nil {
		t.Error("another exit code is no error")
	}
}
