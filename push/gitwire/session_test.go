package gitwire

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"
)

func newReader(s string) *bufio.Reader { return bufio.NewReaderSize(strings.NewReader(s), readBuffer) }

// pipe is a connection to a server in the test: what it gets, and what it says.
type pipe struct {
	got  *io.PipeReader
	says *io.PipeWriter
}

// dial starts a server that has advertised itself, and returns the client's session and the ends
// of its connection. hang says that closing w alone does not end a Write, as on an SSH channel.
func dial(t *testing.T, hang bool, serve func(p pipe)) (s *Session, w io.WriteCloser) {
	t.Helper()
	cr, sw := io.Pipe()
	sr, cw := io.Pipe()
	var conn connection
	conn.Reader, conn.close = cr, func() { _ = cr.Close(); _ = cw.Close() }
	w = cw
	if hang {
		w = halfClose{cw}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.WriteString(sw, advertised(line(oidA, "refs/heads/a")))
		serve(pipe{sr, sw})
	}()
	t.Cleanup(func() { conn.close(); <-done })
	s, _, err := ReadAdvertisement(context.Background(), &conn)
	if err != nil {
		t.Fatal(err)
	}
	s.grace = time.Nanosecond // nothing of these tests depends on it but how long they take
	return s, w
}

type connection struct {
	io.Reader
	close func()
}

func (c *connection) Close() error { c.close(); return nil }

// halfClose is a writer whose Close leaves a Write waiting for the peer.
type halfClose struct{ io.Writer }

func (halfClose) Close() error { return nil }

// longPack is an endless pack that counts its Closes.
type longPack struct {
	mu     sync.Mutex
	closed int
}

func (p *longPack) Read(b []byte) (int, error) { return len(b), nil }

func (p *longPack) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed++
	return nil
}

// TestServerTalksFirst: a server that says a lot before it reads a byte is heard out, whether or
// not it ever reads.
func TestServerTalksFirst(t *testing.T) {
	for _, hang := range []bool{false, true} {
		s, w := dial(t, hang, func(p pipe) {
			for range 100 {
				_, _ = io.WriteString(p.says, band(2, strings.Repeat("no! ", 500)))
			}
			_, _ = io.WriteString(p.says, report("unpack disk full")+"0000")
			_ = p.says.Close()
		})
		h, pack := &heard{}, &longPack{}
		rep, err := s.Push(context.Background(), w, Request{Commands: twoCommands(), Pack: pack}, h)
		var unpack *UnpackError
		if err != nil || !errors.As(rep.Err(), &unpack) || unpack.Reason != "disk full" || h.text.Len() != 200000 {
			t.Errorf("heard %d bytes, report %+v, %v", h.text.Len(), rep, err)
		}
		if pack.closed != 1 {
			t.Errorf("pack closed %d times", pack.closed)
		}
	}
}

// TestServerMakesNoSense: the connection is closed at once, although the server goes on.
func TestServerMakesNoSense(t *testing.T) {
	s, w := dial(t, true, func(p pipe) {
		for {
			if _, err := io.WriteString(p.says, "hello"); err != nil {
				return // hung up
			}
		}
	})
	var protocol *ProtocolError
	if _, err := s.Push(context.Background(), w, Request{Commands: twoCommands(), Pack: &longPack{}}, nil); !errors.As(err, &protocol) {
		t.Errorf("error %v", err)
	}
}

// TestServerHangsUp: the connection ends while the pack is on its way.
func TestServerHangsUp(t *testing.T) {
	broken := errors.New("broken pipe")
	s, w := dial(t, false, func(p pipe) {
		_, _ = io.CopyN(io.Discard, p.got, 100<<10)
		_ = p.got.CloseWithError(broken)
		_, _ = io.WriteString(p.says, band(2, "last words"))
		_ = p.says.Close()
	})
	h := &heard{}
	rep, err := s.Push(context.Background(), w, Request{Commands: twoCommands(), Pack: &longPack{}}, h)
	var lost *LostError
	if !errors.As(err, &lost) || lost.Reported || rep != nil || !errors.Is(err, io.ErrUnexpectedEOF) || h.text.String() != "last words" {
		t.Errorf("heard %q, report %+v, error %v", &h.text, rep, err)
	}
}

