package output

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"troops/nodeside/wire"
	"troops/push"
)

// summary emits events to a sink whose rollout took 12.3 s, and returns its summary.
func summary(o Options, events ...push.Event) string {
	var w writes
	l := NewLines(&w, o)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l.now = func() time.Time { return begin }
	for _, e := range events {
		l.Emit(e)
	}
	l.now = func() time.Time { return begin.Add(12345 * time.Millisecond) }
	w.Reset()
	l.Summary()
	if err := l.Close(); err != nil {
		return err.Error()
	}
	return w.String()
}

// planOf plans nodes web1 to webN.
func planOf(n int) (push.Planned, []string) {
	var hosts []string
	for i := range n {
		hosts = append(hosts, fmt.Sprintf("web%d", i+1))
	}
	return push.Planned{Commit: "1a2b3c4d", Subject: "s", Nodes: hosts}, hosts
}

func done(host string, o push.Outcome) push.Finished { return push.Finished{Node: host, Outcome: o} }

func TestSummaryAllWell(t *testing.T) {
	plan, hosts := planOf(3)
	got := summary(Options{}, plan, out("web1", push.Stdout, "noise\n"),
		done(hosts[0], push.Deployed{}), done(hosts[1], push.Current{}), done(hosts[2], push.Deployed{}))
	if want := "troops: 3 nodes: 2 deployed, 1 current in 12.3s\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := summary(Options{}); got != "troops: no nodes\n" {
		t.Errorf("of nothing: %q", got)
	}
	plan, _ = planOf(1)
	if got := summary(Options{}, plan, done("web1", push.Deployed{})); got != "troops: 1 node: 1 deployed in 12.3s\n" {
		t.Errorf("of one node: %q", got)
	}
}

