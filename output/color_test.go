package output

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
)

func TestColorFor(t *testing.T) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("opening a pseudo-terminal: %v", err)
	}
	defer terminal.Close()
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	tests := []struct {
		when     string
		terminal bool
		env      string
		want     Color
	}{
		{"auto", true, "TERM=xterm-256color", Color256},
		{"", true, "TERM=xterm-256color", Color256},
		{"auto", true, "TERM=xterm", Color16},
		{"auto", true, "TERM=linux", Color16},
		{"auto", true, "TERM=xterm COLORTERM=truecolor", Color256},
		{"auto", true, "TERM=dumb", NoColor},
		{"auto", true, "TERM=dumb COLORTERM=truecolor", NoColor},
		{"auto", true, "", NoColor},
		{"auto", true, "TERM=xterm-256color NO_COLOR=1", NoColor},
		{"auto", true, "TERM=xterm-256color NO_COLOR=", Color256},
		{"auto", false, "TERM=xterm-256color", NoColor},
		{"auto", false, "TERM=xterm-256color COLORTERM=truecolor", NoColor},
		{"never", true, "TERM=xterm-256color", NoColor},
		{"always", false, "TERM=xterm-256color", Color256},
		{"always", false, "", Color16},
		{"always", false, "TERM=dumb", Color16},
		{"always", false, "TERM=xterm NO_COLOR=1", Color16},
	}
	for _, tt := range tests {
		out := file
		if tt.terminal {
			out = terminal
		}
		getenv := func(key string) string {
			for kv := range strings.FieldsSeq(tt.env) {
				if k, v, _ := strings.Cut(kv, "="); k == key {
					return v
				}
			}
			return ""
		}
		got, err := ColorFor(tt.when, out, getenv)
		if err != nil || got != tt.want {
			t.Errorf("ColorFor(%q, terminal %v, %q) = %v, %v, want %v", tt.when, tt.terminal, tt.env, got, err, tt.want)
		}
	}
	if got, err := ColorFor("auto", new(bytes.Buffer), os.Getenv); got != NoColor || err != nil {
		t.Errorf("a buffer is a terminal: %v, %v", got, err)
	}
	if _, err := ColorFor("yes", file, os.Getenv); err == nil {
		t.Error("--color yes is no error")
	}
}

// TestHostColorStable holds colours to what they were in the releases before.
func TestHostColorStable(t *testing.T) {
	want := map[string]string{
		"web1": "163", "web2": "28", "db1.example.com": "28", "shellbox-1.example.com": "99", "": "28",
	}
	for host, colour := range want {
		if got := hostColor(host).ANSI256; got != colour {
			t.Errorf("%q has colour %s, not %s", host, got, colour)
		}
	}
}

func TestHostColorSpread(t *testing.T) {
	seen := make(map[lipgloss.CompleteColor]int)
	for i := range 1200 {
		seen[hostColor(fmt.Sprintf("web-%02d.example.com", i))]++
	}
	for _, c := range palette {
		if n := seen[c]; n < 50 || n > 200 {
			t.Errorf("%d of 1200 hosts have colour %s of %d", n, c.ANSI256, len(palette))
		}
	}
}

// TestPaletteReadable computes the contrast (WCAG 2) of every colour to black and to white.
func TestPaletteReadable(t *testing.T) {
	level := []float64{0, 95, 135, 175, 215, 255}
	linear := func(v float64) float64 {
		if v /= 255; v <= 0.03928 {
			return v / 12.92
		} else {
			return math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	colours := append(slices.Clone(palette[:]), lipgloss.CompleteColor{ANSI256: "160", ANSI: "1"})
	for _, c := range colours {
		n, err := strconv.Atoi(c.ANSI256)
		if err != nil || n < 16 || n > 231 {
			t.Fatalf("%q is no colour of the cube", c.ANSI256)
		}
		n -= 16
		lum := 0.2126*linear(level[n/36]) + 0.7152*linear(level[n/6%6]) + 0.0722*linear(level[n%6])
		if black, white := (lum+0.05)/0.05, 1.05/(lum+0.05); min(black, white) < 3.8 {
			t.Errorf("colour %s: contrast %.2f to black, %.2f to white", c.ANSI256, black, white)
		}
	}
}

func TestPrefix(t *testing.T) {
	tests := []struct {
		color  Color
		host   string
		mark   mark
		column int
		want   string
	}{
		{NoColor, "web1", markOut, 6, "web1   | "},
		{NoColor, "web1", markErr, 4, "web1 ! "},
		{NoColor, "web1", markTroops, 0, "web1 * "},
		{NoColor, "世界", markOut, 6, "世界   | "},
		{NoColor, "e\u0301x", markOut, 4, "e\u0301x   | "},
		{NoColor, "🎉", markOut, 4, "🎉   | "},
		{Color256, "web1", markOut, 6, "\x1b[38;5;163mweb1\x1b[0m   \x1b[38;5;163m|\x1b[0m "},
		{Color256, "web1", markErr, 4, "\x1b[38;5;163mweb1\x1b[0m \x1b[38;5;160m!\x1b[0m "},
		{Color256, "web1", markTroops, 4, "\x1b[38;5;163mweb1\x1b[0m \x1b[2m*\x1b[0m "},
		{Color16, "web1", markErr, 4, "\x1b[35mweb1\x1b[0m \x1b[31m!\x1b[0m "},
	}
	for _, tt := range tests {
		if got := string(newStyles(tt.color).prefix(tt.host, tt.mark, tt.column)); got != tt.want {
			t.Errorf("prefix of %q:\n got %q\nwant %q", tt.host, got, tt.want)
		}
	}
}

func TestColumn(t *testing.T) {
	long := strings.Repeat("x", maxColumn+1)
	tests := []struct {
		hosts []string
		width int
		want  int
	}{
		{nil, 0, 0},
		{[]string{"a", "web10"}, 0, 5},
		{[]string{"a", "世界"}, 0, 4},
		{[]string{"a", "\u202e"}, 0, 8}, // as it is printed: <U+202E>
		{[]string{"web1", long}, 0, 4},
		{[]string{long[1:]}, 0, maxColumn},
		{[]string{"web1", "database1"}, 24, 4},
	}
	for _, tt := range tests {
		if got := columnOf(tt.hosts, tt.width); got != tt.want {
			t.Errorf("columnOf(%q, %d) = %d, want %d", tt.hosts, tt.width, got, tt.want)
		}
	}
}
