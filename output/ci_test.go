package output

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"troops/push"
)

func TestCIFor(t *testing.T) {
	for _, tt := range []struct {
		env  string
		want CI
	}{
		{"", NoCI}, {"CI=", NoCI}, {"CI=false", NoCI}, {"CI=0", NoCI}, {"CI=true", OtherCI}, {"CI=1", OtherCI}, {"CI=woodpecker", OtherCI},
		{"CI=true GITHUB_ACTIONS=true", GitHub}, {"CI=true GITLAB_CI=true", GitLab}, {"TF_BUILD=True", OtherCI}, {"GITHUB_ACTIONS=false", NoCI},
	} {
		env := make(map[string]string)
		for _, kv := range strings.Fields(tt.env) {
			k, v, _ := strings.Cut(kv, "=")
			env[k] = v
		}
		if got := CIFor(func(k string) string { return env[k] }); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.env, got, tt.want)
		}
	}
}

// runnerCommand reads a line as the runner of GitHub Actions does: a command of version 2 begins
// the line, one of version 1 may stand anywhere. Names that the runner does not know would be
// text; here every name counts.
func runnerCommand(line string) (name, data string) {
	if s, ok := strings.CutPrefix(strings.TrimSpace(line), "::"); ok {
		if head, data, ok := strings.Cut(s, "::"); ok {
			name, _, _ = strings.Cut(head, " ")
			return name, data
		}
	}
	for _, start := range []string{"##[", "##vso["} {
		if _, s, ok := strings.Cut(line, start); ok {
			if head, data, ok := strings.Cut(s, "]"); ok {
				name, _, _ = strings.Cut(head, " ")
				return start + name, data
			}
		}
	}
	return "", ""
}

// hostileLines are what a node would say to be obeyed.
var hostileLines = []string{
	"::error::mine", "  ::set-env name=PATH::/tmp", "\r::stop-commands::x", "x\r::add-mask::e", "##[error]mine", "a ##[add-mask]e b",
	"##vso[task.setvariable variable=a]b", "###[group]x", "##\x1b[0m[error]x", "##\x00[error]x", "::endgroup::", "%0A::error::x", "\u2028::error::x",
	"\x1b[0Ksection_start:1:mine\r\x1b[0Kmine", "\x1b[0Ksection_end:1:troops_1\r\x1b[0K", "`|<script>alert(1)</script>]]>", "\x9b::error::c1",
}

// hostileRun is a push in which one node says all of this and fails, and one does well.
func hostileRun(o Options, lines ...string) string {
	var w writes
	l := NewLines(DefuseLog(&w), o)
	l.Emit(push.Planned{Commit: "1a2b3c4d5e6f", Subject: "::error::subject ##[error]x", Nodes: []string{"web1", "web2"}})
	l.Printf("%s", "warning: ##[error]a\n::error::b")
	for _, h := range []string{"web1", "web2"} {
		l.Emit(push.Phase{Node: h, Phase: "deploy"})
	}
	for _, line := range lines {
		for s := range push.Note {
			l.Emit(out("web1", s, line+"\n"))
		}
		l.Emit(out("web1", push.Note, line))
	}
	l.Emit(out("web2", push.Stdout, "well\n"))
	l.Emit(push.Finished{Node: "web2", Outcome: push.Deployed{}})
	text := strings.Join(lines, "\n")
	l.Emit(push.Finished{Node: "web1", Outcome: push.Failed{Phase: "deploy", ExitCode: 1, Err: errors.New(text)}})
	l.Summary()
	if err := l.Close(); err != nil {
		return err.Error()
	}
	return w.String()
}

// checkCommands fails where the log has other commands than troops' own.
func checkCommands(t *testing.T, log string) {
	t.Helper()
	var names []string
	for line := range strings.Lines(log) {
		if name, _ := runnerCommand(line); name != "" {
			names = append(names, name)
		}
	}
	if want := []string{"group", "endgroup", "group", "endgroup", "error"}; !slices.Equal(names, want) {
		t.Errorf("the runner obeys %q, want %q:\n%s", names, want, log)
	}
}

func TestGitHubObeysNoNode(t *testing.T) {
	checkCommands(t, hostileRun(Options{CI: GitHub}, hostileLines...))
	// Neither where the user wants plain lines.
	for line := range strings.Lines(hostileRun(Options{}, hostileLines...)) {
		if name, _ := runnerCommand(line); name != "" {
			t.Errorf("the runner obeys %q", line)
		}
	}
	for _, line := range jsonOf(t, out("web1", push.Stdout, strings.Join(hostileLines, "\n"))) {
		if name, _ := runnerCommand(line); name != "" {
			t.Errorf("the runner obeys %q", line)
		}
	}
}

