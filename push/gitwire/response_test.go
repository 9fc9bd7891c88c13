package gitwire

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// band is a sideband packet.
func band(n byte, s string) string { return pkt(string(n) + s) }

// report is a report on band 1.
func report(lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(pkt(l + "\n"))
	}
	return band(1, b.String()+"0000")
}

func twoCommands() []Command {
	return []Command{{"refs/heads/a", oidA, oidB}, {"refs/heads/b", zeroSHA1, oidB}}
}

// answer runs a push against a server that says s and takes everything.
func answer(r io.Reader, h Handler) (*Report, error) {
	adv := advertised(line(oidA, "refs/heads/a"))
	s, _, err := ReadAdvertisement(context.Background(), io.MultiReader(strings.NewReader(adv), r))
	if err != nil {
		return nil, err
	}
	req := Request{Commands: twoCommands(), Pack: io.NopCloser(strings.NewReader("PACK"))}
	return s.Push(context.Background(), &recordingWriter{}, req, h)
}

func summary(rep *Report) string {
	if rep == nil {
		return "none"
	}
	s := rep.Unpack
	for _, r := range rep.Refs {
		s += fmt.Sprintf("|%t %s", r.OK, r.Reason)
		for _, u := range r.Updates {
			s += fmt.Sprintf(" (%s %.1s %.1s %t)", u.Ref, u.Old, u.New, u.Forced)
		}
	}
	return s
}

func TestReports(t *testing.T) {
	const a, b = "refs/heads/a", "refs/heads/b"
	for _, tt := range []struct {
		name, in, want string
		text           string // of the error; none where empty
	}{
		{"ok", report("unpack ok", "ok "+a, "ok "+b), "ok|true |true ", ""},
		{"ng", report("unpack ok", "ng "+a+" no, not  now", "ok "+b), "ok|false no, not  now|true ", ""},
		{"ng without reason", report("unpack ok", "ng "+a, "ok "+b), "ok|false no reason given|true ", ""},
		{"ng stays", report("unpack ok", "ng "+a+" no", "ok "+a, "ok "+b), "ok|false no|true ", ""},
		{"ok then ng", report("unpack ok", "ok "+a, "ng "+a+" no", "ok "+b), "ok|false no|true ", ""},
		{"not a word", report("unpack ok", "ok "+b), "ok|false " + noStatus + "|true ", ""},
		{"unpack", report("unpack index-pack abnormal exit", "ng "+a+" unpacker error"), "index-pack abnormal exit|false unpacker error|false " + noStatus, ""},
		{"unknown ref", report("unpack ok", "ok refs/heads/x", "option refname refs/y", "ok "+a, "ok "+b), "ok|true |true ", ""},
		{"options", report("unpack ok", "ok "+a, "option refname refs/x", "option new-oid "+string(oidB), "option old-oid "+string(oidA),
			"option forced-update", "option later", "ok "+b), "ok|true  (refs/x a b true)|true ", ""},
		{"options twice", report("unpack ok", "ok "+a, "option refname refs/x", "ok "+a, "option refname refs/y", "ok "+b),
			"ok|true  (refs/x   false) (refs/y   false)|true ", ""},
		{"in many packets", band(1, "000eunp") + band(2, "x") + band(1, "") + "0004" + band(1, "ack o") + band(1, "k\n0014ok "+a+"\n") +
			band(1, "0013ok "+b) + band(1, "00") + band(1, "00"), "ok|true |true ", ""},
		{"no line feeds", band(1, pkt("unpack ok")+pkt("ok "+a)+pkt("ok "+b)+"0000"), "ok|true |true ", ""},
		{"nothing", "", "none", "without a report"},
		{"empty", band(1, "0000"), "none", "empty"},
		{"no unpack", report("ok " + a), "none", `"ok refs/heads/a"`},
		{"unpack twice", report("unpack ok", "unpack ok"), "none", `"unpack ok"`},
		{"unpack without reason", report("unpack"), "none", `"unpack"`},
		{"option first", report("unpack ok", "option refname refs/x"), "none", `"option`},
		{"bad refname", report("unpack ok", "ok "+a, "option refname x"), "none", `"x"`},
		{"bad oid", report("unpack ok", "ok "+a, "option new-oid x"), "none", `"x"`},
		{"odd line", report("unpack ok", "hello \x1b[2J"), "none", `\x1b[2J`},
		{"after the end", report("unpack ok") + band(1, "0"), "ok|false " + noStatus + "|false " + noStatus, "after its end"},
		{"length 2", band(1, "0002"), "none", `"0002"`},
		{"no length", band(1, "zzzz"), "none", `"zzzz"`},
		{"too long", band(1, "ffff"), "none", `"ffff"`},
		{"cut", band(1, "0010unpack"), "none", "without a report"},
		{"band 3", band(3, "fatal: out of memory\n"), "none", "server gave up: fatal: out of memory"},
		{"band 3 after the report", report("unpack ok", "ok "+a, "ok "+b) + band(3, "died"), "ok|true |true ", "server gave up: died"},
		{"ERR", pkt("ERR died\n"), "none", "server gave up: died"},
		{"band 4", band(4, "x"), "none", "band 4"},
		{"band 0", pkt("\x00"), "none", "band 0"},
		{"bad length", "0003", "none", `"0003"`},
	} {
		for _, cut := range []func(io.Reader) io.Reader{func(r io.Reader) io.Reader { return r }, iotest.OneByteReader} {
			rep, err := answer(cut(strings.NewReader(tt.in+"0000")), nil)
			if got := summary(rep); got != tt.want {
				t.Errorf("%s: report %q, want %q", tt.name, got, tt.want)
			}
			if (err == nil) != (tt.text == "") || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s: error %v, want %q", tt.name, err, tt.text)
			}
			if err == nil && !rep.Complete {
				t.Errorf("%s: not complete", tt.name)
			}
		}
	}
}

