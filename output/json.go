package output

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"troops/push"
)

// JSONVersion is the version of the events' schema. It changes only where a field's meaning
// changes or a field goes; fields are added without.
const JSONVersion = 1

// slowestInJSON is how many nodes the summary names as the slowest.
const slowestInJSON = 10

// JSON is the sink that prints each event as one JSON object on a line, for programs
// (docs/json.md). Its methods may be called by many goroutines. Write errors are treated as
// [Lines] treats them.
type JSON struct {
	now  func() time.Time
	logs func(host string) string // the name of a node's log, empty for none

	mu sync.Mutex // guards all below, and writing
	page
	start   time.Time
	nodes   map[string]*node
	reports []*report // of nodes, in order of the plan
}

var _ push.Sink = (*JSON)(nil)

// NewJSON returns a sink that prints to w. logs names the log file of a host; nil where no
// logs are kept.
func NewJSON(w io.Writer, logs func(host string) string) *JSON {
	if logs == nil {
		logs = func(string) string { return "" }
	}
	return &JSON{now: time.Now, logs: logs, page: page{w: w}, start: time.Now(), nodes: make(map[string]*node)}
}

// Emit implements [push.Sink].
func (j *JSON) Emit(e push.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch e := e.(type) {
	case push.Planned:
		j.start = j.now()
		for _, name := range e.Nodes {
			j.node(name)
		}
		j.add(planJSON{j.head("plan"), e.Commit, e.Subject, orEmpty(e.Nodes)})
	case push.Wave:
		j.add(waveJSON{j.head("wave"), e.Number, e.Of, orEmpty(e.Nodes)})
	case push.Compared:
		j.add(comparedOf(j.head("compared"), e))
	case push.Soaking:
		j.add(soakJSON{j.head("soak"), e.For.Seconds()})
	case push.Phase:
		n := j.node(e.Node)
		j.flush(n)
		at := timeOf(e, j.now)
		n.watch.enter(e.Phase, at)
		j.add(phaseJSON{headAt("phase", at), e.Node, e.Phase})
	case push.Connected:
		j.add(connectedJSON{j.head("connected"), e.Node, e.Transport})
	case push.Output:
		j.output(e)
	case push.Finished:
		n := j.node(e.Node)
		j.flush(n)
		n.finish(e, j.now())
		j.add(outcomeOf(j.head("outcome"), e, j.logs(e.Node)))
	}
	j.write()
}

// Printf prints troops' own words, not about one node, as a message.
func (j *JSON) Printf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.add(messageJSON{j.head("message"), strings.TrimSuffix(fmt.Sprintf(format, args...), "\n")})
	j.write()
}

// Silence is as that of [Lines].
func (j *JSON) Silence() (resume func()) {
	j.mu.Lock()
	return j.mu.Unlock
}

// Summary prints what has become of the nodes, after the lines that have not ended yet.
func (j *JSON) Summary() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flushAll()
	j.add(summaryOf(j.head("summary"), j.reports, j.now().Sub(j.start)))
	j.write()
}

// Close prints the lines that have not ended and returns the first error of writing. It is
// the last use of the writer.
func (j *JSON) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.flushAll()
	j.write()
	j.closed = true
	return j.err
}

// The methods below need j.mu.

func (j *JSON) head(kind string) headJSON { return headAt(kind, j.now()) }

func (j *JSON) node(name string) *node {
	if n := j.nodes[name]; n != nil {
		return n
	}
	n := &node{report: report{host: name, name: name}}
	j.nodes[name] = n
	j.reports = append(j.reports, &n.report)
	return n
}

func (j *JSON) output(e push.Output) {
	if e.Stream == push.Note {
		text := e.Data[:min(len(e.Data), MaxLine)]
		j.line(e.Node, push.Note, rawLine{text, int64(len(e.Data) - len(text))}, false)
		return
	}
	partial, _ := j.node(e.Node).stream(e.Stream)
	for p := e.Data; len(p) > 0; {
		line, rest, ok := partial.next(p)
		if ok {
			j.line(e.Node, e.Stream, line, false)
		}
		p = rest
	}
}

func (j *JSON) line(host string, s push.Stream, line rawLine, unfinished bool) {
	text := line.text
	if line.cut > 0 { // perhaps through a character
		whole := wholeRunes(text)
		line.cut += int64(len(text) - len(whole))
		text = whole
	}
	j.add(lineJSON{j.head("line"), host, streamName(s), string(text), line.cut, unfinished})
	if len(j.buf) >= batch {
		j.write()
	}
}

func (j *JSON) flush(n *node) {
	for _, s := range []push.Stream{push.Stdout, push.Stderr, push.Git} {
		if partial, _ := n.stream(s); partial.pending() {
			j.line(n.host, s, partial.take(), true)
		}
	}
}

func (j *JSON) flushAll() {
	for _, r := range j.reports {
		j.flush(j.nodes[r.host])
	}
}

// add appends an event as a line.
func (j *JSON) add(event any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(event); err != nil {
		panic("output: an event that is no JSON: " + err.Error()) // strings and numbers: cannot be
	}
	j.buf = appendHarmless(j.buf, b.Bytes())
}

// appendHarmless appends JSON, with the characters escaped that a terminal would obey or not
// show: encoding/json leaves all above the ASCII controls as they are.
func appendHarmless(dst, doc []byte) []byte {
	for len(doc) > 0 {
		r, size := utf8.DecodeRune(doc)
		switch {
		case r == '[' && bytes.HasSuffix(dst, []byte("##")), r == 'v' && bytes.HasSuffix(dst, []byte("##")):
			dst = fmt.Appendf(dst, `\u%04x`, r) // a command to runners of CI jobs
		case r == '\n' || r >= ' ' && r < 0x7f || !hidden(r):
			dst = append(dst, doc[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, high, low)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		doc = doc[size:]
	}
	return dst
}

// wholeRunes returns text without a character that its end goes through.
func wholeRunes(text []byte) []byte {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRune(text[i:]) {
				return text[:i]
			}
			break
		}
	}
	return text
}

// orEmpty makes a list that JSON has as [].
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func streamName(s push.Stream) string {
	switch s {
	case push.Stderr:
		return "stderr"
	case push.Git:
		return "git"
	case push.Note:
		return "note"
	}
	return "stdout"
}