func FuzzGitHub(f *testing.F) {
	for _, line := range hostileLines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) { checkCommands(t, hostileRun(Options{CI: GitHub}, line)) })
}

var section = regexp.MustCompile(`section_(start|end):(\d+):([A-Za-z0-9_.-]+)(\[[^\]]*\])?\r\x1b\[0K`)

func TestGitLabSections(t *testing.T) {
	var got []string
	log := hostileRun(Options{CI: GitLab}, hostileLines...)
	for _, m := range section.FindAllStringSubmatch(log, -1) {
		got = append(got, m[1]+" "+m[3]+m[4])
	}
	want := []string{"start troops_1[collapsed=true]", "end troops_1", "start troops_2[collapsed=false]", "end troops_2"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q:\n%q", got, want, log)
	}
}

// TestGroups has the lines of nodes that talk at the same time each in a group, in its order.
func TestGroups(t *testing.T) {
	got := print(Options{CI: GitHub},
		push.Planned{Commit: "1a2b3c4d5e6f", Subject: "s", Nodes: []string{"a", "b", "c", "d"}},
		push.Phase{Node: "a", Phase: "deploy"}, push.Phase{Node: "b", Phase: "deploy"},
		out("a", push.Stdout, "one\n"), out("b", push.Stdout, "two\n"), out("a", push.Stderr, "three"),
		push.Finished{Node: "c", Outcome: push.Current{}},
		push.Finished{Node: "a", Outcome: push.Deployed{}, Took: time.Second},
		out("b", push.Stdout, "four\n"),
		push.Finished{Node: "b", Outcome: push.Failed{Phase: "deploy", ExitCode: 3}, Took: 2 * time.Second},
		push.Phase{Node: "d", Phase: "venv"})
	want := `troops: 1a2b3c4 "s" to 4 nodes
c * current
::group::a: deployed (1.0s)
a * deploy
a | one
a ! three [no newline]
::endgroup::
::group::b: failed in deploy: exit code 3 (2.0s)
b * deploy
b | two
b | four
::endgroup::
b * failed in deploy: exit code 3 (2.0s)
::group::d: not finished
d * venv
::endgroup::
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestAlarms has each way of ending pointed out once, escaped, and not more than GitHub shows.
func TestAlarms(t *testing.T) {
	var w writes
	l := NewLines(&w, Options{CI: GitHub})
	defer l.Close()
	nodes := []string{"web1", "web2", "db"}
	for i := range 20 {
		nodes = append(nodes, fmt.Sprintf("x%d", i))
	}
	l.Emit(push.Planned{Commit: "1a2b3c4", Nodes: nodes})
	for _, h := range []string{"web1", "web2"} {
		l.Emit(out(h, push.Stdout, "100 % full\nlast: a,b\n"))
		l.Emit(push.Finished{Node: h, Outcome: push.Failed{Phase: "deploy", ExitCode: 3}})
	}
	l.Emit(push.Finished{Node: "db", Outcome: push.Deployed{}})
	for i := range 20 {
		l.Emit(push.Finished{Node: fmt.Sprintf("x%d", i), Outcome: push.Refused{Reason: strings.Repeat("because ", 1000+i)}})
	}
	l.Summary()
	var alarms []string
	for line := range strings.Lines(w.String()) {
		if strings.HasPrefix(line, "::error") {
			alarms = append(alarms, line)
		}
	}
	if len(alarms) != maxAlarms {
		t.Fatalf("%d alarms: %q", len(alarms), alarms)
	}
	if want := "::error title=troops%3A web[1%2C2] (2)::failed in deploy: exit code 3%0A100 %25 full%0Alast: a,b\n"; alarms[0] != want {
		t.Errorf("got %q, want %q", alarms[0], want)
	}
	if want := "::error title=troops::12 more nodes not well: see the summary\n"; alarms[maxAlarms-1] != want {
		t.Errorf("got %q, want %q", alarms[maxAlarms-1], want)
	}
	if len(alarms[1]) > maxAlarm+100 {
		t.Errorf("an alarm of %d bytes", len(alarms[1]))
	}
}

// TestSpool keeps more than memory may hold, and says what could not be kept.
func TestSpool(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	var s spool
	var want strings.Builder
	for i := range 20_000 {
		line := fmt.Sprintf("web1 | line %d %s\n", i, strings.Repeat("x", i%1000))
		want.WriteString(line)
		s.add([]byte(line))
		if cap(s.mem) > 2*spoolMemory {
			t.Fatalf("%d bytes are in memory", cap(s.mem))
		}
	}
	var got strings.Builder
	err := s.take(func(lines []byte) {
		if len(lines) > 0 && lines[len(lines)-1] != '\n' {
			t.Errorf("a line is torn: %q", lines[len(lines)-20:])
		}
		got.Write(lines)
	})
	if err != nil || got.String() != want.String() {
		t.Errorf("%d bytes come back of %d, %v", got.Len(), want.Len(), err)
	}
	if !s.empty() {
		t.Error("it is not empty")
	}

	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	many := []byte(strings.Repeat("web1 | a line\n", 1000))
	for range 10 {
		s.add(many)
	}
	lines := 0
	err = s.take(func(p []byte) { lines += strings.Count(string(p), "\n") })
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%d lines could not be kept", 10_000-lines)) || lines != 4000 {
		t.Errorf("%d lines come back: %v", lines, err)
	}
}

// TestProgress is what a log says now and then.
func TestProgress(t *testing.T) {
	var w writes
	l := NewLines(&w, Options{CI: OtherCI})
	defer l.Close()
	clock := time.Unix(1e9, 0)
	l.mu.Lock()
	l.now = func() time.Time { return clock }
	l.mu.Unlock()
	want := func(text string) {
		t.Helper()
		w.Reset()
		if l.tell(); w.String() != text {
			t.Errorf("got  %q\nwant %q", w.String(), text)
		}
	}
	at := func(seconds int) { clock = time.Unix(1e9+int64(seconds), 0) }
	want("")
	l.Emit(push.Planned{Commit: "1a2b3c4", Nodes: []string{"a", "b", "c", "d", "e"}})
	want("troops: 5 nodes: 5 waiting, after 0s\n")
	for _, h := range []string{"a", "b", "c"} {
		l.Emit(push.Phase{Node: h, Phase: push.PhaseConnect, At: clock})
	}
	at(5)
	l.Emit(push.Phase{Node: "b", Phase: "venv", At: clock})
	at(8)
	want("troops: 5 nodes: 3 running, 2 waiting, after 8s; running for 8s: a (connect), c (connect); for 3s: b (venv)\n")
	at(65)
	l.Emit(push.Finished{Node: "a", Outcome: push.Deployed{}})
	l.Emit(out("c", push.Stdout, "alive"))
	l.Emit(push.Finished{Node: "d", Outcome: push.Failed{Phase: "deploy", ExitCode: 1}})
	want("troops: 5 nodes: 2 running, 1 waiting, 1 deployed, 1 failed, after 1m05s; quiet for 1m00s: b (venv)\n")
	for _, h := range []string{"b", "c", "e"} {
		l.Emit(push.Finished{Node: h, Outcome: push.Deployed{}})
	}
	want("")
}

func TestStates(t *testing.T) {
	var w writes
	l := NewLines(&w, Options{})
	clock := time.Unix(1e9, 0)
	l.now = func() time.Time { return clock }
	l.Emit(push.Planned{Commit: "1a2b3c4", Nodes: []string{"web-1", "web-2", "web-3", "db", "x", "y", "z"}})
	for h, phase := range map[string]string{"web-1": "deploy", "web-2": "deploy", "db": "venv", "x": "weird", "y": "connect"} {
		l.Emit(push.Phase{Node: h, Phase: phase, At: clock})
	}
	l.Emit(push.Finished{Node: "web-3", Outcome: push.Failed{Phase: "deploy", ExitCode: 1}})
	l.Emit(out("db", push.Stderr, "a whole line\n\x1b]0;x\x07of what comes now the start is left out: do you want to \"continue\"? [Y/n] "))
	clock = clock.Add(20 * time.Second)
	for _, h := range []string{"web-1", "web-2", "x", "y"} {
		l.Emit(out(h, push.Stdout, "a part"))
	}
	w.Reset()
	l.States()
	want := `troops: 7 nodes: 5 running, 1 waiting, 1 failed, after 20s
troops:     running weird: x (1)
troops:     running connect: y (1)
troops:     running venv: db (1)
troops:     running deploy: web-[1,2] (2)
troops:     waiting: z (1)
troops:     failed: web-3 (1)
troops:     quiet for 20s: db (venv: "…ft out: do you want to \"continue\"? [Y/n]")
`
	if w.String() != want {
		t.Errorf("got\n%s\nwant\n%s", w.String(), want)
	}
}
