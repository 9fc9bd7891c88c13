package push

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"testing"

	"troops/nodeside/wire"
)

// nowhere is a connection that a stream of bytes came from, and nothing else.
type nowhere struct{}

func (nowhere) Exec(context.Context, string) (Channel, error) {
	return nil, errors.New("nothing is there")
}
func (nowhere) Close() error { return nil }

// order checks that runs begin before they end, each once.
type order struct {
	t    *testing.T
	open string
}

// Emit implements [Sink].
func (o *order) Emit(e Event) {
	switch e := e.(type) {
	case RunBegan:
		o.open = e.Run.Run
	case RunEnded:
		if e.Run.Run != o.open {
			o.t.Errorf("run %q ended while %q was shown", e.Run.Run, o.open)
		}
		o.open = ""
	}
}

// Whatever a node sends, over two connections, the next request is a harmless command, and a run
// ends only after it began.
func FuzzTailing(f *testing.F) {
	const run = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	frame := func(k wire.Kind, payload string) []byte { return wire.AppendFrame(nil, k, []byte(payload)) }
	whole := bytes.Join([][]byte{
		frame(wire.Omitted, `["`+run+`"]`), frame(wire.Began, `{"run":"`+run+`","state":"running"}`), frame(wire.Stdout, "x"),
		frame(wire.Done, `{"run":"'; reboot","state":"ok"}`), frame(wire.CaughtUp, ""),
	}, nil)
	f.Add(whole, whole)
	f.Add(whole[:80], whole)
	f.Add(frame(wire.Omitted, `["$(reboot)"]`), frame(wire.Done, `{"state":"ok"}`))
	f.Add(append(frame(wire.Began, `{"run":"$(reboot)","state":"ok"}`), frame(wire.CaughtUp, "")...), []byte("0005c"))
	harmless := regexp.MustCompile(`^tail [-0-9A-Za-z.:,= ]+$`)
	f.Fuzz(func(t *testing.T, first, second []byte) {
		sink := &order{t: t}
		r := &Rollout{Sink: sink}
		if err := r.prepare(); err != nil {
			t.Fatal(err)
		}
		tail := &tailing{n: &node{rollout: r, target: Target{Host: "a"}}}
		tail.f = tail.n.follower("")
		tail.f.other = tail.frame
		for _, stream := range [][]byte{first, second} {
			a := &attachment{conn: nowhere{}, limits: r.limits, reader: wire.NewReader(bytes.NewReader(stream))}
			if _, err := tail.f.read(a); errors.Is(err, errListed) {
				tail.met, tail.again = true, false
				if err := tail.read(a); err == nil {
					t.Error("the stream has no end")
				}
			}
			command, err := tail.command()
			if err != nil || !harmless.MatchString(command) {
				t.Errorf("command %q, %v", command, err)
			}
		}
	})
}
