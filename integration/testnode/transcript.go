package testnode

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

// Transcript keeps what a process writes and lets others wait for it. It may be used from
// several goroutines; the zero value keeps everything.
type Transcript struct {
	// Limit, where it is not 0, is how much is kept at least, in bytes: the end.
	Limit int

	mu      sync.Mutex
	text    []byte
	total   int64
	changed chan struct{} // of those who wait; closed when text grows
}

// Write implements io.Writer; it never fails.
func (s *Transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	s.total += int64(len(p))
	if n := len(s.text); s.Limit > 0 && n > 2*s.Limit {
		s.text = append([]byte(nil), s.text[n-s.Limit:]...)
	}
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
	return len(p), nil
}

// String returns what is kept.
func (s *Transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.text)
}

// Wait waits until one of the words is there, and returns it: the first of those that are, in
// the order of words.
func (s *Transcript) Wait(ctx context.Context, words ...string) (found string, err error) {
	err = s.until(ctx, func() bool {
		for _, w := range words {
			if bytes.Contains(s.text, []byte(w)) {
				found = w
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", fmt.Errorf("testnode: waiting for %q in a transcript: %w", words, err)
	}
	return found, nil
}

// WaitSize waits until n bytes have been written.
func (s *Transcript) WaitSize(ctx context.Context, n int64) error {
	if err := s.until(ctx, func() bool { return s.total >= n }); err != nil {
		return fmt.Errorf("testnode: waiting for %d bytes in a transcript: %w", n, err)
	}
	return nil
}

// until waits until there, which is called with s.mu held, says so.
func (s *Transcript) until(ctx context.Context, there func() bool) error {
	for {
		s.mu.Lock()
		if there() {
			s.mu.Unlock()
			return nil
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
