package output

import (
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"troops/push"
)

// recorded is a push with each kind of outcome, and hostile text in all that nodes say.
func recorded() *Record {
	r := NewRecord()
	hostile := strings.Join(hostileLines, "\n")
	r.Emit(push.Planned{Commit: "1a2b3c4d5e6f", Subject: "<b>*s*", Nodes: []string{"ok1", "ok2", "bad", "worse", "gone", "held", "busy"}})
	r.Emit(push.Phase{Node: "bad", Phase: "deploy", At: time.Unix(1, 0)})
	r.Emit(out("bad", push.Stdout, hostile+"\n````\nlast words\n"))
	for _, h := range []string{"ok1", "ok2"} {
		r.Emit(push.Finished{Node: h, Outcome: push.Deployed{}, Took: 1500 * time.Millisecond})
	}
	r.Emit(push.Finished{Node: "bad", Outcome: push.Failed{Phase: "deploy", ExitCode: 7, Err: errors.New(hostile)}, Took: time.Second})
	r.Emit(push.Finished{Node: "worse", Outcome: push.Unknown{Run: "R", Err: errors.New("lost")}, Took: time.Second})
	r.Emit(push.Finished{Node: "gone", Outcome: push.Unreachable{Err: errors.New("<no> route | here")}, Took: time.Second})
	r.Emit(push.Finished{Node: "held", Outcome: push.NotStarted{Why: "the canary failed"}})
	return r
}

func TestJUnit(t *testing.T) {
	var b strings.Builder
	if err := recorded().JUnit(&b); err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatalf("%v in %s", err, b.String())
	}
	s := got.Suite
	if s.Tests != 7 || s.Failures != 1 || s.Errors != 3 || s.Skipped != 1 || len(s.Cases) != 7 || !strings.HasPrefix(s.Name, `troops push 1a2b3c4 "<b>*s*"`) {
		t.Errorf("got %+v", s)
	}
	byName := make(map[string]junitCase)
	for _, c := range s.Cases {
		byName[c.Name] = c
	}
	ok, bad := byName["ok1"], byName["bad"]
	if ok.Time != "1.500" || ok.Failure != nil || ok.Error != nil || ok.Skipped != nil {
		t.Errorf("got %+v", ok)
	}
	if f := bad.Failure; f == nil || !strings.Contains(f.Message, "exit code 7") || !strings.HasSuffix(f.Text, "last words") || bad.Error != nil {
		t.Errorf("got %+v", bad.Failure)
	}
	for _, name := range []string{"worse", "gone", "busy"} {
		if byName[name].Error == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if sk := byName["held"].Skipped; sk == nil || !strings.Contains(sk.Message, "canary") {
		t.Errorf("got %+v", sk)
	}
}

func TestMarkdown(t *testing.T) {
	got := recorded().Markdown()
	for _, want := range []string{
		"### troops push 1a2b3c4 \\\"\\<b\\>\\*s\\*\\\"\n", "7 nodes\\: 2 deployed\\, 1 unreachable\\, 1 failed\\, 1 unknown\\, 1 not started\\, 1 not finished",
		"| bad | **failed in deploy\\: exit code 7", "| gone | **unreachable\\: \\<no\\> route \\| here** | 1.0s |\n", "- deployed: ok\\[1\\,2\\] \\(2\\)\n",
		"- not started: held\n", "- not finished: busy\n", "\n`````text\n", "\nlast words\n`````\n", "| deploy |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	text, _, _ := strings.Cut(got, "`````text") // what stands in the code block is no Markdown
	text = regexp.MustCompile(`\\.`).ReplaceAllString(text, "")
	for _, bad := range []string{"<script", "<no", "<b", "\x1b", "[", "`", "::"} {
		if strings.Contains(text, bad) {
			t.Errorf("%q in\n%s", bad, text)
		}
	}
}

// TestMarkdownIsBounded has more failures than a page may show.
func TestMarkdownIsBounded(t *testing.T) {
	r := NewRecord()
	var nodes []string
	for i := range 5000 {
		nodes = append(nodes, fmt.Sprintf("n%d.example.com", i))
	}
	r.Emit(push.Planned{Commit: "1a2b3c4", Nodes: nodes})
	for i, h := range nodes {
		r.Emit(out(h, push.Stdout, strings.Repeat("x", 1000)+"\n"))
		r.Emit(push.Finished{Node: h, Outcome: push.Failed{Phase: "deploy", Err: fmt.Errorf("reason %d %s", i, strings.Repeat("*", 200))}})
	}
	got := r.Markdown()
	if len(got) > 1<<20 || !strings.Contains(got, "more | | |") || !strings.Contains(got, "5000 nodes") {
		t.Errorf("%d bytes", len(got))
	}
}
