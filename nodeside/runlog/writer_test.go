package runlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"troops/nodeside/wire"
)

// text reads frames as text, each note and phase as a line in brackets.
func text(t *testing.T, b []byte) string {
	t.Helper()
	var sb strings.Builder
	r := wire.NewReader(bytes.NewReader(b))
	for {
		f, err := r.Next()
		if err == io.EOF {
			return sb.String()
		}
		if err != nil {
			t.Fatalf("after %q: %v", sb.String(), err)
		}
		if f.Kind == wire.Note || f.Kind == wire.Phase {
			fmt.Fprintf(&sb, "[%c %s]\n", f.Kind, f.Payload)
		} else {
			sb.Write(f.Payload)
		}
	}
}

func TestWriter(t *testing.T) {
	dir, _ := newRun(t, t.TempDir(), runA, wire.Queued, "first")
	w, err := OpenWriter(dir)
	if err != nil {
		t.Fatal(err)
	}
	w.Phase("deploy")
	big := strings.Repeat("x", 3*wire.MaxPayload+1)
	for _, p := range []string{"a\n", "", big} {
		if n, err := w.Stream(wire.Stdout).Write([]byte(p)); n != len(p) || err != nil {
			t.Errorf("wrote %d of %d: %v", n, len(p), err)
		}
	}
	w.Note("two\nlines\n")
	size, loss := w.Close()
	b, err := os.ReadFile(dir.Log())
	if err != nil || int64(len(b)) != size || loss != nil {
		t.Errorf("%d bytes, closed with %d, %v, %v", len(b), size, loss, err)
	}
	if got, want := text(t, b), "[t first]\n[p deploy]\na\n"+big+"[t two lines]\n"; got != want {
		t.Errorf("%.200q", got)
	}
	w.Note("late") // a stray process's copier: of no effect
	if again, _ := os.ReadFile(dir.Log()); !bytes.Equal(again, b) {
		t.Error("written after the end")
	}
}

func TestWriterConcurrent(t *testing.T) {
	dir, _ := newRun(t, t.TempDir(), runA, wire.Queued)
	w, err := OpenWriter(dir)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, k := range []wire.Kind{wire.Stdout, wire.Stderr} {
		wg.Go(func() {
			for i := range 500 {
				fmt.Fprintf(w.Stream(k), "%c%d\n", k, i)
			}
		})
	}
	wg.Wait()
	w.Close()
	b, err := os.ReadFile(dir.Log())
	if err != nil {
		t.Fatal(err)
	}
	next := map[byte]int{}
	for line := range strings.Lines(text(t, b)) {
		if want := fmt.Sprintf("%c%d\n", line[0], next[line[0]]); line != want {
			t.Fatalf("%q, want %q", line, want)
		}
		next[line[0]]++
	}
	if next['o'] != 500 || next['e'] != 500 {
		t.Errorf("lines: %v", next)
	}
}

// disk is a file on a disk that has room for some bytes.
type disk struct {
	data     []byte
	room     int
	truncErr error
	syncErr  error
	seen     []string // the whole frames that a follower could have read, after each change
}

func (d *disk) WriteAt(p []byte, off int64) (int, error) {
	at := int(off)
	n := max(0, min(len(p), d.room-at))
	if n > 0 {
		d.data = append(d.data, make([]byte, max(0, at+n-len(d.data)))...)
		copy(d.data[at:], p[:n])
	}
	d.look()
	if n < len(p) {
		return n, unix.ENOSPC
	}
	return n, nil
}

func (d *disk) Truncate(size int64) error {
	if d.truncErr == nil {
		d.data = d.data[:size]
	}
	d.look()
	return d.truncErr
}

func (d *disk) look() {
	whole := 0
	for {
		n, err := firstFrame(d.data[whole:])
		if n == 0 || err != nil {
			d.seen = append(d.seen, string(d.data[:whole]))
			return
		}
		whole += n
	}
}

func (d *disk) Sync() error  { return d.syncErr }
func (d *disk) Close() error { return nil }

