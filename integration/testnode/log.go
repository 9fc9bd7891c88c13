package testnode

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// maxLog is how much of a node's log is kept: its end.
const maxLog = 256 << 10

// nodeLog keeps what a node's boot and sshd say, and lets others wait for words in it.
type nodeLog struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed and replaced when text grows
}

func newNodeLog() *nodeLog { return &nodeLog{changed: make(chan struct{})} }

// Write implements io.Writer.
func (l *nodeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if n := len(l.text); n > 2*maxLog {
		l.text = append([]byte(nil), l.text[n-maxLog:]...)
	}
	close(l.changed)
	l.changed = make(chan struct{})
	return len(p), nil
}

func (l *nodeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}

// wait returns the first of the words that the log has, in the order of words.
func (l *nodeLog) wait(ctx context.Context, words ...string) (string, error) {
	for {
		l.mu.Lock()
		changed := l.changed
		for _, w := range words {
			if bytes.Contains(l.text, []byte(w)) {
				l.mu.Unlock()
				return w, nil
			}
		}
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("testnode: waiting for %q in a node's log: %w", words, context.Cause(ctx))
		}
	}
}
