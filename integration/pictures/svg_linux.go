package main

import (
	"fmt"
	"html"
	"image/color"
	"strings"

	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/ansi"
)

// How a cell is drawn, in pixels.
const (
	cellWidth  = 8.4
	cellHeight = 19
	fontSize   = 14
	margin     = 16
)

// The colours of the pictures.
const (
	background = "#1b1f27"
	foreground = "#d7dae0"
)

// palette are the sixteen colours that a terminal's user chooses.
var palette = [16]string{
	"#3b4048", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0",
	"#7f848e", "#ff7b86", "#b5e890", "#ffd787", "#7cc7ff", "#e299f5", "#73d8e6", "#ffffff",
}

// svg draws the screen, without the empty rows at its end.
func (t *terminal) svg(title string) string {
	var lines []string
	for y := range rows {
		lines = append(lines, t.row(y))
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	width, height := columns*cellWidth+2*margin, len(lines)*cellHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(title))
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" rx="8" fill="%s"/>`+"\n", background)
	fmt.Fprintf(&b, `<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="%d" fill="%s" xml:space="preserve">`+"\n", fontSize, foreground)
	for y, line := range lines {
		if line != "" {
			fmt.Fprintf(&b, `<text y="%d">%s</text>`+"\n", margin+y*cellHeight+fontSize, line)
		}
	}
	return b.String() + "</g>\n</svg>\n"
}

// row draws a row of cells: a span for each stretch of the same style, each in its column.
func (t *terminal) row(y int) string {
	var b, text strings.Builder
	start, style := 0, ""
	flush := func(end int) {
		if s := text.String(); strings.TrimSpace(s) != "" {
			fmt.Fprintf(&b, `<tspan x="%.1f" textLength="%.1f"%s>%s</tspan>`, margin+float64(start)*cellWidth, float64(end-start)*cellWidth, style, html.EscapeString(s))
		}
		text.Reset()
		start = end
	}
	last := columns
	for last > 0 && blank(t.screen.CellAt(last-1, y)) {
		last--
	}
	for x := 0; x < last; {
		c := t.screen.CellAt(x, y)
		if c == nil {
			break
		}
		if look := attributes(c.Style); look != style {
			flush(x)
			style = look
		}
		if text.WriteString(c.Content); c.Content == "" {
			text.WriteByte(' ')
		}
		x += max(1, c.Width)
	}
	flush(last)
	return b.String()
}

func blank(c *uv.Cell) bool { return c == nil || strings.TrimSpace(c.Content) == "" }

// attributes are those of a span in the style of a cell.
func attributes(s uv.Style) string {
	out := ""
	if s.Fg != nil {
		out += fmt.Sprintf(` fill="%s"`, hex(s.Fg))
	}
	if s.Attrs&uv.AttrBold != 0 {
		out += ` font-weight="bold"`
	}
	if s.Attrs&uv.AttrFaint != 0 {
		out += ` opacity="0.6"`
	}
	return out
}

func hex(c color.Color) string {
	if basic, ok := c.(ansi.BasicColor); ok {
		return palette[basic&15]
	}
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}
