package output

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"troops/push"
)

func BenchmarkClean(b *testing.B) {
	for _, bb := range []struct{ name, line string }{
		{"ascii", strings.Repeat("Setting up tmux (3.3a-3) ... ", 3)},
		{"colours", "\x1b[32m[ OK ]\x1b[0m Started \x1b[1mtmux\x1b[0m and some more words to make a line"},
		{"latin", strings.Repeat("Grüße aus Köln, größere Pläne. ", 3)},
		{"cjk", strings.Repeat("パッケージを設定しています。", 3)},
		{"hostile", strings.Repeat("\x1b[2J\u202e\xff", 20)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			line := []byte(bb.line)
			dst := make([]byte, 0, 4096)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				dst = appendClean(dst[:0], line, 0, true)
			}
		})
	}
}

// BenchmarkLines is a node's output through prefix and sanitiser, in chunks as frames carry them.
func BenchmarkLines(b *testing.B) {
	for _, width := range []int{20, 80, 400} {
		for _, size := range []int{512, 32 << 10} {
			b.Run(fmt.Sprintf("line%d/chunk%d", width, size), func(b *testing.B) {
				line := strings.Repeat("x", width-1) + "\n"
				chunk := []byte(strings.Repeat(line, size/width+1))[:size]
				l := NewLines(io.Discard, Options{Hosts: []string{"web1.example.com"}})
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					l.Emit(push.Output{Node: "web1.example.com", Data: chunk})
				}
			})
		}
	}
}

// BenchmarkBesideFlood measures how long a quiet node waits for its line while another
// prints 64 KiB chunks without pause.
func BenchmarkBesideFlood(b *testing.B) {
	l := NewLines(io.Discard, Options{Hosts: []string{"web1", "web2"}})
	flood := []byte(strings.Repeat(strings.Repeat("x", 79)+"\n", 64<<10/80))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				l.Emit(push.Output{Node: "web1", Data: flood})
			}
		}
	})
	var waits []time.Duration
	for b.Loop() {
		begin := time.Now()
		l.Emit(push.Output{Node: "web2", Data: []byte("hello\n")})
		waits = append(waits, time.Since(begin))
	}
	close(stop)
	wg.Wait()
	slices.Sort(waits)
	b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(waits[len(waits)-1].Microseconds()), "max-µs")
}

// BenchmarkSummary10000 tells the end of a push to 10,000 nodes of which every hundredth failed.
func BenchmarkSummary10000(b *testing.B) {
	l := NewLines(io.Discard, Options{})
	for i := range 10_000 {
		name := fmt.Sprintf("node%d", i)
		l.Emit(push.Output{Node: name, Data: []byte("installing\n")})
		var outcome push.Outcome = push.Deployed{}
		if i%100 == 0 {
			outcome = push.Failed{Phase: "deploy", ExitCode: 1}
		}
		l.Emit(push.Finished{Node: name, Outcome: outcome})
	}
	b.ReportAllocs()
	for b.Loop() {
		l.Summary()
	}
}

// BenchmarkFold is a line that 200 nodes print, or each its own, folded and as it is.
func BenchmarkFold(b *testing.B) {
	var hosts []string
	for i := range 200 {
		hosts = append(hosts, fmt.Sprintf("web-%03d.example.com", i))
	}
	for _, fold := range []bool{false, true} {
		for _, name := range []string{"same", "own"} {
			b.Run(fmt.Sprintf("%s/fold=%v", name, fold), func(b *testing.B) {
				l := NewLines(io.Discard, Options{Hosts: hosts, Fold: fold})
				defer l.Close()
				l.Emit(push.Planned{Commit: "1234567", Subject: "s", Nodes: hosts})
				var lines [][]byte
				for _, h := range hosts {
					if name == "same" {
						h = "all"
					}
					lines = append(lines, []byte("Setting up tmux (3.3a-3) for "+h+" ...\n"))
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					l.Emit(push.Output{Node: hosts[i], Data: lines[i]})
					i = (i + 1) % len(hosts)
				}
			})
		}
	}
}

// BenchmarkArea is a flood of lines with a status below them, and without.
func BenchmarkArea(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprintf("area=%v", with), func(b *testing.B) {
			o := Options{}
			if with {
				o.Size = func() (int, int) { return 120, 40 }
			}
			l := NewLines(io.Discard, o)
			defer l.Close()
			l.Emit(push.Planned{Commit: "1234567", Subject: "s", Nodes: []string{"web-1", "web-2"}})
			data := []byte(strings.Repeat("x", 80) + "\n")
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				l.Emit(push.Output{Node: "web-1", Data: data})
			}
		})
	}
}
