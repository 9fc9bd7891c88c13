package output

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"troops/push"
)

func TestLogNames(t *testing.T) {
	long := strings.Repeat("a", 250)
	hosts := []string{"web-1", "deploy@web-1", "deploy@web-1:2222", "deploy@web-1_2222", "Web-1", "../web-1", "/etc/passwd", ".", "..", "", "-rf",
		"a\nb", "a\tb", "a\x00b", "[::1]:22", "世界", "\xff", long, long + "b", "index.tsv", "..\\web"}
	seen := make(map[string]string)
	for _, host := range hosts {
		name := logName(host)
		if other, is := seen[strings.ToLower(name)]; is {
			t.Errorf("%q and %q share %q", host, other, name)
		}
		seen[strings.ToLower(name)] = host
		bad := strings.ContainsFunc(name, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-._@", r)
		})
		if bad || name[0] == '.' || name[0] == '-' || len(name) > 128 || filepath.Base(name) != name || name == LogIndex {
			t.Errorf("the log of %q is %q", host, name)
		}
	}
	if logName("deploy@web-1") != "deploy@web-1.log" {
		t.Error("a harmless name is not kept")
	}
}

// warnings keeps what is said.
type warnings struct {
	mu   sync.Mutex
	said []string
}

func (w *warnings) warn(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, fmt.Sprintf(format, args...))
}

func (w *warnings) want(t *testing.T, words ...string) {
	t.Helper()
	if len(w.said) != len(words) {
		t.Fatalf("said %q", w.said)
	}
	for i, word := range words {
		if !strings.Contains(w.said[i], word) {
			t.Errorf("said %q, want %q in it", w.said[i], word)
		}
	}
}

func TestLogs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "some", "logs")
	victim := filepath.Join(t.TempDir(), "victim")
	for _, err := range []error{
		os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "web1.log"), []byte("of an earlier push\n"), 0o644),
		os.WriteFile(victim, []byte("keep"), 0o600), os.Symlink(victim, filepath.Join(dir, "web2.log")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var said warnings
	l := NewLogs(dir, said.warn)
	plan, _ := planOf(3)
	raw := "\x1b[31mred\xff\r\nno end"
	for _, e := range []push.Event{plan, out("web1", push.Stdout, raw), out("web2", push.Stderr, "err\n"), out("web1", push.Note, "a note"),
		push.Finished{Node: "web1", Outcome: push.Deployed{}, Took: 1500 * time.Millisecond}, out("web1", push.Git, " and again"),
		push.Finished{Node: "web1", Outcome: push.Failed{Phase: "check", Err: errors.New("a\tb\nc")}, Took: 2 * time.Second}} {
		l.Emit(e)
	}
	if got := l.File("web1"); got != filepath.Join(dir, "web1.log") || l.File("web3") != "" {
		t.Errorf("File() = %q, %q", got, l.File("web3"))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	said.want(t)
	for path, want := range map[string]string{
		filepath.Join(dir, "web1.log"): raw + " and again", filepath.Join(dir, "web2.log"): "err\n", victim: "keep",
		filepath.Join(dir, LogIndex): "file\tnode\toutcome\tseconds\tbytes\ttext\n" +
			"web1.log\tweb1\tfailed\t2.000\t27\tfailed in check: a b\\nc\n" +
			"web2.log\tweb2\tnot finished\t-\t4\t\n-\tweb3\tnot finished\t-\t0\t\n",
	} {
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", path, got, err, want)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "web1.log")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestLogsOnAFullDisk says it once, keeps what there is, and goes on with the other nodes.
func TestLogsOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	var said warnings
	l := NewLogs(dir, said.warn)
	plan, _ := planOf(3)
	l.Emit(plan)
	for _, node := range []string{"web1", "web2"} {
		l.Emit(out(node, push.Stdout, "begin\n"))
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		l.logs[node].file.Close()
		l.logs[node].file = full
		l.Emit(out(node, push.Stdout, "lost\n"))
		l.Emit(out(node, push.Stdout, "lost, too\n"))
	}
	l.Emit(out("web3", push.Stdout, "kept\n"))
	l.Emit(done("web1", push.Deployed{}))
	err := l.Close()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "web1") || !strings.Contains(err.Error(), "1 error more") {
		t.Errorf("Close() = %v", err)
	}
	said.want(t, "the log of web1 is not whole")
	index, err := os.ReadFile(filepath.Join(dir, LogIndex))
	if err != nil || !strings.Contains(string(index), "web1.log\tweb1\tdeployed\t0.000\t6\tdeployed; the log of web1 is not whole: write /dev/full: no space left") {
		t.Errorf("index %s, %v", index, err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "web3.log")); err != nil || string(got) != "kept\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLogsNowhere(t *testing.T) {
	var said warnings
	l := NewLogs("/dev/null/logs", said.warn)
	plan, _ := planOf(50)
	l.Emit(plan)
	for _, node := range plan.Nodes {
		l.Emit(out(node, push.Stdout, "x\n"))
	}
	if err := l.Close(); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("Close() = %v", err)
	}
	said.want(t, "/dev/null/logs")
}

// TestLogsConcurrent has 50 nodes write and the summary name their files, at once.
func TestLogsConcurrent(t *testing.T) {
	dir := t.TempDir()
	var w writes
	var lines *Lines
	logs := NewLogs(dir, func(format string, args ...any) { lines.Printf(format, args...) })
	lines = NewLines(&w, Options{Logs: logs})
	sink := Tee{logs, lines}
	plan, _ := planOf(50)
	sink.Emit(plan)
	var wg sync.WaitGroup
	for _, node := range plan.Nodes {
		wg.Go(func() {
			for i := range 200 {
				sink.Emit(out(node, push.Stream(i%2), fmt.Sprintf("%d of %s\n", i, node)))
			}
			sink.Emit(done(node, push.Failed{Phase: "deploy"}))
		})
	}
	wg.Wait()
	lines.Summary()
	if err := errors.Join(logs.Close(), lines.Close()); err != nil {
		t.Fatal(err)
	}
	for _, node := range plan.Nodes {
		var want strings.Builder
		for i := range 200 {
			fmt.Fprintf(&want, "%d of %s\n", i, node)
		}
		if got, err := os.ReadFile(filepath.Join(dir, node+".log")); err != nil || string(got) != want.String() {
			t.Errorf("%s: %v, %q", node, err, got)
		}
		if !strings.Contains(w.String(), "* all of its output: "+filepath.Join(dir, node+".log")+"\n") {
			t.Errorf("the summary does not name the log of %s", node)
		}
	}
}
