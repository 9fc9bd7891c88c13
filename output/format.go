package output

import (
	"fmt"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// maxColumn is the widest column of host names, in cells.
const maxColumn = 32

// cells is how wide s is on a terminal, whatever the locale.
func cells(s string) int {
	return (&runewidth.Condition{StrictEmojiNeutral: true}).StringWidth(s)
}

// columnOf returns how wide the column of host names is: as the longest name of those that
// are not wider than [maxColumn], nor than a third of a terminal of width cells (0: unknown).
// A wider name widens no other line: it is not aligned.
func columnOf(hosts []string, width int) int {
	limit := maxColumn
	if width > 0 {
		limit = min(limit, width/3)
	}
	column := 0
	for _, h := range hosts {
		if w := cells(Sanitize(h)); w <= limit {
			column = max(column, w)
		}
	}
	return column
}

// duration says d as people do: 2.3s, 2m03s, 1h02m.
func duration(d time.Duration) string {
	d = max(d, 0)
	if tenths := d.Round(100 * time.Millisecond); tenths < time.Minute {
		return fmt.Sprintf("%.1fs", tenths.Seconds())
	}
	if seconds := d.Round(time.Second); seconds < time.Hour {
		return fmt.Sprintf("%dm%02ds", int(seconds.Minutes()), int(seconds.Seconds())%60)
	}
	minutes := int(d.Round(time.Minute).Minutes())
	return fmt.Sprintf("%dh%02dm", minutes/60, minutes%60)
}

// count says n things: 1 node, 2 nodes.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// short is the beginning of an object name by which people know it.
func short(commit string) string { return Sanitize(commit[:min(len(commit), 7)]) }

// few joins names, and counts those after the first most.
func few(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// wrap joins names by commas into lines of at most width cells each (a longer name has a
// line of its own).
func wrap(names []string, width int) []string {
	var lines []string
	line, used := "", 0
	for _, name := range names {
		w := cells(name)
		switch {
		case line == "":
			line, used = name, w
		case used+2+w > width:
			lines = append(lines, line+",")
			line, used = name, w
		default:
			line, used = line+", "+name, used+2+w
		}
	}
	if line == "" {
		return lines
	}
	return append(lines, line)
}
