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

// scenario is a push to a repository in some state.
type scenario struct {
	name    string
	about   string
	format  string // SHA1 where empty
	command string // plainServer where empty
	env     []string
	// setup prepares the repository "bare" and returns the request.
	setup func(l *lab) Request
}

func onMain(old, new OID) []Command { return []Command{{"refs/heads/main", old, new}} }

// pushed makes "bare" have a first commit on main, and returns it with a second one that it has not.
func pushed(l *lab) (first, second OID) {
	l.bare("bare")
	first = l.commit("a", strings.Repeat("line\n", 100))
	l.git("work", "push", "-q", "../bare", "main")
	second = l.commit("a", strings.Repeat("line\n", 100)+"more\n")
	return first, second
}

func updateMain(l *lab) Request {
	first, second := pushed(l)
	return Request{Commands: onMain(first, second), Agent: "troops/test", Pack: l.pack(second, first)}
}

// updateWith updates main in a repository with a hook.
func updateWith(hook, script string) func(l *lab) Request {
	return func(l *lab) Request {
		req := updateMain(l)
		l.hook("bare", hook, script)
		return req
	}
}

// procReceive is a proc-receive hook's side of its protocol in shell: it answers with the given packets.
func procReceive(answer string) string {
	return `pkt() { printf '%04x%s\n' $((${#1} + 5)) "$1"; }
skip() {
	while n=$(dd bs=1 count=4 2>/dev/null) && [ -n "$n" ] && [ "$n" != 0000 ]; do
		dd bs=1 count=$((0x$n - 4)) >/dev/null 2>&1
	done
}
skip
printf '000eversion=1\n0000'
skip
` + answer + "\nprintf 0000\n"
}

