package wire

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// pipes is both ends of an attach: what a node writes and what it hears.
type pipes struct {
	win    *Window
	reader *Reader
	taker  Taker
	ended  chan struct{} // closed when the node listens no more
	hangUp func()
}

func newPipes(t *testing.T) *pipes {
	t.Helper()
	outR, outW := io.Pipe()
	inR, inW := io.Pipe()
	p := &pipes{win: NewWindow(outW), reader: NewReader(outR), taker: Taker{W: inW}, ended: make(chan struct{})}
	p.hangUp = func() { inW.Close(); outR.Close() }
	t.Cleanup(p.hangUp)
	go func() { p.win.Listen(inR); close(p.ended) }()
	if _, err := io.WriteString(inW, AskWindow()); err != nil {
		t.Fatal(err)
	}
	p.take(t, Windowed)
	return p
}

func (p *pipes) take(t *testing.T, want Kind) Frame {
	t.Helper()
	f, err := p.reader.Next()
	if err != nil || f.Kind != want {
		t.Fatalf("frame %c, %v, want %c", f.Kind, err, want)
	}
	p.taker.Took(f)
	return f
}

// outstanding is how much the node has sent that nobody has said to have taken.
func (w *Window) outstanding() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
}

// TestWindowBoundsWhatIsSent: a node that floods never has more than the window outstanding, and
// all that it writes arrives in the end.
func TestWindowBoundsWhatIsSent(t *testing.T) {
	p := newPipes(t)
	const frames, size = 400, 30_000
	payload := bytes.Repeat([]byte("x"), size)
	done := make(chan error, 1)
	go func() {
		for range frames {
			if _, err := p.win.Write(AppendFrame(nil, Stdout, payload)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := range frames {
		if f := p.take(t, Stdout); len(f.Payload) != size {
			t.Fatalf("frame %d has %d bytes", i, len(f.Payload))
		}
		if n := p.win.outstanding(); n > FollowWindow {
			t.Fatalf("%d bytes are outstanding, more than %d", n, FollowWindow)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestWindowHolds: a follower that reads and takes nothing is sent the window and no more; then
// it leaves, and whoever writes gets to know.
func TestWindowHolds(t *testing.T) {
	out := make(chan int, 3)
	win := NewWindow(writerFunc(func(p []byte) { out <- len(p) }))
	inR, inW := io.Pipe()
	go win.Listen(inR)
	io.WriteString(inW, AskWindow())
	inW.Write(nil) // is taken once the line before it has been dealt with
	answer := <-out
	done := make(chan error, 1)
	go func() { _, err := win.Write(make([]byte, 3*FollowWindow)); done <- err }()
	if n := <-out; n != FollowWindow-answer || answer != len(AppendFrame(nil, Windowed, nil)) {
		t.Errorf("sent %d bytes at once after %d, want the window", n, answer)
	}
	inW.Close()
	if n := <-out; n != 2*FollowWindow+answer {
		t.Errorf("sent %d bytes after the follower had left", n)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

// TestOldEnds: a side that knows nothing of windows is served as ever.
func TestOldEnds(t *testing.T) {
	for name, in := range map[string]string{"nothing": "", "words": "hello\n", "taken before asked": "10\n",
		"twice": AskWindow() + AskWindow(), "negative": AskWindow() + "-5\n", "long": strings.Repeat("1", 1000)} {
		var out bytes.Buffer
		win := NewWindow(&out)
		win.Listen(strings.NewReader(in))
		if _, err := win.Write(make([]byte, 4*FollowWindow)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	(&Taker{}).Took(Frame{Kind: Windowed}) // a node that was not asked
	var in bytes.Buffer
	taker := Taker{W: &in}
	for range 100 {
		taker.Took(Frame{Stdout, make([]byte, MaxPayload)})
	}
	if in.Len() > 0 {
		t.Errorf("an old node is told %q", &in)
	}
}

func FuzzWindow(f *testing.F) {
	f.Add(AskWindow() + "70000\n70000\n")
	f.Add("window 1\n99999999999999\n")
	f.Fuzz(func(t *testing.T, in string) {
		win := NewWindow(io.Discard)
		win.Listen(strings.NewReader(in)) // must end
		if _, err := win.Write(make([]byte, 10)); err != nil {
			t.Error(err)
		}
	})
}
