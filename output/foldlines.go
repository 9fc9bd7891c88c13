package output

import (
	"fmt"
	"sync"
	"time"
)

// The methods of Lines in this file need l.mu.

// await says which nodes may print something from here on.
func (l *Lines) await(names []string) {
	for _, n := range l.nodes {
		n.awaited = false
	}
	for _, name := range names {
		l.node(name).awaited = true
	}
	l.awaited = len(names)
}

// heldLine appends a line that was held back, for all nodes that have printed it.
func (l *Lines) heldLine(h *heldLine) {
	prefix := h.nodes[0].prefix(h.mark)
	if len(h.nodes) > 1 {
		prefix = l.styles.prefix(l.setName(h.nodes), h.mark, l.column)
	}
	if h.mark == markTroops {
		l.ownLine(prefix, h.text, false)
	} else {
		l.buf = append(append(append(l.buf, prefix...), h.text...), '\n')
	}
	if len(l.buf) >= batch {
		l.write()
	}
}

// setName is how the nodes of a line are named: `web-[01-48,50] (49)`. Where names do not fold
// well, and only a few nodes are missing, these are named: `all but db3 (49)`.
func (l *Lines) setName(nodes []*node) string {
	set := foldNodes(nodes)
	if cells(set) > maxColumn {
		in := make(map[*node]bool, len(nodes))
		for _, n := range nodes {
			in[n] = true
		}
		var out []*node
		for _, r := range l.reports {
			if n := l.nodes[r.host]; !in[n] {
				out = append(out, n)
			}
		}
		others := "all"
		if len(out) > 0 {
			others = "all but " + foldNodes(out)
		}
		if cells(others) < cells(set) {
			set = others
		}
	}
	return fmt.Sprintf("%s (%d)", set, len(nodes))
}

func foldNodes(nodes []*node) string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.name
	}
	return Fold(names)
}

// ticks calls a function again and again.
type ticks struct {
	once sync.Once
	done chan struct{}
	wg   sync.WaitGroup
}

func tick(every time.Duration, f func()) *ticks {
	t := &ticks{done: make(chan struct{})}
	t.wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				f()
			case <-t.done:
				return
			}
		}
	})
	return t
}

// stop ends the calls, and waits for the last one.
func (t *ticks) stop() {
	t.once.Do(func() { close(t.done) })
	t.wg.Wait()
}
