package bootstrap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"troops/sshx"
)

const (
	// maxSaid is how much of what a command prints is read, in bytes.
	maxSaid = 64 << 10
	// maxReason is how much of it, its end, goes into an error.
	maxReason = 1 << 10
)

// cleanShell is a shell for root's scripts that has nothing of the login's environment.
const cleanShell = "env -i HOME=/root LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh "

// shell runs commands on a host.
type shell struct {
	host string
	conn *sshx.Conn
}

// said is what a command has printed: the host's text.
type said struct{ out, err string }

// root is the beginning of a command that is run as root.
func (s *shell) root() string {
	if s.conn.User() == "root" {
		return cleanShell
	}
	return "sudo -n " + cleanShell
}

// script has root's shell run a script, after lines that set variables: name, value, name, ...
func (s *shell) script(ctx context.Context, limit time.Duration, text string, vars ...string) (said, error) {
	var b strings.Builder
	for i := 0; i+1 < len(vars); i += 2 {
		b.WriteString(vars[i] + "=" + quote(vars[i+1]) + "\n")
	}
	b.WriteString(text)
	return s.run(ctx, limit, s.root()+"-s", strings.NewReader(b.String()))
}

// quote makes s one word of a POSIX shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// run runs a command with the given standard input. Each time that limit goes by without a
// byte of the input being taken, or after that without the command's end, the connection is
// closed: a command that hangs can be left in no other way.
func (s *shell) run(ctx context.Context, limit time.Duration, command string, stdin io.Reader) (said, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(limit, func() { cancel(fmt.Errorf("the host did not answer within %v", limit)) })
	defer timer.Stop()
	defer context.AfterFunc(ctx, func() { s.conn.Close() })()
	p, err := s.conn.Exec(ctx, command)
	if err != nil {
		return said{}, err
	}
	defer p.Close()
	var out, errs tail
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = io.Copy(&out, p.Stdout()) }) // Wait tells of a lost connection
	wg.Go(func() { _, _ = io.Copy(&errs, p.Stderr()) })
	_, err = io.Copy(p.Stdin(), &progress{stdin, timer, limit})
	if cerr := p.Stdin().Close(); err == nil {
		err = cerr
	}
	wg.Wait()
	timer.Stop()
	text := said{out.String(), errs.String()}
	if werr := p.Wait(); werr != nil {
		if ctx.Err() != nil {
			werr = context.Cause(ctx)
		}
		return text, werr
	}
	if err != nil && !errors.Is(err, io.EOF) { // a command that ended before its input tells by its status
		return text, err
	}
	return text, nil
}

// within is a context for something that asks a host by its connection, which is closed when
// that takes longer than limit.
func (s *shell) within(ctx context.Context, limit time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the host did not answer within %v", limit))
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	return ctx, func() { stop(); cancel() }
}

// progress is a reader that winds up a timer at each read.
type progress struct {
	r     io.Reader
	timer *time.Timer
	limit time.Duration
}

// Read implements [io.Reader].
func (p *progress) Read(b []byte) (int, error) {
	p.timer.Reset(p.limit)
	return p.r.Read(b)
}

// tail is a writer that keeps the last [maxSaid] bytes.
type tail struct{ buf []byte }

// Write implements [io.Writer]; it takes everything.
func (t *tail) Write(b []byte) (int, error) {
	t.buf = append(t.buf, b...)
	if over := len(t.buf) - maxSaid; over > maxSaid {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(b), nil
}

// String gives what is kept.
func (t *tail) String() string { return string(t.buf[max(0, len(t.buf)-maxSaid):]) }

// reason is the end of what a command has said about its failure, in one line.
func reason(text string, err error) error {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxReason {
		text = "... " + text[len(text)-maxReason:]
	}
	var exit *sshx.ExitError
	switch {
	case text == "":
		return err
	case err == nil || errors.As(err, &exit):
		return errors.New(text)
	}
	return fmt.Errorf("%w (it said %q)", err, text)
}

// facts are lines `KEY VALUE` by key; the values of a key that comes again are in order.
func facts(text string) map[string][]string {
	m := make(map[string][]string)
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		m[key] = append(m[key], value)
	}
	return m
}
