package sshx

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// maxHead is how much of a server's first words is kept, to tell throttling from failure.
const maxHead = 256

// wire is the connection under an ssh connection. It counts what comes in, for the
// keepalive, and keeps the first bytes, which the ssh library does not report.
type wire struct {
	net.Conn
	received atomic.Int64
	broken   atomic.Pointer[error] // the first of reading or writing
	closing  sync.Once
	closeErr error
	proxy    *proxy       // the ProxyCommand that carries it; may be nil
	died     func() error // why a connection that a program carried has ended; may be nil

	// The ssh library reads the server's version byte by byte, which would be a system call for
	// each. Later reads are larger than this buffer, and pass it by.
	ahead *bufio.Reader

	mu   sync.Mutex
	head []byte
}

func newWire(conn net.Conn) *wire {
	w := &wire{Conn: conn}
	w.ahead = bufio.NewReaderSize((*incoming)(w), maxHead)
	return w
}

// Read implements [net.Conn].
func (w *wire) Read(p []byte) (int, error) { return w.ahead.Read(p) }

// incoming is a wire read straight from its connection.
type incoming wire

// Read implements [io.Reader].
func (i *incoming) Read(p []byte) (int, error) {
	w := (*wire)(i)
	n, err := w.Conn.Read(p)
	w.note(err)
	if n > 0 && w.received.Add(int64(n)) <= maxHead+int64(n) {
		w.mu.Lock()
		w.head = append(w.head, p[:min(n, maxHead-len(w.head))]...)
		w.mu.Unlock()
	}
	return n, err
}

// Write implements [net.Conn].
func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.note(err)
	return n, err
}

// note keeps the first error: the ssh library takes a connection that broke during
// authentication for a key that was refused.
func (w *wire) note(err error) {
	if err != nil {
		w.broken.CompareAndSwap(nil, &err)
	}
}

// Close implements [net.Conn]. Closing twice is closing once.
func (w *wire) Close() error {
	w.closing.Do(func() { w.closeErr = w.Conn.Close() })
	return w.closeErr
}

// beforeBanner gives what the server said if it has not said its version yet.
func (w *wire) beforeBanner() (said string, yes bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if bytes.HasPrefix(w.head, []byte("SSH-")) || bytes.Contains(w.head, []byte("\nSSH-")) {
		return "", false
	}
	return string(bytes.TrimSpace(w.head)), true
}

// What sshd says before its banner to a connection that it turns away: too many are not
// authenticated (up to 9.7), or that too, or the address has misbehaved (since 9.8).
const (
	startupsText = "Exceeded MaxStartups"
	penaltyText  = "Not allowed at this time"
)

// throttled reports whether a failed handshake is the server turning connections away:
// what sshd says before its banner (MaxStartups; penalties since 9.8), or nothing at all.
func (w *wire) throttled(err error) (said string, yes bool) {
	said, early := w.beforeBanner()
	if !early {
		return "", false
	}
	if said != "" {
		return said, strings.Contains(said, startupsText) || strings.Contains(said, penaltyText)
	}
	return "", errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// clock bounds the stages of a dial. When one takes too long it cancels the dial with a
// *TimeoutError as cause.
type clock struct {
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	stage string
	what  string
	limit time.Duration
	timer *time.Timer
}

// enter begins a stage; what is the message of its timeout.
func (c *clock) enter(stage, what string, limit time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stage, c.what, c.limit = stage, what, limit
	c.restart()
}

// restart sets the timer of the current stage. The caller holds mu.
func (c *clock) restart() {
	if c.timer != nil {
		c.timer.Stop()
	}
	what, limit := c.what, c.limit
	c.timer = time.AfterFunc(limit, func() {
		c.cancel(&TimeoutError{What: what, After: limit.String()})
	})
}

// pause runs f, which asks a person, off the clock; the stage then begins anew.
func (c *clock) pause(f func()) {
	c.stop()
	f()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restart()
}

// stop ends the last stage.
func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}

// at gives the current stage.
func (c *clock) at() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stage
}
