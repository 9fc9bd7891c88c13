package output

import (
	"fmt"
	"strings"

	"troops/push"
)

// maxMarkdown is how long a Markdown summary may be, in bytes: GitHub takes 1 MiB of a step.
const maxMarkdown = 900 << 10

// Markdown is the rollout for a page such as the one $GITHUB_STEP_SUMMARY is for: how many nodes
// of each outcome, the nodes that are not well with their last lines, the others by name, and
// where the time went.
func (r *Record) Markdown() string {
	r.lines.mu.Lock()
	defer r.lines.mu.Unlock()
	reports := r.lines.reports
	var b strings.Builder
	fmt.Fprintf(&b, "### troops push %s\n\n%s\n\n", markdown(r.title()), markdown(counts(reports, r.took())))
	var troubled [][]*report
	for _, k := range troubles {
		troubled = append(troubled, alike(of(reports, k))...)
	}
	if len(troubled) > 0 {
		b.WriteString("| node | outcome | time |\n|---|---|---|\n")
	}
	for i, group := range troubled {
		if b.Len() > maxMarkdown/2 {
			fmt.Fprintf(&b, "| and %d more | | |\n", len(troubled)-i)
			break
		}
		first := group[0]
		fmt.Fprintf(&b, "| %s | **%s** | %s |\n", markdown(nodesOf(group)), markdown(first.text), duration(first.took))
	}
	b.WriteString("\n")
	for _, group := range troubled {
		lines := group[0].lastLines()
		text := fmt.Sprintf("<details><summary>last lines of %s</summary>\n\n%s\n</details>\n\n", markdown(group[0].name), fenced(lines))
		if len(lines) > 0 && b.Len()+len(text) < maxMarkdown {
			b.WriteString(text)
		}
	}
	for _, k := range []push.Kind{push.KindDeployed, push.KindStarted, push.KindCurrent, push.KindNotStarted, ""} {
		if rest := of(reports, k); len(rest) > 0 {
			text := fmt.Sprintf("- %s: %s\n", markdown(kindName(k)), markdown(nodesOf(rest)))
			if b.Len()+len(text) < maxMarkdown {
				b.WriteString(text)
			}
		}
	}
	b.WriteString("\n")
	if times := phaseTimes(reports); len(times) > 0 {
		b.WriteString("| phase | median | longest |\n|---|---|---|\n")
		for _, t := range times {
			fmt.Fprintf(&b, "| %s | %s | %s (%s) |\n", markdown(t.phase), duration(t.median), duration(t.longest), markdown(t.slowest.name))
		}
	}
	return b.String()
}

func kindName(k push.Kind) string {
	if k == "" {
		return "not finished"
	}
	return string(k)
}

// markdown escapes what is text already made safe, so that it is nothing else in Markdown: each
// ASCII punctuation character may have a backslash before it (CommonMark 2.4).
func markdown(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c == ' ', c >= 0x80:
		case c == '\t':
			c = ' '
		default:
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}

// fenced is lines as a code block, in a fence that none of them can end.
func fenced(lines []string) string {
	text := strings.Join(lines, "\n")
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + text + "\n" + fence + "\n"
}
