package output

import (
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
)

const (
	// areaTick is how often a terminal is looked at: how soon its new size is seen, and how long
	// lines wait at most for others that come at the same time.
	areaTick = 40 * time.Millisecond

	// areaRefresh is how often the status is made anew.
	areaRefresh = 5 * areaTick

	// areaRows is how many rows the status has at most; on a terminal of few rows it has less,
	// areaShare leaves the rest to lines. Below minAreaWidth and minAreaHeight there is none.
	areaRows      = 4
	areaShare     = 3
	minAreaWidth  = 20
	minAreaHeight = 6

	// minNameWidth is how many cells the name of a node takes at least, with its phase.
	minNameWidth = 8
)

// area is the status below the lines of a terminal.
//
// Between two writes the cursor stands at the start of the area, which is where the next line
// goes: what has to be erased is all that is below, however the terminal has wrapped it when it was
// resized, and what scrolls away are lines only.
type area struct {
	size func() (width, height int) // of the terminal, now; 0 where it is not known

	rows          []string  // as wanted
	drawn         []string  // as the terminal shows them, cut to its size
	width, height int       // for which they were drawn
	wrote         time.Time // when lines were written last
	made          time.Time // when rows were made
	over          bool      // there will be no more rows
}

// fits is how wide the area may be and how many rows it may have, 0 for none.
func (a *area) fits() (width, rows int) {
	w, h := a.size()
	if w < minAreaWidth || h < minAreaHeight {
		return 0, 0
	}
	return w - 1, min(areaRows, h/areaShare)
}

// around makes what is to be written so that lines go where the area was, and the area below
// them. Without lines it is what brings the area up to date, which may be nothing.
func (a *area) around(lines []byte) []byte {
	w, h := a.size()
	width, most := a.fits()
	rows := make([]string, 0, areaRows)
	for _, row := range a.rows[:min(len(a.rows), most)] {
		rows = append(rows, ansi.Truncate(row, width, "…"))
	}
	if len(rows) == 0 && len(a.drawn) == 0 {
		return lines
	}
	// Rows that stay where they are are written over, without erasing them first: that might be seen.
	over := len(lines) == 0 && w == a.width && h == a.height && len(rows) >= len(a.drawn)
	if over && slices.Equal(rows, a.drawn) {
		return nil
	}
	out := make([]byte, 0, len(lines)+1024)
	out = append(out, ansi.SetModeSynchronizedOutput...)
	if !over && len(a.drawn) > 0 {
		out = append(out, '\r')
		out = append(out, ansi.EraseScreenBelow...)
	}
	out = append(out, lines...)
	out = appendRows(out, rows)
	a.width, a.height, a.drawn = w, h, rows
	return append(out, ansi.ResetModeSynchronizedOutput...)
}

// appendRows draws rows, and brings the cursor back to where the first of them begins. A row that is
// too wide for the terminal, which may have become narrower just now, is not wrapped.
func appendRows(out []byte, rows []string) []byte {
	if len(rows) == 0 {
		return out
	}
	out = append(out, ansi.ResetModeAutoWrap...)
	for i, row := range rows {
		if i > 0 {
			out = append(out, '\n')
		}
		out = append(out, '\r')
		out = append(out, row...)
		out = append(out, ansi.EraseLineRight...)
	}
	if len(rows) > 1 {
		out = append(out, ansi.CursorUp(len(rows)-1)...)
	}
	out = append(out, '\r')
	return append(out, ansi.SetModeAutoWrap...)
}

// The functions below need l.mu, but for beat.

// statusRows is how far the rollout is, in at most most rows of width cells.
func (l *Lines) statusRows(width, most int) []string {
	p := l.progress()
	if p.total == 0 || p.ended == p.total || most == 0 {
		return nil
	}
	lead := "[" + elapsed(p.took) + "] "
	rows := wrap(p.parts, width-len(lead))
	for i, row := range rows {
		rows[i] = strings.Repeat(" ", len(lead)) + row
	}
	rows[0] = lead + rows[0][len(lead):]
	if len(p.slow) > 0 {
		names := max(1, width/minNameWidth)
		for names > 1 && cells(p.holdUp(names)) > width {
			names--
		}
		rows = append(rows[:min(len(rows), most-1)], p.holdUp(names))
	}
	for i, row := range rows {
		if l.color != NoColor {
			rows[i] = l.styles.own.Render(row)
		}
	}
	return rows[:min(len(rows), most)]
}

// write hands the gathered lines to the terminal, or leaves them to the next beat where lines
// have been written just now.
func (l *Lines) write() {
	switch {
	case l.area == nil:
		l.page.write()
	case len(l.buf) >= batch || l.now().Sub(l.area.wrote) >= areaTick:
		l.writeScreen()
	}
}

func (l *Lines) writeScreen() {
	if len(l.buf) > 0 {
		l.area.wrote = l.now()
	}
	l.buf = l.area.around(l.buf)
	l.page.write()
}

// beat does what is to be done now and then: held lines are shown, and the status is.
func (l *Lines) beat() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fold != nil {
		l.fold.expire(l.now())
	}
	if l.area == nil {
		l.write()
		return
	}
	if a := l.area; !a.over && l.now().Sub(a.made) >= areaRefresh {
		a.rows, a.made = l.statusRows(a.fits()), l.now()
	}
	l.writeScreen()
}

// clearArea takes the status from the screen, until the next beat.
func (l *Lines) clearArea() {
	if l.area != nil {
		l.area.rows, l.area.made = nil, time.Time{}
		l.writeScreen()
	}
}

// endArea takes the status from the screen for good. Lines are written at once from then on.
func (l *Lines) endArea() {
	if l.area != nil {
		l.clearArea()
		l.area.over, l.area.wrote = true, time.Time{}
	}
}
