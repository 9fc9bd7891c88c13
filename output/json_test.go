package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"troops/push"
)

// jsonOf emits events to a JSON sink at one instant and returns its lines, without the head.
func jsonOf(t *testing.T, events ...push.Event) []string {
	t.Helper()
	var w writes
	j := NewJSON(&w, nil)
	j.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC) }
	for _, e := range events {
		j.Emit(e)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(w.String()) {
		rest, ok := strings.CutPrefix(line, `{"v":1,"type":"`)
		rest = strings.Replace(rest, `,"time":"2026-01-02T03:04:05.006Z"`, "", 1)
		if !ok || len(rest) != len(line)-len(`{"v":1,"type":"`)-len(`,"time":"2026-01-02T03:04:05.006Z"`) {
			t.Fatalf("the head of %s", line)
		}
		lines = append(lines, `"`+strings.TrimSuffix(rest, "}\n"))
	}
	return lines
}

func TestJSONLines(t *testing.T) {
	tests := []struct {
		name   string
		events []push.Event
		want   []string
	}{
		{"streams stay apart", []push.Event{out("a", push.Stdout, "o"), out("a", push.Stderr, "e\n"), out("a", push.Stdout, "ut\n")},
			[]string{`"line","node":"a","stream":"stderr","text":"e"`, `"line","node":"a","stream":"stdout","text":"out"`}},
		{"a character over two chunks", []push.Event{out("a", push.Stdout, "\xe4\xb8"), out("a", push.Stdout, "\x96\n")}, []string{`"line","node":"a","stream":"stdout","text":"世"`}},
		{"no UTF-8", []push.Event{out("a", push.Git, "\xff|\n")}, []string{`"line","node":"a","stream":"git","text":"\ufffd|"`}},
		{"nothing a terminal obeys", []push.Event{out("a", push.Stdout, "\x1b[2J\u009b\u202e\U000e0041\x7f\n")},
			[]string{`"line","node":"a","stream":"stdout","text":"\u001b[2J\u009b\u202e\udb40\udc41\u007f"`}},
		{"the phase ends the line", []push.Event{out("a", push.Stdout, "x"), push.Phase{Node: "a", Phase: "deploy"}},
			[]string{`"line","node":"a","stream":"stdout","text":"x","no_newline":true`, `"phase","node":"a","phase":"deploy"`}},
		{"the end ends the line", []push.Event{out("a", push.Stdout, "x")}, []string{`"line","node":"a","stream":"stdout","text":"x","no_newline":true`}},
		{"a note", []push.Event{out("a", push.Note, "lost\ncontact")}, []string{`"line","node":"a","stream":"note","text":"lost\ncontact"`}},
		{"truncated", []push.Event{out("a", push.Stdout, strings.Repeat("世", 3000)+"\n")},
			[]string{`"line","node":"a","stream":"stdout","text":"` + strings.Repeat("世", 2730) + `","truncated":810`}},
		{"failed", []push.Event{push.Finished{Node: "a", Outcome: push.Failed{Run: "R", Phase: "deploy", ExitCode: 7}, Took: 1234 * time.Millisecond}},
			[]string{`"outcome","node":"a","outcome":"failed","text":"failed in deploy: exit code 7","seconds":1.234,"run":"R","phase":"deploy","exit_code":7`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(jsonOf(t, tt.events...), "\n"); got != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestJSONSummary(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	var w writes
	j := NewJSON(&w, nil)
	j.now = func() time.Time { return now }
	plan, _ := planOf(4)
	j.Emit(plan)
	for i, node := range []string{"web1", "web2", "web3"} {
		j.Emit(push.Phase{Node: node, Phase: "connect", At: begin})
		j.Emit(push.Phase{Node: node, Phase: "deploy", At: begin.Add(time.Second)})
		now = begin.Add(time.Duration(i+2) * time.Second)
		j.Emit(push.Finished{Node: node, Outcome: push.Deployed{}, Took: now.Sub(begin)})
	}
	w.Reset()
	j.Summary()
	want := `{"v":1,"type":"summary","time":"2026-01-01T00:00:04.000Z","nodes":4,"outcomes":{"deployed":3},"unfinished":1,"seconds":4,` +
		`"phases":[{"phase":"connect","nodes":3,"median_seconds":1,"longest_seconds":1,"longest_node":"web1"},` +
		`{"phase":"deploy","nodes":3,"median_seconds":2,"longest_seconds":3,"longest_node":"web3"}],` +
		`"slowest":[{"node":"web3","seconds":4,"outcome":"deployed"},{"node":"web2","seconds":3,"outcome":"deployed"},{"node":"web1","seconds":2,"outcome":"deployed"}]}` + "\n"
	if w.String() != want {
		t.Errorf("got\n%swant\n%s", w.String(), want)
	}
}

func TestJSONBrokenWriter(t *testing.T) {
	w := &brokenAfter{n: 200, err: syscall.ENOSPC}
	j := NewJSON(w, nil)
	for range 100 {
		j.Emit(out("web1", push.Stdout, "line\n"))
	}
	j.Summary()
	if err := j.Close(); !errors.Is(err, syscall.ENOSPC) || w.calls != 2 {
		t.Errorf("Close() = %v after %d writes, want ENOSPC after a good and a bad one", err, w.calls)
	}
}

// FuzzJSON sends any bytes in any chunks: what comes is lines of JSON without a character
// that a terminal would obey, and the same whatever the chunks.
func FuzzJSON(f *testing.F) {
	for _, tt := range lineCases {
		f.Add([]byte(tt.in), uint16(3))
	}
	f.Add(bytes.Repeat([]byte("\xe2\x80\xae"), 5000), uint16(1000))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		var whole, pieces writes
		for w, n := range map[*writes]int{&whole: max(len(data), 1), &pieces: int(size)%5000 + 1} {
			j := NewJSON(w, nil)
			j.now = func() time.Time { return time.Time{} }
			for p := data; len(p) > 0; {
				k := min(n, len(p))
				j.Emit(push.Output{Node: "a", Data: p[:k]})
				p = p[k:]
			}
			j.Emit(push.Output{Node: "a", Stream: push.Note, Data: data})
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if !utf8.Valid(whole.Bytes()) {
			t.Fatalf("no UTF-8: %q", whole.String())
		}
		text := pieces.String()
		if text != whole.String() {
			t.Fatalf("in one piece\n%s\nin pieces\n%s", whole.String(), text)
		}
		dec := json.NewDecoder(&whole.Buffer)
		for {
			var l lineJSON
			if err := dec.Decode(&l); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			if len(l.Text) > 3*MaxLine {
				t.Fatalf("a line of %d bytes", len(l.Text))
			}
		}
		for line := range strings.Lines(text) {
			if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), hidden) {
				t.Fatalf("not harmless: %q", line)
			}
		}
	})
}