func scenarios() []scenario {
	one := func(name, about string, setup func(l *lab) Request) scenario {
		return scenario{name: name, about: about, setup: setup}
	}
	create := func(l *lab) Request {
		l.bare("bare")
		c := l.commit("a", "a\n")
		return Request{Commands: onMain(ZeroOID(l.format), c), Pack: l.pack(c)}
	}
	config := func(key, value string) func(l *lab) Request {
		return func(l *lab) Request {
			req := updateMain(l)
			l.git("bare", "config", key, value)
			return req
		}
	}
	return []scenario{
		one("empty", "first push to an empty repository", create),
		{name: "sha256", about: "the same in a sha256 repository", format: SHA256, setup: create},
		one("update", "a fast-forward", updateMain),
		{name: "version1", about: "a server that was asked for protocol 1", env: []string{"GIT_PROTOCOL=version=1"}, setup: updateMain},
		{name: "noise", about: "a shell start-up file that prints", setup: updateMain,
			command: `echo "Welcome to node 7!"; echo 0badc0de; printf 'no line feed'; exec git receive-pack "$0"`},
		one("alternates", "objects that the server has by alternates", func(l *lab) Request {
			first, second := pushed(l)
			l.git("", "clone", "-q", "--bare", "--shared", "bare", "fork")
			l.git("bare", "update-ref", "refs/heads/other", string(first))
			l.git("", "--git-dir=fork", "update-ref", "-d", "refs/heads/main")
			if err := os.Rename(filepath.Join(l.dir, "bare"), filepath.Join(l.dir, "origin")); err != nil {
				l.t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(l.dir, "fork"), filepath.Join(l.dir, "bare")); err != nil {
				l.t.Fatal(err)
			}
			alt := filepath.Join(l.dir, "bare/objects/info/alternates")
			if err := os.WriteFile(alt, []byte("../../origin/objects\n"), 0o644); err != nil {
				l.t.Fatal(err)
			}
			return Request{Commands: onMain(zeroSHA1, second), Pack: l.pack(second, first)}
		}),
		one("shallow", "a server with a shallow history", func(l *lab) Request {
			l.commit("z", "z\n")
			first, second := pushed(l)
			l.git("", "clone", "-q", "--bare", "--depth=1", "file://"+filepath.Join(l.dir, "bare"), "cut")
			if err := os.Rename(filepath.Join(l.dir, "bare"), filepath.Join(l.dir, "origin")); err != nil {
				l.t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(l.dir, "cut"), filepath.Join(l.dir, "bare")); err != nil {
				l.t.Fatal(err)
			}
			return Request{Commands: onMain(first, second), Pack: l.pack(second, first)}
		}),
		one("post-receive", "a hook that prints after the report", updateWith("post-receive", "echo one; echo two >&2; printf three\nexit 5\n")),
		one("pre-receive", "a hook that declines", updateWith("pre-receive", "echo no, thank you\nexit 3\n")),
		one("update-hook", "a hook that declines one ref", updateWith("update", "exit 4\n")),
		one("proc-receive-ng", "a proc-receive hook that says no", func(l *lab) Request {
			req := updateWith("proc-receive", procReceive(`echo running >&2; pkt "ng refs/heads/main troops: run 7 exited 7"`))(l)
			l.git("bare", "config", "receive.procReceiveRefs", "refs/heads")
			return req
		}),
		one("proc-receive-ok", "a proc-receive hook that did something else instead", func(l *lab) Request {
			req := updateMain(l)
			l.git("bare", "config", "receive.procReceiveRefs", "refs/heads")
			c := req.Commands[0]
			l.hook("bare", "proc-receive", procReceive(fmt.Sprintf(`pkt "ok refs/heads/main"
pkt "option refname refs/changes/1"
pkt "option old-oid %s"
pkt "option new-oid %s"
pkt "option forced-update"
pkt "ok refs/heads/main"
pkt "option refname refs/changes/2"`, c.Old, c.New)))
			return req
		}),
		one("options", "push options reach the hook", func(l *lab) Request {
			req := updateWith("post-receive", "echo $GIT_PUSH_OPTION_COUNT: $GIT_PUSH_OPTION_0, $GIT_PUSH_OPTION_1\n")(l)
			l.git("bare", "config", "receive.advertisePushOptions", "true")
			req.Options = []string{"troops-host=web-1", "two words"}
			return req
		}),
		one("delete", "only a deletion, so no pack", func(l *lab) Request {
			first, _ := pushed(l)
			l.git("bare", "update-ref", "refs/heads/old", string(first))
			return Request{Commands: []Command{{"refs/heads/old", first, zeroSHA1}}}
		}),
		one("atomic", "two refs, one of them stale, all or none", func(l *lab) Request {
			first, second := pushed(l)
			return Request{Atomic: true, Pack: l.pack(second, first), Commands: []Command{
				{"refs/heads/new", zeroSHA1, second}, {"refs/heads/main", second, first}}}
		}),
		one("conflict", "a ref where there is a directory", func(l *lab) Request {
			first, second := pushed(l)
			return Request{Commands: []Command{{"refs/heads/main/x", zeroSHA1, second}}, Pack: l.pack(second, first)}
		}),
		one("max-size", "a pack that is too large", config("receive.maxInputSize", "10")),
		one("hidden", "a ref that the server hides", config("receive.hideRefs", "refs/heads")),
		one("non-ff", "a server that wants fast-forwards only", func(l *lab) Request {
			_, second := pushed(l)
			l.git("work", "push", "-q", "../bare", "main")
			l.git("work", "checkout", "-q", "--orphan", "other")
			c := l.commit("b", "b\n")
			l.git("bare", "config", "receive.denyNonFastForwards", "true")
			return Request{Commands: onMain(second, c), Pack: l.pack(c)}
		}),
		one("missing-base", "a thin pack whose bases the server lacks", func(l *lab) Request {
			req := updateMain(l)
			second := req.Commands[0].New
			l.git("", "init", "-q", "--bare", "fresh")
			if err := os.RemoveAll(filepath.Join(l.dir, "bare")); err != nil {
				l.t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(l.dir, "fresh"), filepath.Join(l.dir, "bare")); err != nil {
				l.t.Fatal(err)
			}
			req.Commands = onMain(zeroSHA1, second)
			return req
		}),
		{name: "no-git", about: "a machine without git", command: "echo 'sh: 1: git-receive-pack: not found'; exit 127", setup: updateMain},
	}
}

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
