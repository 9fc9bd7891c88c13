package output

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/term"

	"troops/push"
)

// What the test and the program in tmux say to each other, over two pipes: the test asks for steps
// of a rollout, the program says what its user has to see then.
type tmuxAsk struct {
	Steps int  // events to emit
	End   bool // the rollout has ended
}

type tmuxSees struct {
	Lines         []string // all there are so far
	Area          []string
	Width, Height int // of the terminal, as the area was drawn for it
}

const tmuxEnv = "TROOPS_TEST_TMUX" // the directory with the pipes, and how many nodes

// TestTmuxProgram is the program in tmux, no test of its own: a rollout that goes on when it is told.
func TestTmuxProgram(t *testing.T) {
	if os.Getenv(tmuxEnv) == "" {
		return // only TestTmux has it do something
	}
	var dir string
	var nodes int
	if _, err := fmt.Sscan(os.Getenv(tmuxEnv), &nodes, &dir); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(filepath.Join(dir, "ask"))
	if err != nil {
		t.Fatal(err)
	}
	reply, err := os.OpenFile(filepath.Join(dir, "sees"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	p := newTmuxProgram(nodes)
	asks := json.NewDecoder(in)
	for {
		var ask tmuxAsk
		if asks.Decode(&ask) != nil {
			return
		}
		if err := json.NewEncoder(reply).Encode(p.do(ask)); err != nil {
			return
		}
	}
}

// tmuxProgram is a rollout on the terminal, and the same one as plain lines.
type tmuxProgram struct {
	*Lines
	plain *Lines
	text  bytes.Buffer // of plain
	clock time.Time
	rng   *rand.Rand
	todo  []string
}

func newTmuxProgram(nodes int) *tmuxProgram {
	p := &tmuxProgram{clock: time.Unix(1e9, 0), rng: rand.New(rand.NewPCG(uint64(nodes), 1))}
	for i := range nodes {
		p.todo = append(p.todo, fmt.Sprintf("web-%03d", i))
	}
	p.plain = NewLines(&p.text, Options{})
	p.Lines = NewLines(os.Stdout, Options{Size: func() (int, int) {
		width, height, _ := term.GetSize(1)
		return width, height
	}})
	p.Lines.ticks.stop()
	p.Lines.now = func() time.Time { return p.clock }
	p.emit(push.Planned{Commit: "1a2b3c4d", Subject: "s", Nodes: p.todo})
	return p
}

func (p *tmuxProgram) emit(e push.Event) {
	p.plain.Emit(e)
	p.Lines.Emit(e)
}

func (p *tmuxProgram) do(ask tmuxAsk) tmuxSees {
	for range ask.Steps {
		h := p.todo[p.rng.IntN(min(len(p.todo), 30))]
		switch p.rng.IntN(6) {
		case 0:
			p.emit(push.Phase{Node: h, Phase: []string{"checkout", "venv", "deploy"}[p.rng.IntN(3)], At: p.clock})
		case 1:
			p.emit(out(h, push.Stdout, hostileLines[p.rng.IntN(len(hostileLines))]+"\x1b[10A\x1b[2K\x1b[?1049h\r\x1b]0;t\x07\n"))
		case 2:
			p.emit(out(h, push.Stderr, strings.Repeat("a long line ", p.rng.IntN(30))+"\n"))
		case 3:
			if len(p.todo) > 3 {
				p.emit(push.Finished{Node: h, Outcome: push.Refused{Reason: "x"}})
				p.todo = slices.DeleteFunc(p.todo, func(s string) bool { return s == h })
			}
		default:
			p.emit(out(h, push.Stdout, fmt.Sprintf("line %d %s\n", p.rng.IntN(100), wideText[p.rng.IntN(len(wideText))])))
		}
	}
	p.clock = p.clock.Add(areaRefresh)
	p.beat()
	if ask.End {
		p.Close()
	}
	lines := strings.Split(strings.TrimSuffix(p.text.String(), "\n"), "\n")
	return tmuxSees{Lines: lines, Area: p.area.drawn, Width: p.area.width, Height: p.area.height}
}

// tmux is a terminal with a history, that wraps lines anew when it is resized.
type tmux struct {
	t         *testing.T
	dir       string
	ask, sees *os.File
	answers   *json.Decoder // of sees
}

// startTmux has the program of TestTmuxProgram run in a terminal of this size.
func startTmux(t *testing.T, nodes, width, height int) *tmux {
	t.Helper()
	m := &tmux{t: t, dir: t.TempDir()}
	for _, name := range []string{"ask", "sees"} {
		if err := syscall.Mkfifo(filepath.Join(m.dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := fmt.Sprintf("%s='%d %s' LC_ALL=C.UTF-8 exec '%s' -test.run '^TestTmuxProgram$'", tmuxEnv, nodes, m.dir, self)
	m.run("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), "sh", "-c", program)
	// For both ways, so that neither has to wait for the program.
	for name, pipe := range map[string]**os.File{"ask": &m.ask, "sees": &m.sees} {
		if *pipe, err = os.OpenFile(filepath.Join(m.dir, name), os.O_RDWR, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { (*pipe).Close() })
	}
	t.Cleanup(func() { m.run("kill-server") }) // before the pipes go, which would end it, too
	m.answers = json.NewDecoder(m.sees)
	return m
}

// run runs a command of tmux, on a server of the test's own.
func (m *tmux) run(args ...string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-u", "-S", filepath.Join(m.dir, "tmux")}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TMUX=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("tmux %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// do has the program do something and says what the user has to see then.
func (m *tmux) do(ask tmuxAsk) (sees tmuxSees) {
	m.t.Helper()
	if err := json.NewEncoder(m.ask).Encode(ask); err != nil {
		m.t.Fatal(err)
	}
	err := m.sees.SetReadDeadline(time.Now().Add(tmuxPatience))
	if err == nil {
		err = m.answers.Decode(&sees)
	}
	if err != nil {
		m.t.Fatalf("the program in tmux: %v\n%s", err, m.run("capture-pane", "-p"))
	}
	return sees
}

// tmuxPatience is how long tmux may take to show what was written to it.
const tmuxPatience = time.Minute

// check waits until history and screen have exactly what they must: tmux draws when it likes.
func (m *tmux) check(sees tmuxSees) {
	m.t.Helper()
	want := strings.Join(slices.Concat(sees.Lines, sees.Area), "\n")
	var got string
	for end := time.Now().Add(tmuxPatience); time.Now().Before(end); {
		rows := strings.Split(m.run("capture-pane", "-p", "-J", "-S", "-"), "\n")
		for i := range rows {
			rows[i] = strings.TrimRight(rows[i], " ")
		}
		if got = strings.TrimRight(strings.Join(rows, "\n"), "\n"); got == trimLines(want) {
			return
		}
	}
	shown, right := strings.Split(got, "\n"), strings.Split(trimLines(want), "\n")
	same := 0
	for same < min(len(shown), len(right)) && shown[same] == right[same] {
		same++
	}
	m.t.Fatalf("tmux of %dx%d shows after %d lines\n%s\nwant\n%s", sees.Width, sees.Height, same,
		strings.Join(shown[same:], "\n"), strings.Join(right[same:], "\n"))
}

func trimLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// resize gives the terminal another size, and waits until the program has seen it.
func (m *tmux) resize(width, height int) {
	m.t.Helper()
	m.run("resize-window", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height))
	for end := time.Now().Add(tmuxPatience); time.Now().Before(end); {
		if sees := m.do(tmuxAsk{}); sees.Width == width && sees.Height == height {
			m.check(sees)
			return
		}
	}
	m.t.Fatalf("the program does not see that the terminal is %dx%d", width, height)
}

// TestTmux is the status area in a real terminal, with a history and lines that are wrapped anew:
// after every step, history and screen together are the lines, the status, and nothing else.
func TestTmux(t *testing.T) {
	if _, err := exec.LookPath("tmux"); err != nil {
		if ci := os.Getenv("CI"); ci != "" && ci != "false" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for _, nodes := range []int{5, 50, 500} {
		for _, width := range []int{60, 200} {
			t.Run(fmt.Sprintf("%d nodes/%d columns", nodes, width), func(t *testing.T) {
				t.Parallel()
				m := startTmux(t, nodes, width, 24)
				for i := range 6 {
					m.check(m.do(tmuxAsk{Steps: []int{1, 7, 40, 2, 100, 13}[i]}))
				}
				for _, size := range [][2]int{{200, 24}, {60, 24}, {100, 10}, {61, 40}, {200, 12}, {width, 24}} {
					m.resize(size[0], size[1])
					m.check(m.do(tmuxAsk{Steps: 5}))
				}
				sees := m.do(tmuxAsk{End: true})
				if len(sees.Area) > 0 {
					t.Errorf("the status is still there: %q", sees.Area)
				}
				m.check(sees)
			})
		}
	}
}