func TestReportErr(t *testing.T) {
	ok, no := RefStatus{Ref: "refs/a", OK: true}, RefStatus{Ref: "refs/b", Reason: "\x1b[2J"}
	var rejected *RejectedError
	var unpack *UnpackError
	if r := (&Report{Unpack: "ok", Refs: []RefStatus{ok}}); !r.OK() {
		t.Error(r.Err())
	}
	r := &Report{Unpack: "ok", Refs: []RefStatus{ok, no}}
	if err := r.Err(); !errors.As(err, &rejected) || rejected.Ref != "refs/b" || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("error %q", err)
	}
	r.Refs = append(r.Refs, RefStatus{Ref: "refs/c", Reason: "no"})
	if err := r.Err(); !strings.Contains(err.Error(), "refs/b") || !strings.Contains(err.Error(), "refs/c") {
		t.Errorf("error %q", err)
	}
	r.Unpack = "disk full"
	if err := r.Err(); !errors.As(err, &unpack) || unpack.Reason != "disk full" {
		t.Errorf("error %q", err)
	}
}

// TestReportHasAnEnd: neither a report nor one of its texts can fill the memory.
func TestReportHasAnEnd(t *testing.T) {
	rep, err := answer(strings.NewReader(report("unpack "+strings.Repeat("x", 60000))+"0000"), nil)
	if err != nil || len(rep.Unpack) != maxText {
		t.Errorf("unpack of %d bytes, %v", len(rep.Unpack), err)
	}
	again := []byte(band(1, pkt("ok refs/heads/a\n")+pkt("option forced-update\n")))
	rep, err = answer(io.MultiReader(strings.NewReader(band(1, pkt("unpack ok\n"))), &endless{packet: again}), nil)
	var p *ProtocolError
	if !errors.As(err, &p) || rep != nil {
		t.Errorf("endless report: %v", err)
	}
	many := "unpack ok\x00" + strings.Repeat("ok refs/heads/a\x00option forced-update\x00", maxUpdates+9)
	rep, err = answer(strings.NewReader(report(strings.Split(strings.TrimSuffix(many, "\x00"), "\x00")...)+"0000"), nil)
	if err != nil || len(rep.Refs[0].Updates) != maxUpdates {
		t.Errorf("%d updates, %v", len(rep.Refs[0].Updates), err)
	}
}

// TestEveryEnd: wherever the connection is lost, the error says whether the report was read.
func TestEveryEnd(t *testing.T) {
	head := band(2, "hook\n") + report("unpack ok", "ok refs/heads/a", "ok refs/heads/b")
	s := head + band(2, "post-receive") + "0000"
	for n := range len(s) {
		for _, last := range []error{io.EOF, errors.New("reset")} {
			rep, err := answer(io.MultiReader(strings.NewReader(s[:n]), iotest.ErrReader(last)), nil)
			var lost *LostError
			if !errors.As(err, &lost) {
				t.Fatalf("%d bytes: error %v", n, err)
			}
			reported := n >= len(head)
			if lost.Reported != reported || (rep != nil) != reported || rep != nil && (rep.Complete || !rep.OK()) {
				t.Errorf("%d bytes: report %+v, %v", n, rep, err)
			}
			if last != io.EOF && !errors.Is(err, last) {
				t.Errorf("%d bytes: error %v hides %v", n, err, last)
			}
		}
	}
	if rep, err := answer(strings.NewReader(s+"Connection closed."), nil); err != nil || !rep.Complete {
		t.Errorf("words after the end: %+v, %v", rep, err)
	}
}

