package wire

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

const (
	// FollowWindow is how many bytes of frames a workstation lets attach send before it has taken
	// any: what a node that floods costs it in memory. SSH's own window is eight times that.
	FollowWindow = 256 << 10
	// ackEvery is after how many bytes it says that it has taken them.
	ackEvery = FollowWindow / 4
	// windowWord begins the first line that a workstation sends on attach's standard input.
	windowWord = "window "
)

// Windowed is the frame by which attach says that it keeps to a window; until it comes nobody
// tells attach what was taken.
const Windowed Kind = 'w'

// AskWindow is what a workstation sends on attach's standard input to have it keep to a window.
// An attach that is too old does not read it.
func AskWindow() string { return fmt.Sprintf("%s%d\n", windowWord, FollowWindow) }

// Taker tells attach, on its standard input, how much of its frames has been taken. Without a
// writer it tells nobody.
type Taker struct {
	W     io.Writer
	asked bool
	taken int64 // since attach was told
}

// Took counts a frame that needs no memory any more. Errors of writing are the connection's, which
// reading tells.
func (t *Taker) Took(f Frame) {
	if t.W == nil {
		return
	}
	t.asked = t.asked || f.Kind == Windowed
	if t.taken += f.Size(); !t.asked || t.taken < ackEvery {
		return
	}
	_, _ = fmt.Fprintf(t.W, "%d\n", t.taken)
	t.taken = 0
}

// Window is the node's end: a writer of frames that waits where the workstation asked for a
// window and has not taken what was sent.
type Window struct {
	w io.Writer

	writing sync.Mutex // one Write, or the answer to the request, at a time
	mu      sync.Mutex // guards all below
	cond    *sync.Cond
	size    int64 // 0: no limit
	sent    int64 // and not taken
}

// NewWindow returns a writer to w without a limit. [Window.Listen] sets it.
func NewWindow(w io.Writer) *Window {
	win := &Window{w: w}
	win.cond = sync.NewCond(&win.mu)
	return win
}

// Write implements io.Writer.
func (w *Window) Write(p []byte) (n int, err error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	for len(p) > 0 && err == nil {
		part := p[:w.room(len(p))]
		var m int
		m, err = w.w.Write(part)
		n, p = n+m, p[m:]
	}
	return n, err
}

// room waits until some of n bytes may be sent, and counts those as sent.
func (w *Window) room(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.size > 0 && w.sent >= w.size {
		w.cond.Wait()
	}
	if w.size > 0 {
		n = int(min(int64(n), w.size-w.sent))
	}
	w.sent += int64(n)
	return n
}

// Listen reads what a workstation says of the window, until the end of r or until it makes no
// sense. After that there is no limit: a connection that is gone is for Write to find out.
func (w *Window) Listen(r io.Reader) {
	defer w.set(0, 0)
	const longestLine = 64
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, longestLine), longestLine)
	for first := true; lines.Scan(); first = false {
		text, asks := strings.CutPrefix(lines.Text(), windowWord)
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 || asks != first {
			return
		}
		if !asks {
			w.set(-1, n)
			continue
		}
		if _, err := w.Write(AppendFrame(nil, Windowed, nil)); err != nil {
			return
		}
		w.set(max(n, MaxFrame), 0)
	}
}

// set makes the window size, unless it is below 0, and counts bytes as taken.
func (w *Window) set(size, taken int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if size >= 0 {
		w.size = size
	}
	w.sent -= taken
	w.cond.Broadcast()
}