func TestWriterDiskFull(t *testing.T) {
	d := &disk{room: 20}
	w := &Writer{f: d, max: MaxLog}
	out := w.Stream(wire.Stdout)
	fmt.Fprint(out, "fits\n")       // 10 bytes
	fmt.Fprint(out, "does not fit") // partly written, taken back
	fmt.Fprint(out, "nor this\n")   // and would not be in its place alone
	if got := text(t, d.data); got != "fits\n" {
		t.Errorf("full: %q", got)
	}
	d.room = 1000
	fmt.Fprint(out, "room again\n")
	d.room = len(d.data)
	fmt.Fprint(out, "lost\n")
	d.room = len(d.data) + 90 // for the note alone
	fmt.Fprint(out, strings.Repeat("x", 90))
	d.room = 1000
	size, loss := w.Close()
	want := "fits\n[t 21 bytes of output are missing here: no space left on device]\nroom again\n[t 95 bytes of output are missing here: no space left on device]\n"
	if got := text(t, d.data); got != want || size != int64(len(d.data)) {
		t.Errorf("%q, %d", got, size)
	}
	if !errors.Is(loss, unix.ENOSPC) || loss.Error() != "116 bytes of output are missing: no space left on device" {
		t.Errorf("closed with %v", loss)
	}
	if len(d.seen) < 8 {
		t.Errorf("only %d looks", len(d.seen))
	}
	for _, s := range d.seen {
		if !strings.HasPrefix(string(d.data), s) {
			t.Errorf("a follower could have read what was taken back: %q", s)
		}
	}
}

// A deployment that prints without end fills neither the disk nor what tells how it went on.
func TestWriterLimit(t *testing.T) {
	d := &disk{room: 1000}
	w := &Writer{f: d, max: 40}
	out := w.Stream(wire.Stdout)
	fmt.Fprint(out, "fits\n")
	fmt.Fprint(out, strings.Repeat("y", 40))
	fmt.Fprint(out, strings.Repeat("y", 60))
	w.Phase("deploy")
	fmt.Fprint(w.Stream(wire.Stderr), "one more")
	_, loss := w.Close()
	want := "fits\n[t 100 bytes of output are missing here: the log of a run may have 256 MiB]\n[p deploy]\n[t 8 bytes of output are missing here: the log of a run may have 256 MiB]\n"
	if got := text(t, d.data); got != want {
		t.Errorf("%q", got)
	}
	if !errors.Is(loss, ErrMaxLog) || loss.Error() != "108 bytes of output are missing: the log of a run may have 256 MiB" {
		t.Errorf("closed with %v", loss)
	}
}

// A log that was cut for its length, and then could not be written, is not one that was only cut.
func TestWriterLimitThenFull(t *testing.T) {
	for _, fail := range []func(*disk){
		func(d *disk) { d.room = len(d.data) },
		func(d *disk) { d.syncErr = unix.ENOSPC },
	} {
		d := &disk{room: 1000}
		w := &Writer{f: d, max: 10}
		fmt.Fprint(w.Stream(wire.Stdout), strings.Repeat("y", 40))
		fail(d)
		w.Phase("deploy")
		if _, loss := w.Close(); !errors.Is(loss, unix.ENOSPC) || errors.Is(loss, ErrMaxLog) {
			t.Errorf("closed with %v", loss)
		}
	}
}

// What the disk says when all of the log has been handed to it counts as well.
func TestWriterSync(t *testing.T) {
	d := &disk{room: 1000, syncErr: unix.EIO}
	w := &Writer{f: d, max: MaxLog}
	fmt.Fprint(w.Stream(wire.Stdout), "all")
	if size, loss := w.Close(); !errors.Is(loss, unix.EIO) || size != int64(len(d.data)) {
		t.Errorf("closed with %d, %v", size, loss)
	}
}

// Where a torn frame cannot be taken back, nothing is written after it.
func TestWriterBroken(t *testing.T) {
	d := &disk{room: 8, truncErr: errors.New("read-only")}
	w := &Writer{f: d, max: MaxLog}
	fmt.Fprint(w.Stream(wire.Stdout), "torn")
	d.room = 1000
	fmt.Fprint(w.Stream(wire.Stdout), "after")
	size, loss := w.Close()
	if len(d.data) != 8 || size != 0 || loss == nil || !strings.HasPrefix(loss.Error(), "9 bytes") {
		t.Errorf("%q, %d, %v", d.data, size, loss)
	}
}