// TestSidebandAsItComes: a packet of which a part has arrived is shown.
func TestSidebandAsItComes(t *testing.T) {
	r, w := io.Pipe()
	heardPart := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := band(2, "first half, second half")
		_, _ = io.WriteString(w, p[:16])
		if got := <-heardPart; got != "first half," {
			t.Errorf("heard %q of half a packet", got)
		}
		_, _ = io.WriteString(w, p[16:])
		<-heardPart
		_, _ = io.WriteString(w, report("unpack ok")+"0000")
		_ = w.Close()
	}()
	if _, err := answer(r, hear(func(p []byte) { heardPart <- string(p) })); err != nil {
		t.Error(err)
	}
	<-done
}

// TestSidebandTogether: packets that arrived together are shown together, and none waits for one
// of which nothing can be shown yet.
func TestSidebandTogether(t *testing.T) {
	for _, next := range []string{"", "00", band(2, "")[:5], band(2, "x")[:5], band(1, "000eunpack ok\n"), "0005\x02"} {
		r, w := io.Pipe()
		heard := make(chan string)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.WriteString(w, band(2, "one\n")+band(2, "two\n")+band(2, "thr")+band(2, "ee\n")+next)
			select {
			case got := <-heard:
				if got != "one\ntwo\nthree\n" {
					t.Errorf("before %q: heard %q", next, got)
				}
			case <-time.After(10 * time.Second):
				t.Errorf("before %q: heard nothing", next)
			}
			_ = w.Close()
			for range heard { // more, where it was not all
			}
		}()
		var lost *LostError
		if _, err := answer(r, hear(func(p []byte) { heard <- string(p) })); !errors.As(err, &lost) {
			t.Errorf("before %q: %v", next, err)
		}
		close(heard)
		<-done
	}
}

type hear func(p []byte)

func (h hear) Sideband(p []byte) { h(p) }

// TestPacketsAgainstGoGit compares the packet reader with go-git's where both hold.
func TestPacketsAgainstGoGit(t *testing.T) {
	in := band(2, "x") + "0000" + report("unpack ok") + pkt(strings.Repeat("y", 65000)) + pkt("\n")
	sc := pktline.NewScanner(strings.NewReader(in))
	pk := packets{newReader(in)}
	for sc.Scan() {
		n, flush, err := pk.header()
		if err != nil || flush != (len(sc.Bytes()) == 0) {
			t.Fatalf("header: %d, %t, %v", n, flush, err)
		}
		var got []byte
		for len(got) < n {
			b, err := pk.fragment(n - len(got))
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, b...)
		}
		if !bytes.Equal(got, sc.Bytes()) {
			t.Errorf("payload %s, go-git's %s", hex.EncodeToString(got[:min(20, n)]), hex.EncodeToString(sc.Bytes()[:min(20, n)]))
		}
	}
	if _, _, err := pk.header(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func FuzzResponse(f *testing.F) {
	f.Add([]byte(band(2, "hook\n") + report("unpack ok", "ok refs/heads/a", "option refname refs/x", "ng refs/heads/b no") + "0000"))
	f.Add([]byte(band(1, "000eunp") + band(1, "ack ok\n0000") + band(3, "fatal")))
	f.Add([]byte("0004" + pkt("ERR x") + "0000"))
	f.Add([]byte(band(1, pkt("unpack ok")+"0000"+"more")))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h1, h2 heard
		rep, err := answer(bytes.NewReader(b), &h1)
		rep2, err2 := answer(iotest.OneByteReader(bytes.NewReader(b)), &h2)
		if summary(rep) != summary(rep2) || fmt.Sprint(err) != fmt.Sprint(err2) || h1.text.String() != h2.text.String() {
			t.Errorf("byte by byte it reads differently:\n%v %v\n%v %v", rep, err, rep2, err2)
		}
		if rep == nil && err == nil || (rep != nil) != (h1.reported != nil) {
			t.Errorf("report %v, error %v, told %v", rep, err, h1.reported)
		}
		if err == nil && !rep.Complete {
			t.Error("no error, and not complete")
		}
	})
}

func BenchmarkSideband(b *testing.B) {
	for _, size := range []int{128, 65515} { // receive-pack's own buffer; the largest packet
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			text := strings.Repeat(band(2, strings.Repeat("x", size)), 1+(4<<20)/size)
			in := []byte(text + report("unpack ok") + "0000")
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			total := 0
			for b.Loop() {
				if _, err := answer(bytes.NewReader(in), hear(func(p []byte) { total += len(p) })); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
