package gitwire

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// The transcripts of testdata are of real git. To record them anew: go test -run Golden -update
var update = flag.Bool("update", false, "record the golden transcripts with the git on PATH")

// transcript is one exchange, and what it came to.
type transcript struct {
	about, request string
	server, client []byte // the client's side without the pack, but for its first four bytes
	result         string
}

func TestGolden(t *testing.T) {
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			file := filepath.Join("testdata", "golden", sc.name+".txt")
			if *update {
				if err := os.WriteFile(file, sc.record(t).encode(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tr := decodeTranscript(t, b)
			for _, cut := range []func(io.Reader) io.Reader{
				func(r io.Reader) io.Reader { return r }, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader,
			} {
				got := tr.replay(t, cut)
				if got.result != tr.result {
					t.Errorf("result:\n%s\nwant:\n%s", got.result, tr.result)
				}
				if !bytes.Equal(got.client, tr.client) {
					t.Errorf("sent %q\nwant %q", got.client, tr.client)
				}
			}
		})
	}
}

// TestGoldenLive runs every scenario against the git on PATH and demands the recorded outcome,
// but for words that may differ between git's versions.
func TestGoldenLive(t *testing.T) {
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(filepath.Join("testdata", "golden", sc.name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			want, got := decodeTranscript(t, b).outcome(), sc.record(t).outcome()
			if want != got {
				t.Errorf("%s: outcome %q, recorded was %q", sc.about, got, want)
			}
		})
	}
}

// record runs the scenario against real git.
func (sc scenario) record(t *testing.T) transcript {
	format, command := sc.format, sc.command
	if format == "" {
		format = SHA1
	}
	if command == "" {
		command = plainServer
	}
	l := newLab(t, format)
	req := sc.setup(l)
	srv := l.serve("bare", command, sc.env...)
	var server bytes.Buffer
	r := struct {
		io.Reader
		io.Closer
	}{io.TeeReader(srv.out, &server), srv.out}
	client := &recordingWriter{w: srv.in}
	js, err := json.Marshal(req)
	if err == nil && req.Pack != nil {
		bare := req
		bare.Pack = nil
		js, err = json.Marshal(bare)
	}
	if err != nil {
		t.Fatal(err)
	}
	result := exchange(r, client, req)
	return transcript{sc.about, string(js), server.Bytes(), client.head(), result}
}

func (tr transcript) replay(t *testing.T, cut func(io.Reader) io.Reader) transcript {
	var req Request
	if err := json.Unmarshal([]byte(tr.request), &req); err != nil {
		t.Fatal(err)
	}
	req.Pack = io.NopCloser(strings.NewReader("PACK..."))
	client := &recordingWriter{}
	result := exchange(cut(bytes.NewReader(tr.server)), client, req)
	return transcript{client: client.head(), result: result}
}

// exchange runs a whole session and tells what it came to.
func exchange(r io.Reader, w io.WriteCloser, req Request) string {
	var b strings.Builder
	ctx := context.Background()
	s, adv, err := ReadAdvertisement(ctx, r)
	if err != nil {
		return fmt.Sprintf("error: %v\n", err)
	}
	fmt.Fprintf(&b, "version %d %s\ncaps: %s\n", adv.Version, adv.ObjectFormat, strings.Join(adv.Caps, " "))
	for _, r := range adv.Refs {
		fmt.Fprintf(&b, "ref: %s %s\n", r.OID, r.Name)
	}
	fmt.Fprintf(&b, "have: %v\nshallow: %v\nnoise: %q\n", adv.Have, adv.Shallow, adv.Noise)
	h := &heard{}
	rep, err := s.Push(ctx, w, req, h)
	fmt.Fprintf(&b, "sideband: %q\nreported: %t\n", &h.text, h.reported != nil)
	if rep != nil {
		fmt.Fprintf(&b, "unpack: %s\ncomplete: %t\n", rep.Unpack, rep.Complete)
		for _, r := range rep.Refs {
			fmt.Fprintf(&b, "status: %s ok=%t reported=%t %q %v\n", r.Ref, r.OK, r.Reported, r.Reason, r.Updates)
		}
	}
	fmt.Fprintf(&b, "error: %v\n", err)
	return b.String()
}

// outcome is the part of the result that does not depend on git's version.
func (tr transcript) outcome() string {
	var b strings.Builder
	for line := range strings.Lines(tr.result) {
		word, _, _ := strings.Cut(line, ":")
		switch word {
		case "reported", "complete", "status", "ref", "have", "shallow", "noise", "error":
			b.WriteString(line)
		}
	}
	return b.String()
}

// recordingWriter keeps what is written and, where it has w, hands it on.
type recordingWriter struct {
	buf bytes.Buffer
	w   io.WriteCloser
}

func (w *recordingWriter) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if w.w != nil {
		return w.w.Write(p)
	}
	return len(p), nil
}

func (w *recordingWriter) Close() error {
	if w.w != nil {
		return w.w.Close()
	}
	return nil
}

// head is all up to the beginning of the pack.
func (w *recordingWriter) head() []byte {
	if i := bytes.Index(w.buf.Bytes(), []byte("PACK")); i >= 0 {
		return w.buf.Bytes()[:i+len("PACK")]
	}
	return w.buf.Bytes()
}

func (tr transcript) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\nrequest %s\n", tr.about, tr.request)
	quoted := func(mark string, p []byte) {
		for len(p) > 0 {
			n := min(len(p), 100)
			fmt.Fprintf(&b, "%s %+q\n", mark, p[:n])
			p = p[n:]
		}
	}
	quoted("<", tr.server)
	quoted(">", tr.client)
	for line := range strings.Lines(tr.result) {
		b.WriteString("= " + line)
	}
	return b.Bytes()
}

func decodeTranscript(t *testing.T, b []byte) (tr transcript) {
	for line := range strings.Lines(string(b)) {
		mark, rest, _ := strings.Cut(line, " ")
		switch mark {
		case "#":
			tr.about = strings.TrimSpace(rest)
		case "request":
			tr.request = rest
		case "<", ">":
			s, err := strconv.Unquote(strings.TrimSpace(rest))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if mark == "<" {
				tr.server = append(tr.server, s...)
			} else {
				tr.client = append(tr.client, s...)
			}
		case "=":
			tr.result += rest
		}
	}
	return tr
}