// TestSummaryOfTwenty: 16 nodes deploy, the other four are named with the reason.
func TestSummaryOfTwenty(t *testing.T) {
	plan, hosts := planOf(20)
	events := []push.Event{plan}
	for i := range 15 {
		events = append(events, out("web4", push.Stdout, fmt.Sprintf("step %d\n", i+1)))
	}
	events = append(events, out("web4", push.Stderr, "no space left\n"), out("web4", push.Note, "deploy ended"),
		done("web2", push.Unreachable{Err: errors.New("sshx: dialing web2: connection refused")}),
		done("web3", push.Unreachable{Err: errors.New("sshx: host key of web3 has changed")}),
		push.Finished{Node: "web4", Outcome: push.Failed{Phase: "deploy", ExitCode: 7}, Took: time.Second},
		done("web5", push.Refused{Reason: "not a fast-forward", Hint: "fetch first"}))
	for _, h := range append(hosts[:1:1], hosts[5:]...) {
		events = append(events, done(h, push.Deployed{}))
	}
	want := `troops: 20 nodes: 16 deployed, 2 unreachable, 1 failed, 1 refused in 12.3s
web4  * failed in deploy: exit code 7
web4  | step 7
web4  | step 8
web4  | step 9
web4  | step 10
web4  | step 11
web4  | step 12
web4  | step 13
web4  | step 14
web4  | step 15
web4  ! no space left
web5  * refused: not a fast-forward; fetch first
web2  * unreachable: dialing web2: connection refused
web3  * unreachable: host key of web3 has changed
`
	if got := summary(Options{}, events...); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSummaryOfEveryKind(t *testing.T) {
	plan, _ := planOf(16)
	events := []push.Event{plan,
		done("web1", push.Deployed{}), done("web2", push.Current{}), done("web3", push.Superseded{By: "9f8e7d6"}),
		out("web4", push.Stdout, "the last words"),
		push.Finished{Node: "web4", Outcome: push.Failed{Phase: "venv", Signal: "killed", Err: errors.New("a\nb\x1b[2J")},
			Result: &wire.Result{LogError: "disk full\x07"}},
		done("web5", push.Unknown{Run: "01J", Err: errors.New("connection lost")}),
		done("web6", push.Unreachable{Err: errors.New("no key")}),
		done("web7", push.Unreachable{Err: errors.New("no key")}),
		done("web8", push.Unreachable{Err: errors.New("no route")}),
		done("web9", push.Unreachable{Err: errors.New("no key")}),
	}
	for i := 10; i < 13; i++ {
		events = append(events, done(fmt.Sprintf("web%d", i), push.NotStarted{Why: "the canary failed"}))
	}
	events = append(events, done("web13", push.NotStarted{Why: "interrupted"}), push.Phase{Node: "web14", Phase: "deploy"})
	want := `troops: 16 nodes: 1 deployed, 1 current, 1 superseded, 4 unreachable, 1 failed, 1 unknown, 4 not started, 3 not finished in 12.3s
web4  * failed in venv: ended by signal killed: a\nb^[[2J
web4  * its log is not whole: disk full^G
web4  | the last words [no newline]
web5  * unknown: connection lost (run 01J); push again to follow it
web6  * unreachable: no key
troops: the same on web7, web9
web8  * unreachable: no route
web3  * superseded by 9f8e7d6
troops: 3 nodes not started: the canary failed (web10, web11, web12)
troops: 1 node not started: interrupted (web13)
troops: 3 nodes not finished: web14, web15, web16
`
	if got := summary(Options{}, events...); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSummaryOfABadCommit tells once what happened alike everywhere.
// Why a log is not whole is told once where it is all that went wrong.
func TestLostLogIsToldOnce(t *testing.T) {
	const loss = "9 bytes of output are missing: no space left on device"
	r := wire.Result{Commit: "0123456789", LogError: loss}
	outcome := push.Failed{Phase: "log", Err: errors.New("deploy.py itself ended well, but its log is not whole: " + loss + ": make room")}
	got := summary(Options{}, planOne("web1"), push.Finished{Node: "web1", Outcome: outcome, Result: &r})
	if strings.Count(got, loss) != 1 {
		t.Errorf("a push tells\n%s", got)
	}
	for _, o := range []push.Outcome{outcome, push.Deployed{}} {
		var w writes
		l := NewLines(&w, Options{})
		l.Emit(push.RunEnded{Node: "web1", Run: r, Outcome: o})
		if err := l.Close(); err != nil || strings.Count(w.String(), loss) != 1 {
			t.Errorf("a tail tells\n%s, %v", w.String(), err)
		}
	}
}

func TestSummaryOfABadCommit(t *testing.T) {
	plan, hosts := planOf(40)
	events := []push.Event{plan}
	for i, h := range hosts {
		word := "alike"
		if i == 1 {
			word = "not alike"
		}
		events = append(events, out(h, push.Stderr, "SyntaxError: "+word+"\n"), done(h, push.Failed{Phase: "deploy", ExitCode: 1}))
	}
	got := summary(Options{Width: 60}, events...)
	want := `troops: 40 nodes: 40 failed in 12.3s
web1  * failed in deploy: exit code 1
web1  ! SyntaxError: alike
troops: the same on web3, web4, web5, web6, web7, web8, web9, web10, web11,
troops: the same on web12, web13, web14, web15, web16, web17, web18, web19,
troops: the same on web20, web21, web22, web23, web24, web25, web26, web27,
troops: the same on web28, web29, web30, web31, web32, web33, web34, web35,
troops: the same on web36, web37, web38, web39, web40
web2  * failed in deploy: exit code 1
web2  ! SyntaxError: not alike
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSummaryOfAnOldFleet tells once how to upgrade nodes, though each has a command of its own.
func TestSummaryOfAnOldFleet(t *testing.T) {
	plan, hosts := planOf(12)
	events := []push.Event{plan}
	for _, h := range hosts {
		events = append(events, done(h, push.Refused{Reason: "older", Hint: "upgrade it with troops bootstrap " + h}))
	}
	want := `troops: 12 nodes: 12 refused in 12.3s
web1  * refused: older; upgrade it with troops bootstrap web1
troops: the same on web2, web3, web4, web5, web6, web7, web8, web9, web10, web11,
troops: the same on web12
`
	if got := summary(Options{Width: 60}, events...); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSummaryFoldsNotStarted(t *testing.T) {
	plan, hosts := planOf(500)
	events := []push.Event{plan}
	for _, h := range hosts {
		events = append(events, done(h, push.NotStarted{Why: "--max-fail 1 was reached"}))
	}
	want := `troops: 500 nodes: 500 not started in 12.3s
troops: 500 nodes not started: --max-fail 1 was reached (web1, web2, web3, web4, web5, web6, web7, web8, web9, web10 and 490 more)
`
	if got := summary(Options{}, events...); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSummaryHostile has a node put everything it can into its last lines.
func TestSummaryHostile(t *testing.T) {
	plan, _ := planOf(2)
	flood := strings.Repeat("x", 1<<20)
	got := summary(Options{}, plan, out("web1", push.Stdout, flood+"\n"+flood+"\n"+flood),
		out("web1", push.Stderr, "web2 | fine\x1b[1A\u202e\n"),
		done("web1", push.Failed{Phase: "deploy", Err: errors.New(flood)}), done("web2", push.Deployed{}))
	if len(got) > 2*tailBytes+2*MaxLine {
		t.Errorf("a summary of %d bytes", len(got))
	}
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "troops: ") && !strings.HasPrefix(line, "web1 ") {
			t.Errorf("line %.60q is nobody's", line)
		}
		checkLine(t, strings.TrimSuffix(line, "\n"), false)
	}
}

// TestSummaryOfManyIsWrittenInParts holds the memory of a summary down however many nodes failed.
func TestSummaryOfManyIsWrittenInParts(t *testing.T) {
	var w writes
	l := NewLines(&w, Options{})
	for i := range 50 {
		host := fmt.Sprintf("web%d", i)
		l.Emit(out(host, push.Stdout, host+strings.Repeat("x", MaxLine-100)+"\n"))
		l.Emit(done(host, push.Failed{Phase: "deploy", ExitCode: 1}))
	}
	before := len(w.calls)
	l.Summary()
	for _, c := range w.calls[before:] {
		if len(c) > batch+MaxLine || !strings.HasSuffix(c, "\n") {
			t.Errorf("a write of %d bytes", len(c))
		}
	}
	if n := strings.Count(strings.Join(w.calls[before:], ""), "exit code 1"); n != 50 {
		t.Errorf("%d of 50 nodes are told", n)
	}
}

// TestSummaryColoured keeps the colours of last lines inside them.
func TestSummaryColoured(t *testing.T) {
	got := summary(Options{Color: Color256}, out("web1", push.Stdout, "\x1b[35mlast\n"),
		done("web1", push.Failed{Phase: "deploy", ExitCode: 1}))
	if !strings.Contains(got, "\x1b[35mlast\x1b[0m\n") || !strings.Contains(got, "\x1b[38;5;160mfailed in deploy: exit code 1\x1b[0m\n") {
		t.Errorf("got %q", got)
	}
}

func TestDuration(t *testing.T) {
	tests := []struct {
		in   time.Duration
		want string
	}{
		{-time.Second, "0.0s"}, {0, "0.0s"}, {2345 * time.Millisecond, "2.3s"}, {59949 * time.Millisecond, "59.9s"},
		{59960 * time.Millisecond, "1m00s"}, {123 * time.Second, "2m03s"}, {3599600 * time.Millisecond, "1h00m"},
		{time.Hour + 2*time.Minute, "1h02m"}, {25 * time.Hour, "25h00m"},
	}
	for _, tt := range tests {
		if got := duration(tt.in); got != tt.want {
			t.Errorf("duration(%v) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestWrap(t *testing.T) {
	if got := wrap(nil, 10); got != nil {
		t.Errorf("of nothing: %q", got)
	}
	got := strings.Join(wrap([]string{"a", "bb", "a-name-longer-than-that", "世界世界", "c"}, 10), "\n")
	if want := "a, bb,\na-name-longer-than-that,\n世界世界,\nc"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestSummaryOfTimes tells medians, the longest with its node, and the three slowest nodes.
func TestSummaryOfTimes(t *testing.T) {
	plan, hosts := planOf(5)
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	events := []push.Event{plan}
	for i, h := range hosts[:4] {
		deploy := time.Duration(i+1) * 10 * time.Second
		events = append(events, push.Phase{Node: h, Phase: push.PhaseConnect, At: begin.Add(-deploy - time.Second)},
			push.Phase{Node: h, Phase: "checkout", At: begin.Add(-deploy - time.Millisecond)}, // 0.0s: left out
			push.Phase{Node: h, Phase: "deploy", At: begin.Add(-deploy)},
			push.Finished{Node: h, Outcome: push.Deployed{}, Took: deploy + time.Second})
	}
	events = append(events, push.Phase{Node: "web5", Phase: "deploy", At: begin})
	got := summary(Options{}, events...)
	want := `troops: 5 nodes: 4 deployed, 1 not finished in 12.3s
troops: 1 node not finished: web5
troops: time in each phase, median (longest): connect 1.0s (web1 1.0s), deploy 20.0s (web4 40.0s)
troops: slowest nodes: web4 41.0s, web3 31.0s, web2 21.0s
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	one := planOne("web1")
	if got := summary(Options{}, one, events[1], events[2], events[3], events[4]); got != "troops: 1 node: 1 deployed in 12.3s\ntroops: time in each phase: connect 1.0s, deploy 10.0s\n" {
		t.Errorf("of one node: %s", got)
	}
	if got := summary(Options{}, one, events[1], done("web1", push.Current{})); strings.Contains(got, "time in") {
		t.Errorf("of nothing that ran: %s", got)
	}
}

func planOne(host string) push.Planned {
	return push.Planned{Commit: "1a2b3c4d", Subject: "s", Nodes: []string{host}}
}
