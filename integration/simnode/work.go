package simnode

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"troops/nodeside/wire"
)

// Work is what a run prints. The zero value prints nothing.
type Work struct {
	Lines int           // lines of [Line] that every node prints, but the flooding ones
	Pause time.Duration // between two of them
	Bytes int           // bytes of lines that every node prints after that as fast as it can
	Flood int           // so many nodes, the first, print as fast as they can until the others have ended
}

// Line is a line of a node's output; it says when it was printed, in nanoseconds of the clock.
func Line(number int, at time.Time) string {
	return fmt.Sprintf("bench line %d %d\n", number, at.UnixNano())
}

const (
	together  = 5        // lines in one write where there is no pause
	chunkSize = 32 << 10 // bytes of one frame of bulk output, which cuts lines in two
	bulkLine  = 80       // bytes of one of its lines
)

// attach waits for a run to be pushed on this connection and prints it.
func (c *conn) attach(out io.Writer, run string) error {
	if _, err := io.WriteString(out, wire.Preface); err != nil {
		return err
	}
	var commit string
	select {
	case commit = <-c.run(run):
	case <-c.gone:
		return io.ErrClosedPipe
	}
	var head []byte
	for _, phase := range []string{"checkout", "venv", "deploy"} {
		head = wire.AppendFrame(head, wire.Phase, []byte(phase))
	}
	if _, err := out.Write(head); err != nil {
		return err
	}
	if err := c.work(out); err != nil {
		return err
	}
	result, err := json.Marshal(wire.Result{Run: run, Commit: commit, Branch: "refs/heads/master", State: wire.OK, Phase: "deploy"})
	if err != nil {
		return err
	}
	_, err = out.Write(wire.AppendFrame(nil, wire.Done, result))
	return err
}

func (c *conn) work(out io.Writer) error {
	w := c.fleet.o.Work
	if c.node < w.Flood {
		return c.flood(out)
	}
	defer c.fleet.end(c.node)
	if err := c.lines(out, w); err != nil {
		return err
	}
	chunk := bulk()
	for sent := 0; sent < w.Bytes; sent += chunkSize {
		if _, err := out.Write(chunk); err != nil {
			return err
		}
	}
	return nil
}

// lines prints each line in a frame of its own, as a program without a buffer does.
func (c *conn) lines(out io.Writer, w Work) error {
	var buf []byte
	for i := 1; i <= w.Lines; i++ {
		buf = wire.AppendFrame(buf, wire.Stdout, []byte(Line(i, time.Now())))
		if w.Pause == 0 && i%together != 0 && i < w.Lines {
			continue
		}
		if _, err := out.Write(buf); err != nil {
			return err
		}
		buf = buf[:0]
		if w.Pause > 0 {
			select {
			case <-time.After(w.Pause):
			case <-c.gone:
				return io.ErrClosedPipe
			}
		}
	}
	return nil
}

// flood prints until all other nodes have ended.
func (c *conn) flood(out io.Writer) error {
	chunk := bulk()
	for {
		select {
		case <-c.fleet.calm:
			return nil
		case <-c.gone:
			return io.ErrClosedPipe
		default:
		}
		if _, err := out.Write(chunk); err != nil {
			return err
		}
	}
}

// end notes that a node that does not flood has printed everything.
func (f *Fleet) end(node int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended[node] {
		return // a second push
	}
	f.ended[node] = true
	if len(f.ended) == f.o.Nodes-f.o.Work.Flood {
		close(f.calm)
	}
}

// bulk is a frame of whole lines.
func bulk() []byte {
	line := strings.Repeat("x", bulkLine-1) + "\n"
	text := strings.Repeat(line, chunkSize/bulkLine+1)[:chunkSize]
	return wire.AppendFrame(nil, wire.Stdout, []byte(text))
}
