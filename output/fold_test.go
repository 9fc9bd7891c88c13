package output

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"troops/push"
)

// foldRig is a folding sink whose clock the test turns.
type foldRig struct {
	*Lines
	bytes.Buffer
	hosts []string
	clock time.Time
}

func newFoldRig(t *testing.T, hosts []string) *foldRig {
	r := &foldRig{hosts: hosts, clock: time.Unix(1e9, 0)}
	r.Lines = NewLines(&r.Buffer, Options{Hosts: hosts, Fold: true})
	r.ticks.stop() // the test calls beat
	r.now = func() time.Time { return r.clock }
	r.Emit(push.Planned{Commit: "1234567", Subject: "Test.", Nodes: hosts})
	return r
}

func (r *foldRig) print(host, text string) {
	r.Emit(push.Output{Node: host, Stream: push.Stdout, Data: []byte(text + "\n")})
}

// wait lets time pass as the ticks would see it.
func (r *foldRig) wait(d time.Duration) {
	for end := r.clock.Add(d); r.clock.Before(end); {
		r.clock = r.clock.Add(min(foldTick, end.Sub(r.clock)))
		r.beat()
	}
}

// next returns what was printed since it was called last.
func (r *foldRig) next() string {
	defer r.Buffer.Reset()
	return r.Buffer.String()
}

var foldedLine = regexp.MustCompile(`^(?:(\S.*\S) \((\d+)\)|(\S+)) +([|!*]) (.*)\n$`)

// rebuild reads the folded output back into each node's own lines, with their marks.
func rebuild(t *testing.T, text string, hosts []string) map[string][]string {
	t.Helper()
	lines := make(map[string][]string)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "troops: ") {
			continue
		}
		m := foldedLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("no line of nodes: %q", line)
		}
		nodes := []string{m[3]}
		if m[1] != "" {
			nodes = members(m[1], hosts)
			if strconv.Itoa(len(nodes)) != m[2] {
				t.Fatalf("%d nodes are called %s: %q", len(nodes), m[2], line)
			}
		}
		for _, n := range nodes {
			lines[n] = append(lines[n], m[4]+m[5])
		}
	}
	return lines
}

// members are the nodes of a set.
func members(set string, hosts []string) []string {
	if set == "all" {
		return hosts
	}
	if rest, ok := strings.CutPrefix(set, "all but "); ok {
		out := unfold(rest)
		return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return slices.Contains(out, h) })
	}
	return unfold(set)
}

// fate is what one node of the oracle's does.
type fate struct {
	host   string
	events []push.Event
	lines  []string // that its user has to see, in order
}

func (f *fate) print(s push.Stream, text string) {
	f.events = append(f.events, push.Output{Node: f.host, Stream: s, Data: []byte(text + "\n")})
	f.lines = append(f.lines, map[push.Stream]string{push.Stdout: "|", push.Stderr: "!", push.Note: "*"}[s]+text)
	if s == push.Note {
		last := f.events[len(f.events)-1].(push.Output)
		last.Data = []byte(text)
		f.events[len(f.events)-1] = last
	}
}

// randomFate has lines that all nodes print, some, or one; that come again; on each stream and in
// three phases with the same lines in them.
func randomFate(rng *rand.Rand, host string) *fate {
	f := &fate{host: host}
	for _, phase := range []string{"checkout", "venv", "deploy"} {
		f.events = append(f.events, push.Phase{Node: host, Phase: phase})
		f.lines = append(f.lines, "*"+phase)
		for i := range 12 {
			switch rng.IntN(12) {
			case 0: // left out
			case 1:
				f.print(push.Stdout, fmt.Sprintf("%s alone %d", host, rng.IntN(3)))
			case 2:
				f.print(push.Stderr, fmt.Sprintf("warning %d", rng.IntN(3)))
			case 3:
				f.print(push.Note, "a note")
			case 4:
				f.print(push.Stdout, "again")
				f.print(push.Stdout, "again")
			case 5:
				f.print(push.Stdout, "")
			default:
				f.print(push.Stdout, fmt.Sprintf("step %d", i))
			}
		}
	}
	end, text := push.Outcome(push.Deployed{}), "*deployed"
	if rng.IntN(8) == 0 {
		end, text = push.Failed{Phase: "deploy", ExitCode: 3}, "*failed in deploy: exit code 3 (1.0s)"
	}
	f.events = append(f.events, push.Finished{Node: host, Outcome: end, Took: time.Second})
	f.lines = append(f.lines, text)
	return f
}

