package gitwire

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLiveHookOutput: the hook waits until what it has printed was heard. A reader that is not
// live would never get to the end.
func TestLiveHookOutput(t *testing.T) {
	for _, hook := range []string{"pre-receive", "post-receive"} {
		t.Run(hook, func(t *testing.T) {
			l := newLab(t, SHA1)
			req := updateMain(l)
			fifo := filepath.Join(l.dir, "heard")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			l.hook("bare", hook, "printf 'first, without line feed'\nread answer <"+fifo+"\necho \"; then $answer\"\n")
			srv, s, _ := l.connect("bare")
			h := &heard{}
			answered := false
			h.onText = func(sofar string) {
				if answered || !strings.Contains(sofar, "first, without line feed") {
					return
				}
				answered = true
				if got := h.reported != nil; got != (hook == "post-receive") {
					t.Errorf("reported before the hook's output: %t", got)
				}
				if err := os.WriteFile(fifo, []byte("heard\n"), 0); err != nil {
					t.Error(err)
				}
			}
			rep, err := s.Push(context.Background(), srv.in, req, h)
			if err != nil || !rep.OK() || !rep.Complete {
				t.Fatalf("Push: %+v, %v", rep, err)
			}
			if want := "first, without line feed; then heard\n"; h.text.String() != want {
				t.Errorf("heard %q, want %q", &h.text, want)
			}
		})
	}
}

func TestLongHookOutputIsWhole(t *testing.T) {
	l := newLab(t, SHA1)
	req := updateMain(l)
	l.hook("bare", "post-receive", "i=0; while [ $i -lt 4000 ]; do echo \"line $i: 0123456789012345678901234567890123456789\"; i=$((i+1)); done\nprintf end\n")
	srv, s, _ := l.connect("bare")
	h := &heard{}
	rep, err := s.Push(context.Background(), srv.in, req, h)
	if err != nil || !rep.OK() || !rep.Complete {
		t.Fatalf("Push: %+v, %v", rep, err)
	}
	lines := strings.Split(h.text.String(), "\n")
	if len(lines) != 4001 || lines[4000] != "end" || h.text.Len() < 200<<10 {
		t.Errorf("heard %d lines, %d bytes, the last %q", len(lines), h.text.Len(), lines[len(lines)-1])
	}
}

// big makes a repository whose commit does not compress below 8 MiB.
func big(l *lab) OID {
	b := make([]byte, 8<<20)
	if _, err := rand.Read(b); err != nil {
		l.t.Fatal(err)
	}
	return l.commit("big", string(b))
}

// TestRefusedWhileSending: the server stops reading in the middle of the pack; its words are
// heard, and the failed write does not hide them.
func TestRefusedWhileSending(t *testing.T) {
	l := newLab(t, SHA1)
	l.bare("bare")
	l.git("bare", "config", "receive.maxInputSize", "100k")
	c := big(l)
	srv, s, _ := l.connect("bare")
	h := &heard{}
	rep, err := s.Push(context.Background(), srv.in, Request{Commands: onMain(zeroSHA1, c), Pack: l.pack(c)}, h)
	if err != nil {
		t.Fatalf("Push: %v", err)
	}
	var unpack *UnpackError
	if !errors.As(rep.Err(), &unpack) || !rep.Complete {
		t.Errorf("report %+v, want an UnpackError", rep)
	}
	if !strings.Contains(h.text.String(), "pack exceeds maximum allowed size") {
		t.Errorf("heard %q", &h.text)
	}
}

// TestBigPackTalkingHook: a hook that never reads its input and prints a lot, after a big pack.
func TestBigPackTalkingHook(t *testing.T) {
	l := newLab(t, SHA1)
	l.bare("bare")
	l.hook("bare", "pre-receive", "exec head -c 300000 /dev/zero\n")
	c := big(l)
	srv, s, _ := l.connect("bare")
	h := &heard{}
	req := Request{Commands: onMain(zeroSHA1, c), Pack: l.pack(c), Verbose: true}
	rep, err := s.Push(context.Background(), srv.in, req, h)
	if err != nil || !rep.OK() {
		t.Fatalf("Push: %+v, %v", rep, err)
	}
	if n := bytes.Count(h.text.Bytes(), []byte{0}); n != 300000 {
		t.Errorf("heard %d bytes of the hook, want 300000", n)
	}
	if got := l.ref("bare", "refs/heads/main"); got != c {
		t.Errorf("main is %s, want %s", got, c)
	}
}

func TestCreateUpdateDelete(t *testing.T) {
	l := newLab(t, SHA1)
	l.bare("bare")
	ctx := context.Background()
	a := l.commit("a", "a")
	b := l.commit("a", "b")
	steps := []struct {
		cmd  Command
		pack io.ReadCloser
	}{
		{Command{"refs/heads/x", zeroSHA1, a}, l.pack(a)},
		{Command{"refs/heads/x", a, b}, l.pack(b, a)},
		{Command{"refs/heads/y", zeroSHA1, b}, l.pack(b, b)}, // nothing to send: an empty pack
		{Command{"refs/heads/x", b, zeroSHA1}, nil},
	}
	for _, st := range steps {
		srv, s, adv := l.connect("bare")
		if old, _ := adv.Ref(st.cmd.Ref); old != st.cmd.Old && !st.cmd.Old.IsZero() {
			t.Errorf("%s advertised as %q, want %q", st.cmd.Ref, old, st.cmd.Old)
		}
		rep, err := s.Push(ctx, srv.in, Request{Commands: []Command{st.cmd}, Pack: st.pack}, nil)
		if err != nil || !rep.OK() {
			t.Fatalf("%v: %+v, %v", st.cmd, rep, err)
		}
		want := st.cmd.New
		if want.IsZero() {
			want = ""
		}
		if got := l.ref("bare", st.cmd.Ref); got != want {
			t.Errorf("%s is %q, want %q", st.cmd.Ref, got, want)
		}
	}
	srv, s, _ := l.connect("bare")
	if err := s.End(ctx, srv.in); err != nil {
		t.Errorf("End: %v", err)
	}
	if err := srv.wait(); err != nil || srv.stderr.Len() > 0 {
		t.Errorf("receive-pack after End: %v, stderr %q", err, &srv.stderr)
	}
}

func TestCancelWhileHookRuns(t *testing.T) {
	l := newLab(t, SHA1)
	req := updateMain(l)
	fifo := filepath.Join(l.dir, "never")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	l.hook("bare", "post-receive", "echo working\nread answer <"+fifo+"\n")
	srv, s, _ := l.connect("bare")
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := errors.New("stopped by the test")
	h := &heard{onText: func(string) { cancel(stop) }}
	rep, err := s.Push(ctx, srv.in, req, h)
	var lost *LostError
	if !errors.As(err, &lost) || !lost.Reported || !errors.Is(err, stop) {
		t.Errorf("error %v, want a LostError, reported, of %v", err, stop)
	}
	if rep == nil || !rep.OK() || rep.Complete {
		t.Errorf("report %+v, want one that is OK and not complete", rep)
	}
	if err := os.WriteFile(fifo, []byte("go\n"), 0); err != nil { // let the hook end
		t.Error(err)
	}
	_ = srv.wait()
}
