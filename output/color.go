package output

import (
	"fmt"
	"hash/fnv"
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"golang.org/x/term"
)

// Color is how many colours a terminal has. The zero value is none.
type Color int

// The colours of terminals that are told apart.
const (
	NoColor  Color = iota
	Color16        // the ANSI colours, as the terminal's theme has them
	Color256       // xterm's 256 colours
)

// ColorFor decides how to colour what is written to out. when is the value of --color:
// "always" and "never" decide; "auto" and "" mean colours where out is a terminal, unless
// NO_COLOR (https://no-color.org) is set or TERM is empty or "dumb". getenv is [os.Getenv] or
// the like. Any other value of when is an error.
func ColorFor(when string, out io.Writer, getenv func(string) string) (Color, error) {
	switch when {
	case "never":
		return NoColor, nil
	case "always":
		return max(terminalColors(getenv), Color16), nil
	case "auto", "":
		t := getenv("TERM")
		if getenv("NO_COLOR") != "" || t == "" || t == "dumb" || !IsTerminal(out) {
			return NoColor, nil
		}
		return terminalColors(getenv), nil
	}
	return NoColor, fmt.Errorf("output: --color is auto, always or never, not %q", when)
}

// IsTerminal reports whether a stream, such as an [os.File], is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalColors reads TERM and COLORTERM.
func terminalColors(getenv func(string) string) Color {
	out := termenv.NewOutput(io.Discard, termenv.WithProfile(termenv.Ascii),
		termenv.WithTTY(true), termenv.WithEnvironment(environ{getenv}))
	switch out.ColorProfile() {
	case termenv.TrueColor, termenv.ANSI256:
		return Color256
	case termenv.ANSI:
		return Color16
	}
	return NoColor
}

// environ is the environment as termenv wants it.
type environ struct{ getenv func(string) string }

func (e environ) Getenv(key string) string { return e.getenv(key) }
func (e environ) Environ() []string        { return nil }

// palette has the colours of hosts. Each of the 256 has a contrast of at least 3.8 to black
// and to white (WCAG 2 luminance), so that it is readable on any background; red is left to
// errors. With 16 colours the theme decides.
var palette = [...]lipgloss.CompleteColor{
	{ANSI256: "27", ANSI: "4"},  // blue
	{ANSI256: "28", ANSI: "2"},  // green
	{ANSI256: "30", ANSI: "6"},  // teal
	{ANSI256: "130", ANSI: "3"}, // brown
	{ANSI256: "163", ANSI: "5"}, // magenta
	{ANSI256: "32", ANSI: "6"},  // sky blue
	{ANSI256: "64", ANSI: "2"},  // leaf green
	{ANSI256: "99", ANSI: "4"},  // violet
	{ANSI256: "100", ANSI: "3"}, // olive
	{ANSI256: "129", ANSI: "5"}, // purple
	{ANSI256: "29", ANSI: "6"},  // sea green
	{ANSI256: "133", ANSI: "5"}, // mauve
}

// hostColor is the colour of a host: the same in every run and on every workstation.
func hostColor(name string) lipgloss.CompleteColor {
	h := fnv.New32a()
	io.WriteString(h, name)
	return palette[h.Sum32()%uint32(len(palette))]
}

// styles are the ways in which text is drawn. Without colours all of them leave it as it is.
type styles struct {
	host, bad, own lipgloss.Style // host: to be given a colour; bad: failures; own: troops' lines
}

func newStyles(c Color) styles {
	profile := termenv.Ascii
	switch c {
	case Color16:
		profile = termenv.ANSI
	case Color256:
		profile = termenv.ANSI256
	}
	r := lipgloss.NewRenderer(io.Discard, termenv.WithProfile(profile))
	r.SetColorProfile(profile)
	r.SetHasDarkBackground(true) // nobody asks the terminal
	base := r.NewStyle().TabWidth(lipgloss.NoTabConversion)
	return styles{
		host: base,
		bad:  base.Foreground(lipgloss.CompleteColor{ANSI256: "160", ANSI: "1"}),
		own:  base.Faint(true),
	}
}

// mark is the character between a node's name and a line: who speaks.
type mark byte

const (
	markOut    mark = '|'
	markErr    mark = '!'
	markTroops mark = '*'
)

// prefix draws what stands before a line of the host, padded to column cells. A wider name
// is not cut, only not aligned.
func (s styles) prefix(host string, m mark, column int) []byte {
	colour := hostColor(host)
	name := s.host.Foreground(colour).Render(host)
	pad := strings.Repeat(" ", max(0, column-cells(host)))
	sign := s.host.Foreground(colour)
	switch m {
	case markErr:
		sign = s.bad
	case markTroops:
		sign = s.own
	}
	return []byte(name + pad + " " + sign.Render(string(rune(m))) + " ")
}