// TestFoldOracle has 50 nodes print at random, in a random order and at random times: each
// node's own lines can be read back from what is shown, and nothing is held for longer than it may.
func TestFoldOracle(t *testing.T) {
	regular, irregular := hostNames("web-%02d"), hostNames("n%d.of.dc-%[1]d.example")
	for seed := range uint64(60) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			r := newFoldRig(t, [][]string{regular, irregular}[seed%2])
			var fates, todo []*fate
			for _, h := range r.hosts {
				fates = append(fates, randomFate(rng, h))
			}
			todo = slices.Clone(fates)
			next := make([]int, len(todo))
			spread := 1 + rng.IntN(8) // how many nodes are at work at a time
			for len(todo) > 0 {
				i := rng.IntN(min(len(todo), spread*spread))
				r.Emit(todo[i].events[next[i]])
				if next[i]++; next[i] == len(todo[i].events) {
					todo, next = slices.Delete(todo, i, i+1), slices.Delete(next, i, i+1)
				}
				r.wait(time.Duration(rng.IntN(20)) * time.Millisecond)
				if old := r.fold.oldest(); old != nil && r.clock.Sub(old.since) >= foldHold+foldTick {
					t.Fatalf("%q is held back since %v", old.text, r.clock.Sub(old.since))
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			got := rebuild(t, r.String(), r.hosts)
			for _, f := range fates {
				if !slices.Equal(got[f.host], f.lines) {
					t.Fatalf("%s:\n%q, want\n%q", f.host, got[f.host], f.lines)
				}
			}
			if r.fold.held != 0 || r.fold.bytes != 0 || len(r.fold.equal) != 0 || r.fold.first != nil {
				t.Errorf("left over: %d lines, %d bytes", r.fold.held, r.fold.bytes)
			}
		})
	}
}

func hostNames(format string) (names []string) {
	for i := range 50 {
		names = append(names, fmt.Sprintf(format, i))
	}
	return names
}

// TestFoldApt has 200 nodes install packages, each with a pace of its own, and two that differ:
// under 3 % of the lines remain, and those that differ are among them.
func TestFoldApt(t *testing.T) {
	var hosts []string
	for i := range 200 {
		hosts = append(hosts, fmt.Sprintf("web-%03d.example.com", i+1))
	}
	r := newFoldRig(t, hosts)
	rng := rand.New(rand.NewPCG(1, 2))
	type said struct {
		at   time.Duration
		host string
		text string
	}
	var all []said
	for _, h := range hosts {
		at := time.Duration(rng.IntN(400)) * time.Millisecond
		pace := 30 + rng.IntN(6)
		for _, line := range aptOutput(h) {
			all = append(all, said{at, h, line})
			at += time.Duration(pace+rng.IntN(10)) * time.Millisecond
		}
	}
	slices.SortStableFunc(all, func(a, b said) int { return int(a.at - b.at) })
	begin := r.clock
	for _, s := range all {
		r.wait(begin.Add(s.at).Sub(r.clock))
		r.print(s.host, s.text)
	}
	r.Close()
	shown := strings.Count(r.String(), " | ")
	t.Logf("%d lines are shown as %d, %.2f %%", len(all), shown, 100*float64(shown)/float64(len(all)))
	if shown*100 >= 3*len(all) {
		t.Errorf("%d lines are shown as %d", len(all), shown)
	}
	got := rebuild(t, r.String(), hosts)
	for _, h := range hosts {
		want := aptOutput(h)
		for i := range want {
			want[i] = "|" + want[i]
		}
		if !slices.Equal(got[h], want) {
			t.Fatalf("%s:\n%q, want\n%q", h, got[h], want)
		}
	}
}