// TestPackFails: the server is told no more, its answer is heard, and the error is that of the pack.
func TestPackFails(t *testing.T) {
	s, w := dial(t, false, func(p pipe) {
		_, _ = io.Copy(io.Discard, p.got)
		_, _ = io.WriteString(p.says, band(2, "early EOF")+report("unpack index-pack abnormal exit")+"0000")
		_ = p.says.Close()
	})
	cause := errors.New("cause")
	h := &heard{}
	pack := struct {
		io.Reader
		io.Closer
	}{io.MultiReader(strings.NewReader("PACK"), errReader{cause}), &longPack{}}
	rep, err := s.Push(context.Background(), w, Request{Commands: twoCommands(), Pack: pack}, h)
	var pe *PackError
	if !errors.As(err, &pe) || !errors.Is(err, cause) || rep == nil || rep.OK() || h.text.String() != "early EOF" {
		t.Errorf("heard %q, report %+v, error %v", &h.text, rep, err)
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// TestCancelled: wherever the exchange stands, the end of the context ends it.
func TestCancelled(t *testing.T) {
	stop := errors.New("stopped by the test")
	for name, serve := range map[string]func(p pipe, cancel func()){
		"while sending":     func(p pipe, cancel func()) { _, _ = io.CopyN(io.Discard, p.got, 100<<10); cancel() },
		"before a byte":     func(_ pipe, cancel func()) { cancel() },
		"while the hook is": func(p pipe, cancel func()) { _, _ = io.WriteString(p.says, band(2, "hook")); cancel() },
		"inside a packet":   func(p pipe, cancel func()) { _, _ = io.WriteString(p.says, "00ff\x02x"); cancel() },
	} {
		for _, hang := range []bool{false, true} {
			ctx, cancel := context.WithCancelCause(context.Background())
			s, w := dial(t, hang, func(p pipe) { serve(p, func() { cancel(stop) }) })
			rep, err := s.Push(ctx, w, Request{Commands: twoCommands(), Pack: &longPack{}}, nil)
			var lost *LostError
			if !errors.As(err, &lost) || lost.Reported || !errors.Is(err, stop) || rep != nil {
				t.Errorf("%s: report %+v, error %v", name, rep, err)
			}
		}
	}
}

func TestEnd(t *testing.T) {
	got := make(chan string, 1)
	s, w := dial(t, false, func(p pipe) {
		b, _ := io.ReadAll(p.got)
		got <- string(b)
		_ = p.says.Close()
	})
	if err := s.End(context.Background(), w); err != nil {
		t.Error(err)
	}
	if b := <-got; b != "0000" {
		t.Errorf("server got %q", b)
	}
	if _, err := s.Push(context.Background(), w, Request{Commands: twoCommands(), Pack: &longPack{}}, nil); err == nil {
		t.Error("pushed over a session that has ended")
	}

	stop := errors.New("stopped by the test")
	ctx, cancel := context.WithCancelCause(context.Background())
	s, w = dial(t, false, func(p pipe) { _, _ = io.ReadAll(p.got); cancel(stop) }) // and never ends
	if err := s.End(ctx, w); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	all := strings.Fields(caps)
	without := func(names ...string) Caps {
		var c Caps
		for _, s := range all {
			if !strings.Contains(strings.Join(names, " ")+" ", s+" ") {
				c = append(c, s)
			}
		}
		return c
	}
	update := twoCommands()[:1]
	for _, tt := range []struct {
		name string
		req  Request
		caps Caps
		cap  string // of an UnsupportedError
		text string
	}{
		{"report-status", Request{Commands: update}, without("report-status"), "report-status", "went well"},
		{"side-band-64k", Request{Commands: update}, without("side-band-64k"), "side-band-64k", "hooks print"},
		{"atomic", Request{Commands: update, Atomic: true}, without("atomic"), "atomic", "all refs or none"},
		{"options", Request{Commands: update, Options: []string{"x"}}, without("push-options"), "push-options", "receive.advertisePushOptions"},
		{"delete", Request{Commands: []Command{{"refs/heads/a", oidA, zeroSHA1}}}, without("delete-refs"), "delete-refs", "refs/heads/a"},
		{"format", Request{Commands: []Command{{"refs/heads/a", zeroSHA256, OID(strings.Repeat("c", 64))}}}, all, "object-format", "is sha1, the commit is sha256"},
		{"no commands", Request{}, all, "", "no commands"},
		{"no pack", Request{Commands: update}, all, "", "no pack"},
		{"twice", Request{Commands: append(update, update...)}, all, "", "two commands"},
		{"bad ref", Request{Commands: []Command{{"main", oidA, oidB}}}, all, "", `"main"`},
		{"bad oid", Request{Commands: []Command{{"refs/heads/a", "", oidB}}}, all, "", "object names"},
		{"nothing to nothing", Request{Commands: []Command{{"refs/heads/a", zeroSHA1, zeroSHA1}}}, all, "", "neither"},
		{"line feed in option", Request{Commands: update, Pack: &longPack{}, Options: []string{"a\nb"}}, all, "", "line feed"},
		{"long option", Request{Commands: update, Pack: &longPack{}, Options: []string{strings.Repeat("x", 66000)}}, all, "", "too long"},
		{"bad shallow", Request{Commands: update, Pack: &longPack{}, Shallow: []OID{"x"}}, all, "", "shallow"},
		{"bad agent", Request{Commands: update, Pack: &longPack{}, Agent: "a b"}, all, "", "agent"},
	} {
		_, err := tt.req.encode(&Advertisement{Caps: tt.caps, ObjectFormat: SHA1})
		var un *UnsupportedError
		if err == nil || errors.As(err, &un) != (tt.cap != "") || un != nil && un.Capability != tt.cap || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: error %v", tt.name, err)
		}
	}
}

// TestRequestIsRefusedBeforeItIsSent: the pack is closed, and the session can still be ended.
func TestRequestIsRefusedBeforeItIsSent(t *testing.T) {
	s, w := dial(t, false, func(p pipe) {
		if b, _ := io.ReadAll(p.got); string(b) != "0000" {
			t.Errorf("server got %q", b)
		}
		_ = p.says.Close()
	})
	pack := &longPack{}
	if _, err := s.Push(context.Background(), w, Request{Pack: pack}, nil); err == nil || pack.closed != 1 {
		t.Errorf("error %v, pack closed %d times", err, pack.closed)
	}
	if err := s.End(context.Background(), w); err != nil {
		t.Error(err)
	}
}

func TestEncode(t *testing.T) {
	adv := &Advertisement{ObjectFormat: SHA1, Caps: strings.Fields(caps + " report-status-v2 quiet")}
	req := Request{
		Commands: twoCommands(), Options: []string{"one", "two words"}, Shallow: []OID{oidB}, Atomic: true, Agent: "troops/1", Pack: &longPack{},
	}
	got, err := req.encode(adv)
	want := pkt("shallow "+string(oidB)) +
		pkt(string(oidA)+" "+string(oidB)+" refs/heads/a\x00 report-status-v2 side-band-64k quiet atomic push-options object-format=sha1 agent=troops/1") +
		pkt(string(zeroSHA1)+" "+string(oidB)+" refs/heads/b") + "0000" + pkt("one") + pkt("two words") + "0000"
	if err != nil || string(got) != want {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
	got, err = (&Request{Commands: twoCommands()[:1], Verbose: true, Pack: &longPack{}}).encode(&Advertisement{ObjectFormat: SHA1, Caps: Caps{"report-status", "side-band-64k"}})
	if want = pkt(string(oidA)+" "+string(oidB)+" refs/heads/a\x00 report-status side-band-64k") + "0000"; err != nil || string(got) != want {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
}
