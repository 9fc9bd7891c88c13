package output

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/renameio/v2"

	"troops/push"
)

// LogIndex is the file of a log directory that tells which log is whose.
const LogIndex = "index.tsv"

const (
	logSuffix  = ".log"
	maxLogName = 100 // bytes of a log's name that come from its host
)

// Logs is the sink that keeps the raw output of each node in a file of its own. Its methods
// may be called by many goroutines. What cannot be written is given up, and said once: the
// rollout goes on.
type Logs struct {
	dir  string
	warn func(format string, args ...any) // called with no lock held

	mu       sync.Mutex // guards below, not the logs
	logs     map[string]*nodeLog
	order    []*nodeLog
	err      error // the first
	failures int   // how many there were
}

// nodeLog is the log of one node. Its file is open while the node has something to say.
type nodeLog struct {
	host string // as in the events
	name string // of the file

	mu    sync.Mutex
	file  *os.File
	begun bool
	bytes int64
	err   error
	end   *push.Finished
}

var _ push.Sink = (*Logs)(nil)

// NewLogs returns a sink that writes to files in dir, which it makes when the rollout begins.
// Logs of an earlier one there are replaced as far as they are of the same hosts. warn prints
// troops' own words.
func NewLogs(dir string, warn func(format string, args ...any)) *Logs {
	return &Logs{dir: dir, warn: warn, logs: make(map[string]*nodeLog)}
}

// File is the log of a host, empty where there is none.
func (l *Logs) File(host string) string {
	n := l.log(host)
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.begun {
		return ""
	}
	return filepath.Join(l.dir, n.name)
}

// logName is the name of a host's log, safe on any file system: another name than the host's
// has a part of its hash, so that no two hosts share one.
func logName(host string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', strings.ContainsRune("-._@", r):
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, host[:min(len(host), maxLogName)])
	if safe == "" || safe[0] == '.' || safe[0] == '-' {
		safe = "_" + safe
	}
	if safe != host {
		safe += fmt.Sprintf("-%x", sha256.Sum256([]byte(host)))[:9]
	}
	return safe + logSuffix
}

// Emit implements [push.Sink].
func (l *Logs) Emit(e push.Event) {
	var err error
	switch e := e.(type) {
	case push.Planned:
		for _, host := range e.Nodes {
			l.log(host)
		}
		if err = os.MkdirAll(l.dir, 0o700); err != nil {
			err = fmt.Errorf("making the directory %s for logs: %w", l.dir, err)
		}
	case push.Output:
		if e.Stream != push.Note {
			err = l.log(e.Node).write(l.dir, e.Data)
		}
	case push.Finished:
		err = l.log(e.Node).finish(e)
	}
	if err != nil {
		l.fail(err)
	}
}

// log returns the log of a host, and makes its acquaintance where it is new.
func (l *Logs) log(host string) *nodeLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.logs[host]
	if n == nil {
		n = &nodeLog{host: host, name: logName(host)}
		l.logs[host] = n
		l.order = append(l.order, n)
	}
	return n
}

// write appends data. An error is returned once; from then on the log is left as it is.
func (n *nodeLog) write(dir string, data []byte) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err != nil {
		return nil
	}
	if n.file == nil {
		if n.err = n.open(dir); n.err != nil {
			return n.err
		}
	}
	written, err := n.file.Write(data)
	n.bytes += int64(written)
	if err != nil {
		n.err = fmt.Errorf("the log of %s is not whole: %w", n.host, err)
	}
	return n.err
}

// open opens the file, anew the first time. A symbolic link in its place is replaced, not followed.
func (n *nodeLog) open(dir string) error {
	path := filepath.Join(dir, n.name)
	flags := os.O_WRONLY | os.O_APPEND
	if !n.begun {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("replacing the log of %s: %w", n.host, err)
		}
		flags |= os.O_CREATE | os.O_EXCL
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return fmt.Errorf("opening the log of %s: %w", n.host, err)
	}
	n.file, n.begun = file, true
	return nil
}

// finish closes the file. A node that is looked at again goes on in it.
func (n *nodeLog) finish(e push.Finished) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.end = &e
	return n.close()
}

// close needs n.mu.
func (n *nodeLog) close() error {
	if n.file == nil {
		return nil
	}
	err := n.file.Close()
	n.file = nil
	if err == nil || n.err != nil {
		return nil
	}
	n.err = fmt.Errorf("closing the log of %s: %w", n.host, err)
	return n.err
}

// fail says the first error; a full disk has one for every node.
func (l *Logs) fail(err error) {
	l.mu.Lock()
	first := l.failures == 0
	l.err = cmp.Or(l.err, err)
	l.failures++
	l.mu.Unlock()
	if first {
		l.warn("warning: %v; the deployment goes on", err)
	}
}

// Close ends all logs, writes the index and returns the first error since the beginning.
func (l *Logs) Close() error {
	l.mu.Lock()
	order := l.order
	l.mu.Unlock()
	var b bytes.Buffer
	b.WriteString("file\tnode\toutcome\tseconds\tbytes\ttext\n")
	for _, n := range order {
		n.mu.Lock()
		err := n.close()
		b.WriteString(n.entry())
		n.mu.Unlock()
		if err != nil {
			l.fail(err)
		}
	}
	if err := renameio.WriteFile(filepath.Join(l.dir, LogIndex), b.Bytes(), 0o600); err != nil {
		l.fail(fmt.Errorf("writing the index of the logs: %w", err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failures > 1 {
		return fmt.Errorf("%w (and %s more of the logs)", l.err, count(l.failures-1, "error"))
	}
	return l.err
}

// entry is the node's line of the index. A node that said nothing has no file.
func (n *nodeLog) entry() string {
	field := func(s string) string { return strings.ReplaceAll(Sanitize(s), "\t", " ") }
	file, outcome, took, text := "-", "not finished", "-", ""
	if n.begun {
		file = n.name
	}
	if n.end != nil {
		outcome, text = string(n.end.Outcome.Kind()), n.end.Outcome.String()
		took = fmt.Sprintf("%.3f", n.end.Took.Seconds())
	}
	if n.err != nil {
		text += "; " + n.err.Error()
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s\n", file, field(n.host), outcome, took, n.bytes, field(text))
}