// aptOutput is what apt-get prints on a node; every node takes a time of its own to fetch.
func aptOutput(host string) []string {
	packages := []string{"libevent-core-2.1-7", "libutempter0", "tmux", "libjq1", "libonig5", "jq", "htop", "libnl-3-200",
		"libnl-genl-3-200", "strace", "libunwind8", "rsync", "libpopt0", "nginx-common", "nginx", "iproute2", "libbpf1", "python3-venv"}
	out := []string{"Reading package lists...", "Building dependency tree...", "Reading state information...",
		"The following NEW packages will be installed:", "  " + strings.Join(packages, " "),
		"0 upgraded, 18 newly installed, 0 to remove and 3 not upgraded."}
	for i, p := range packages {
		out = append(out, fmt.Sprintf("Get:%d http://deb.example.org bookworm/main amd64 %s amd64 [%d kB]", i+1, p, 40*i+13))
	}
	h := 0
	for _, c := range host {
		h = h*31 + int(c)
	}
	out = append(out, fmt.Sprintf("Fetched 6,%03d kB in 1s (5,%03d kB/s)", 512, h%1000))
	if host == "web-077.example.com" {
		out = append(out, "W: an old lock file was removed")
	}
	for _, p := range packages {
		out = append(out, "Selecting previously unselected package "+p+".", "Preparing to unpack .../"+p+"_amd64.deb ...", "Unpacking "+p+" ...")
	}
	for _, p := range packages {
		out = append(out, "Setting up "+p+" ...")
	}
	return append(out, "Processing triggers for libc-bin (2.36-9+deb12u10) ...")
}

// TestFoldTimes is when what is shown: at once what all have printed and what tells them apart
// before that, a failure and what led to it; in short what some have, whatever the others do.
func TestFoldTimes(t *testing.T) {
	r := newFoldRig(t, []string{"web-1", "web-2", "web-3", "db"})
	r.next()
	for _, h := range r.hosts {
		r.print(h, "hello")
	}
	if got := r.next(); got != "db web-[1-3] (4) | hello\n" {
		t.Errorf("at once: %q", got)
	}

	r.print("web-2", "only me")
	r.print("web-1", "slow")
	r.print("web-3", "slow") // db does not speak
	r.wait(foldHold - foldTick)
	if got := r.next(); got != "" {
		t.Errorf("early: %q", got)
	}
	r.wait(foldTick)
	if got := r.next(); got != "web-[1,3] (2) | slow\nweb-2 | only me\n" && got != "web-2 | only me\nweb-[1,3] (2) | slow\n" {
		t.Errorf("after a while: %q", got)
	}

	r.print("db", "another")
	for _, h := range r.hosts[:3] {
		r.print(h, "common")
	}
	r.print("db", "common") // joins the others, though it was first to go on
	if got := r.next(); got != "db    | another\ndb web-[1-3] (4) | common\n" {
		t.Errorf("a difference: %q", got)
	}

	r.print("web-1", "last words")
	r.print("web-2", "not yet")
	r.Emit(push.Finished{Node: "web-1", Outcome: push.Failed{Phase: "deploy", ExitCode: 1}, Took: time.Second})
	if got := r.next(); got != "web-1 | last words\nweb-1 * failed in deploy: exit code 1 (1.0s)\n" {
		t.Errorf("a failure: %q", got)
	}
	r.Close()
}

// TestFoldBounds floods: what is held back does not grow beyond its bounds, and is all shown.
func TestFoldBounds(t *testing.T) {
	r := newFoldRig(t, hostNames("web-%02d"))
	const each = 1000
	for i := range each {
		for _, h := range r.hosts {
			r.print(h, fmt.Sprintf("%s %d", h, i))
			if r.fold.held > foldLines || r.fold.bytes > foldBytes {
				t.Fatalf("%d lines, %d bytes are held back", r.fold.held, r.fold.bytes)
			}
		}
	}
	r.Close()
	for host, lines := range rebuild(t, r.String(), r.hosts) {
		for i, line := range lines {
			if want := fmt.Sprintf("|%s %d", host, i); line != want {
				t.Fatalf("%q, want %q", line, want)
			}
		}
		if len(lines) != each {
			t.Errorf("%s: %d lines", host, len(lines))
		}
	}
}

// TestFoldWaves has the nodes of a wave alone be enough for a line to be whole.
func TestFoldWaves(t *testing.T) {
	r := newFoldRig(t, []string{"a1", "a2", "a3", "a4"})
	r.Emit(push.Wave{Number: 1, Of: 2, Nodes: []string{"a1", "a2"}})
	r.next()
	r.print("a1", "x")
	r.print("a2", "x")
	if got := r.next(); got != "a[1,2] (2) | x\n" {
		t.Errorf("got %q", got)
	}
	r.Close()
}
