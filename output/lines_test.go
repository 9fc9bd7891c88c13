package output

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"troops/push"
)

// writes keeps what is written, call by call.
type writes struct {
	bytes.Buffer
	calls []string
}

func (w *writes) Write(p []byte) (int, error) {
	w.calls = append(w.calls, string(p))
	return w.Buffer.Write(p)
}

func out(node string, s push.Stream, data string) push.Output {
	return push.Output{Node: node, Stream: s, Data: []byte(data)}
}

// print emits events to a plain sink and returns what it wrote.
func print(o Options, events ...push.Event) string {
	var w writes
	l := NewLines(&w, o)
	for _, e := range events {
		l.Emit(e)
	}
	if err := l.Close(); err != nil {
		return err.Error()
	}
	return w.String()
}

var twoNodes = push.Planned{Commit: "1a2b3c4d5e6f", Subject: "Install tmux", Nodes: []string{"web1", "database1"}}

func TestLines(t *testing.T) {
	header := "troops: 1a2b3c4 \"Install tmux\" to 2 nodes\n"
	tests := []struct {
		name   string
		events []push.Event
		want   string
	}{
		{"aligned", []push.Event{out("web1", push.Stdout, "a\n"), out("database1", push.Stdout, "b\n")},
			"web1      | a\ndatabase1 | b\n"},
		{"streams", []push.Event{out("web1", push.Stdout, "o\n"), out("web1", push.Stderr, "e\n"), out("web1", push.Git, "g\n"), out("web1", push.Note, "n")},
			"web1      | o\nweb1      ! e\nweb1      | g\nweb1      * n\n"},
		{"partial lines of two streams stay apart", []push.Event{
			out("web1", push.Stdout, "out "), out("web1", push.Stderr, "err "), out("web1", push.Git, "git "), out("web1", push.Stdout, "put\n"),
			out("web1", push.Stderr, "or\n"), out("web1", push.Git, "hub\n")},
			"web1      | out put\nweb1      ! err or\nweb1      | git hub\n"},
		{"partial lines of two nodes stay apart", []push.Event{
			out("web1", push.Stdout, "web1 "), out("database1", push.Stdout, "database1 "), out("web1", push.Stdout, "end\n"), out("database1", push.Stdout, "end\n")},
			"web1      | web1 end\ndatabase1 | database1 end\n"},
		{"a character over two chunks", []push.Event{out("web1", push.Stdout, "\xe4\xb8"), out("web1", push.Stdout, "\x96\n")}, "web1      | 世\n"},
		{"no newline at the end", []push.Event{out("web1", push.Stdout, "done"), out("web1", push.Stderr, "bye")},
			"web1      | done [no newline]\nweb1      ! bye [no newline]\n"},
		{"no newline at the phase's end", []push.Event{out("web1", push.Stdout, "done"), push.Phase{Node: "web1", Phase: "deploy"}, out("web1", push.Stdout, "go\n")},
			"web1      | done [no newline]\nweb1      * deploy\nweb1      | go\n"},
		{"forged name", []push.Event{out("web1", push.Stdout, "\rdatabase1 | ok\n\x1b[1Adatabase1 | ok\ntroops: done\n")},
			"web1      | database1 | ok\nweb1      | ^[[1Adatabase1 | ok\nweb1      | troops: done\n"},
		{"forged note", []push.Event{out("web1", push.Note, "a\ndatabase1 | b\x1b[31m\r")}, "web1      * a\\ndatabase1 | b^M\n"},
		{"forged phase", []push.Event{push.Phase{Node: "web1", Phase: "x\ny"}}, "web1      * x\\ny\n"},
		{"phases", []push.Event{push.Phase{Node: "web1", Phase: push.PhaseConnect}, push.Connected{Node: "web1", Transport: "native"}, push.Phase{Node: "web1", Phase: push.PhasePush},
			push.Phase{Node: "web1", Phase: "checkout"}},
			"web1      * checkout\n"},
		{"colours are dropped", []push.Event{out("web1", push.Stdout, "\x1b[31mred\x1b[0m\n")}, "web1      | red\n"},
		{"nothing", []push.Event{out("web1", push.Stdout, "")}, ""},
		{"unknown stream", []push.Event{out("web1", push.Stream(99), "x\n")}, "web1      | x\n"},
		{"a node that was not planned", []push.Event{out("new\x1b", push.Stdout, "x\n")}, "new^[     | x\n"},
		{"deployed", []push.Event{push.Finished{Node: "web1", Outcome: push.Deployed{}, Took: 2345 * time.Millisecond}}, "web1      * deployed in 2.3s\n"},
		{"current", []push.Event{push.Finished{Node: "web1", Outcome: push.Current{}, Took: 49 * time.Millisecond}}, "web1      * current\n"},
		{"failed", []push.Event{push.Finished{Node: "web1", Outcome: push.Failed{Phase: "deploy", ExitCode: 7}, Took: 123 * time.Second}},
			"web1      * failed in deploy: exit code 7 (2m03s)\n"},
		{"hostile error", []push.Event{push.Finished{Node: "web1", Outcome: push.Unreachable{Err: errors.New("no\x1b[2J\nweb2 | ok")}}},
			"web1      * unreachable: no^[[2J\\nweb2 | ok (0.0s)\n"},
		{"not started", []push.Event{push.Finished{Node: "web1", Outcome: push.NotStarted{Why: "stopped"}}}, ""},
		{"finished ends the line", []push.Event{out("web1", push.Stdout, "x"), push.Finished{Node: "web1", Outcome: push.Current{}}},
			"web1      | x [no newline]\nweb1      * current\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := print(Options{}, append([]push.Event{twoNodes}, tt.events...)...)
			if got != header+tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, header+tt.want)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	got := print(Options{}, push.Planned{Commit: "1a2b3c4d", Subject: "say \"hi\"\x1b[2J\u202e", Nodes: []string{"a"}})
	if want := "troops: 1a2b3c4 \"say \"hi\"^[[2J<U+202E>\" to 1 node\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := print(Options{}, push.Planned{Commit: "1a"}); got != "troops: 1a \"\" to 0 nodes\n" {
		t.Errorf("got %q", got)
	}
}

func TestVerbosePhases(t *testing.T) {
	got := print(Options{Verbose: true, Hosts: []string{"web1", "web10"}},
		push.Phase{Node: "web1", Phase: push.PhaseConnect}, push.Connected{Node: "web1", Transport: "ssh, for \x1bX"}, push.Phase{Node: "web1", Phase: push.PhasePush},
		push.Phase{Node: "web10", Phase: "venv"})
	if want := "web1  * connect\nweb1  * connected: ssh, for ^[X\nweb1  * push\nweb10 * venv\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPlannedLater aligns a node that spoke before the plan was known.
func TestPlannedLater(t *testing.T) {
	got := print(Options{}, out("web1", push.Stdout, "early\n"), twoNodes, out("web1", push.Stdout, "late\n"))
	if want := "web1 | early\ntroops: 1a2b3c4 \"Install tmux\" to 2 nodes\nweb1      | late\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPrintf(t *testing.T) {
	var w writes
	l := NewLines(&w, Options{})
	l.Printf("interrupted: following %d nodes", 3)
	l.Printf("hint: %s\n", "first\x1b]0;t\x07\nsecond")
	l.Printf("")
	want := "troops: interrupted: following 3 nodes\ntroops: hint: first^[]0;t^G\ntroops: second\ntroops: \n"
	if err := l.Close(); err != nil || w.String() != want {
		t.Errorf("got %q, %v, want %q", w.String(), err, want)
	}
}

// TestLinesColoured shows colour where it is asked for, and the colours of a node kept to its line.
func TestLinesColoured(t *testing.T) {
	got := print(Options{Color: Color256},
		out("web1", push.Stdout, "\x1b[32mok\nplain\n"), out("web1", push.Note, "no\x1b[31mte"),
		push.Finished{Node: "web1", Outcome: push.Failed{Phase: "deploy", ExitCode: 7}})
	name := "\x1b[38;5;163mweb1\x1b[0m "
	bar, star := "\x1b[38;5;163m|\x1b[0m ", "\x1b[2m*\x1b[0m "
	want := name + bar + "\x1b[32mok\x1b[0m\n" + name + bar + "plain\n" + name + star + "\x1b[2mnote\x1b[0m\n" +
		name + star + "\x1b[38;5;160mfailed in deploy: exit code 7 (0.0s)\x1b[0m\n"
	if got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestLiveAndWhole asserts that lines are written when their event arrives, in one call, and
// that nothing is written before a line is whole.
func TestLiveAndWhole(t *testing.T) {
	var w writes
	l := NewLines(&w, Options{Hosts: []string{"web1"}})
	l.Emit(out("web1", push.Stdout, "par"))
	if len(w.calls) != 0 {
		t.Fatalf("wrote %q before the line was whole", w.calls)
	}
	l.Emit(out("web1", push.Stdout, "tial\nsecond\nthi"))
	if len(w.calls) != 1 || w.calls[0] != "web1 | partial\nweb1 | second\n" {
		t.Fatalf("wrote %q", w.calls)
	}
	l.Emit(out("web1", push.Stdout, strings.Repeat("\n", 64<<10)))
	for _, c := range w.calls {
		if !strings.HasPrefix(c, "web1 | ") || !strings.HasSuffix(c, "\n") || len(c) > batch+MaxLine+100 {
			t.Fatalf("a write of %d bytes: %.60q", len(c), c)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	n := len(w.calls)
	l.Emit(out("web1", push.Stdout, "late\n"))
	l.Printf("late")
	l.Summary()
	if len(w.calls) != n {
		t.Errorf("wrote %q after Close", w.calls[n:])
	}
}

// brokenAfter fails once n bytes were written.
type brokenAfter struct {
	n     int
	err   error
	calls int
}

func (b *brokenAfter) Write(p []byte) (int, error) {
	b.calls++
	if b.n -= len(p); b.n < 0 {
		return max(0, len(p)+b.n), b.err
	}
	return len(p), nil
}

func TestBrokenWriter(t *testing.T) {
	for _, cause := range []error{syscall.EPIPE, syscall.ENOSPC, nil} {
		w := &brokenAfter{n: 30, err: cause}
		l := NewLines(w, Options{})
		for range 100 {
			l.Emit(out("web1", push.Stdout, "line\n"))
		}
		l.Emit(push.Finished{Node: "web1", Outcome: push.Current{}})
		l.Summary()
		want := cause
		if want == nil {
			want = io.ErrShortWrite
		}
		if err := l.Err(); !errors.Is(err, want) {
			t.Errorf("Err() = %v, want %v", err, want)
		}
		if err := l.Close(); !errors.Is(err, want) {
			t.Errorf("Close() = %v, want %v", err, want)
		}
		if w.calls != 3 {
			t.Errorf("%d writes, want 2 good ones and 1 bad one", w.calls)
		}
	}
}

// TestClosedPipe is `troops push | head -1`.
func TestClosedPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	l := NewLines(w, Options{})
	l.Emit(out("web1", push.Stdout, "first\n"))
	buf := make([]byte, 64)
	if n, err := r.Read(buf); err != nil || string(buf[:n]) != "web1 | first\n" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	r.Close()
	for range 10 {
		l.Emit(out("web1", push.Stdout, "more\n"))
	}
	if err := l.Close(); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("Close() = %v, want EPIPE", err)
	}
}

func TestSilenceHoldsLinesBack(t *testing.T) {
	var b strings.Builder
	l := NewLines(&b, Options{})
	resume := l.Silence()
	done := make(chan struct{})
	go func() { defer close(done); l.Printf("later") }()
	b.WriteString("question, answer\n")
	resume()
	<-done
	if got := b.String(); got != "question, answer\ntroops: later\n" {
		t.Errorf("got %q", got)
	}
}
