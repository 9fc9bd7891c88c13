package push_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"troops/nodeside/sandbox"
	"troops/push"
)

// hanging is a connection on which commands whose line holds a word behave as under OpenSSH
// when they hang: the channel stays as it is whatever the client does, until the connection
// goes. Close and the end of a context do not wake a reader.
type hanging struct {
	push.Conn
	word   string
	prefix string // what such a command says before it hangs
	begun  chan<- struct{}

	once sync.Once
	gone chan struct{}
}

func (h *hanging) Exec(ctx context.Context, cmd string) (push.Channel, error) {
	if !strings.Contains(cmd, h.word) {
		return h.Conn.Exec(ctx, cmd)
	}
	r, w := io.Pipe()
	context.AfterFunc(h.context(), func() { w.CloseWithError(io.EOF) })
	go func() {
		io.WriteString(w, h.prefix)
		h.begun <- struct{}{}
	}()
	return &hung{h: h, out: r}, nil
}

func (h *hanging) context() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-h.gone; cancel() }()
	return ctx
}

func (h *hanging) Close() error {
	h.once.Do(func() { close(h.gone) })
	return h.Conn.Close()
}

type hung struct {
	h   *hanging
	out io.Reader
}

func (c *hung) Stdin() io.WriteCloser { return c }
func (c *hung) Stdout() io.Reader     { return c.out }
func (c *hung) Stderr() io.Reader     { return c }
func (c *hung) Close() error          { return nil }

func (c *hung) Read([]byte) (int, error)    { <-c.h.gone; return 0, io.EOF }
func (c *hung) Write(p []byte) (int, error) { <-c.h.gone; return 0, io.EOF }
func (c *hung) Wait() error                 { <-c.h.gone; return io.EOF }

// hang makes commands with the word hang on all connections of the rollout.
func hang(r *push.Rollout, word, prefix string) (begun <-chan struct{}) {
	c := make(chan struct{}, 100)
	dial := r.Dial
	r.Dial = func(ctx context.Context, host string) (push.Conn, error) {
		conn, err := dial(ctx, host)
		if err != nil {
			return nil, err
		}
		return &hanging{Conn: conn, word: word, prefix: prefix, begun: c, gone: make(chan struct{})}, nil
	}
	return c
}

func TestHungNodesEnd(t *testing.T) {
	const zero = "0000000000000000000000000000000000000000"
	line := zero + " capabilities^{}\x00report-status side-band-64k ofs-delta\n"
	adv := fmt.Sprintf("%04x%s0000", len(line)+4, line)
	for name, tt := range map[string]struct {
		word, prefix string
		limit        int
		want         push.Kind
	}{
		"git says nothing":    {"git-receive-pack", "", push.LimitAdvertisement, push.KindFailed},
		"git takes nothing":   {"git-receive-pack", adv, push.LimitUpload, push.KindUnknown},
		"attach says nothing": {"attach", "", push.LimitSilence, push.KindFailed},
		"attach stays silent": {"attach", "troops-attach 1\n", push.LimitSilence, push.KindUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, sandbox.Options{Names: []string{"a"}})
			r := f.rollout(f.commit("print(1)\n"))
			r.Shorten(tt.limit, 300*time.Millisecond)
			r.Reconnect = time.Second
			hang(r, tt.word, tt.prefix)
			f.wantKinds(f.run(r), tt.want)
		})
	}
}

func TestHungNodeIsLeftOnRequest(t *testing.T) {
	for _, word := range []string{"git-receive-pack", "attach"} {
		f := newFleet(t, sandbox.Options{Names: []string{"a"}})
		r := f.rollout(f.commit("print(1)\n"))
		begun := hang(r, word, "")
		ctx, leave := context.WithCancel(t.Context())
		go func() { <-begun; leave() }()
		results, err := r.Run(ctx) // without the limits of minutes: the test ends by leaving
		if err != nil || results[0].Outcome.Kind() != push.KindNotStarted {
			t.Errorf("%s hangs: %v, %v", word, results, err)
		}
	}
}
