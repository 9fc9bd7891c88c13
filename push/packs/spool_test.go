package packs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/iotest"
)

func newPack(ctx context.Context, sp *spool) *Pack {
	return &Pack{ctx: ctx, spool: sp, closed: make(chan struct{})}
}

// pattern is n bytes that differ from their neighbours.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// TestFollow: readers that are ahead of the writer get every byte once, in memory, in a file, and
// over the change from one to the other.
func TestFollow(t *testing.T) {
	for _, size := range []int{0, 1, 1000, memoryLimit, memoryLimit + 1, 2*memoryLimit + 7} {
		sp := &spool{}
		want := pattern(size)
		var wg sync.WaitGroup
		for i := range 6 {
			p := newPack(context.Background(), sp)
			wg.Go(func() {
				var got bytes.Buffer
				var err error
				switch i % 3 {
				case 0:
					_, err = p.WriteTo(&got)
				case 1:
					_, err = got.ReadFrom(iotest.HalfReader(p))
				default:
					_, err = got.ReadFrom(p)
				}
				if err != nil || !bytes.Equal(got.Bytes(), want) {
					t.Errorf("size %d: reader %d got %d bytes, %v", size, i, got.Len(), err)
				}
				if n, err := p.Size(context.Background()); n != int64(size) || err != nil {
					t.Errorf("size %d: Size is %d, %v", size, n, err)
				}
			})
		}
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 5000)
			if _, err := sp.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		sp.finish(nil)
		wg.Wait()
		sp.free()
	}
}

// TestReaderAhead: a reader that waits is woken by the very next bytes.
func TestReaderAhead(t *testing.T) {
	sp := &spool{}
	p := newPack(context.Background(), sp)
	got := make(chan string)
	go func() {
		b := make([]byte, 10)
		for {
			n, err := p.Read(b)
			if err != nil {
				got <- err.Error()
				return
			}
			got <- string(b[:n])
		}
	}()
	for _, step := range []string{"one", "two"} {
		if _, err := sp.Write([]byte(step)); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != step {
			t.Errorf("read %q, want %q", s, step)
		}
	}
	sp.finish(nil)
	if s := <-got; s != "EOF" {
		t.Errorf("read %q, want the end", s)
	}
}

func TestReaderIsInterrupted(t *testing.T) {
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(context.Background())
	for _, tt := range []struct {
		name string
		act  func(sp *spool, p *Pack)
		want error
	}{
		{"close", func(_ *spool, p *Pack) { _ = p.Close() }, os.ErrClosed},
		{"context", func(*spool, *Pack) { cancel(stop) }, stop},
		{"failure", func(sp *spool, _ *Pack) { sp.finish(stop) }, stop},
		{"store closed", func(sp *spool, _ *Pack) { sp.free() }, ErrClosed},
	} {
		sp := &spool{}
		if _, err := sp.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		c := context.Background()
		if tt.name == "context" {
			c = ctx
		}
		p := newPack(c, sp)
		gate := make(chan struct{})
		errs := make(chan error)
		go func() {
			_, err := p.WriteTo(gateWriter{gate})
			errs <- err
		}()
		<-gate // it has got all that there is
		tt.act(sp, p)
		if err := <-errs; !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, tt.want) {
			t.Errorf("%s: the next read: %v, want %v", tt.name, err, tt.want)
		}
	}
}

type gateWriter struct{ gate chan struct{} }

func (w gateWriter) Write(p []byte) (int, error) {
	w.gate <- struct{}{}
	return len(p), nil
}

func TestSizeWaits(t *testing.T) {
	sp := &spool{}
	p := newPack(context.Background(), sp)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Size(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	fail := errors.New("fail")
	sp.finish(fail)
	if _, err := p.Size(context.Background()); !errors.Is(err, fail) {
		t.Errorf("error %v", err)
	}
}

// TestFileClosedUnderReader: a reader in the middle of a file gets ErrClosed, not a file's error.
func TestFileClosedUnderReader(t *testing.T) {
	sp := &spool{}
	if _, err := sp.Write(pattern(2 * memoryLimit)); err != nil {
		t.Fatal(err)
	}
	p := newPack(context.Background(), sp)
	if _, err := io.ReadFull(p, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	v := sp.at(p.off) // as if Close came between looking and reading
	sp.free()
	if _, err := p.readFile(v, make([]byte, 100)); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v", err)
	}
	var w failingWriter
	if _, err := newPack(context.Background(), &spool{memory: []byte("abc"), size: 3, done: true}).WriteTo(w); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("error %v", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
