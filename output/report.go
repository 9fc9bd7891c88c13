package output

import (
	"fmt"
	"strings"

	"troops/doctor"
)

// reportTopic is the width of the column of topics, in cells.
const reportTopic = 14

// Report draws what troops doctor found out about a host: a heading, then a line a finding,
// with the way out below it. All of it is made safe; how bad a finding is, a word says.
func Report(r doctor.Report, c Color) string {
	s := newStyles(c)
	var b strings.Builder
	fmt.Fprintln(&b, s.host.Bold(true).Foreground(hostColor(r.Host)).Render(Sanitize(r.Host)))
	hop := ""
	for _, f := range r.Findings {
		switch {
		case f.Hop == hop:
		case f.Hop != "":
			fmt.Fprintf(&b, "  by way of %s\n", Sanitize(f.Hop))
		default:
			fmt.Fprintln(&b, "  and from there")
		}
		hop = f.Hop
		level := fmt.Sprintf("%-4s", f.Level)
		if f.Level != doctor.Good {
			level = s.bad.Render(level)
		}
		fmt.Fprintf(&b, "  %s  %-*s  %s\n", level, reportTopic, f.Topic, Sanitize(f.Text))
		if f.Hint != "" {
			fmt.Fprintf(&b, "  %s  %*s  %s\n", "    ", reportTopic, "", Sanitize(f.Hint))
		}
	}
	return b.String() + "\n"
}
