package output

import (
	"cmp"
	"maps"
	"slices"
	"sort"
	"time"
)

const (
	// FoldAbove is how many nodes a rollout has at most whose lines are not folded where the
	// user did not ask for either.
	FoldAbove = 20

	// foldJoin is how long after a line's first node others may join it, and foldHold how long
	// it is held back. The difference is for lines that come before it for a later node: they
	// are shown no later, and have been open to others for a while themselves.
	foldJoin = time.Second
	foldHold = 2 * foldJoin

	// foldTick is how often held lines are looked at.
	foldTick = foldJoin / 10

	// foldLines and foldBytes bound what is held back. Beyond them the oldest lines are shown early.
	foldLines = 8192
	foldBytes = 8 << 20

	// foldMoves is how many lines may be moved for one to be folded.
	foldMoves = 64
)

// folder holds lines back for a short while, and shows those once that several nodes print.
//
// The held lines are in one order, which keeps that of each node's own lines. A line of a node
// joins an equal one that comes after the node's last, or can be made to; else it is put right
// behind the node's last, where what other nodes have printed since comes after it. A line is shown
// together with all that come before it for one of its nodes, and with no others: so no node
// waits for a slow one, and each node's lines are shown in its order. Where all nodes have
// printed a line, it is shown at once, and so is what was between them and it.
type folder struct {
	show  func(*heldLine)         // prints a line
	equal map[foldKey][]*heldLine // each in the order
	first *heldLine               // in the order, nil for none
	queue []*heldLine             // by age; shown ones are dropped when they get to the front
	held  int                     // lines
	bytes int                     // their text
}

// foldKey is what lines have in common that are shown as one.
type foldKey struct {
	phase string
	mark  mark
	text  string
}

// heldLine is a line that some nodes have printed.
type heldLine struct {
	foldKey
	nodes      []*node
	since      time.Time
	rank       uint64 // grows along the order
	prev, next *heldLine
	before     map[*heldLine]bool // held lines that must be shown first
	shown      bool
}

// rankGap is the distance between ranks of lines that are put at the end.
const rankGap = 1 << 32

func newFolder(show func(*heldLine)) *folder {
	return &folder{show: show, equal: make(map[foldKey][]*heldLine)}
}

// add takes a line of a node. Where all that may print it have done so, it is shown.
func (f *folder) add(n *node, k foldKey, all int, now time.Time) {
	last := n.held
	if last != nil && last.shown {
		last = nil
	}
	l := f.find(k, last, now)
	if l == nil {
		l = &heldLine{foldKey: k, since: now}
		f.insert(l, last)
		f.queue = append(f.queue, l)
		f.held++
		f.bytes += len(k.text)
	}
	l.nodes = append(l.nodes, n)
	if last != nil {
		if l.before == nil {
			l.before = make(map[*heldLine]bool)
		}
		l.before[last] = true
	}
	n.held = l
	if len(l.nodes) == all {
		f.release(l)
	}
	for f.held > foldLines || f.bytes > foldBytes {
		f.release(f.oldest())
	}
}

// find returns the line to join: the next equal one after last that is young enough, or the one
// before last where the order can be changed for it.
func (f *folder) find(k foldKey, last *heldLine, now time.Time) *heldLine {
	same := f.equal[k]
	next := 0
	if last != nil {
		next = after(same, last.rank)
	}
	for _, l := range same[next:] {
		if now.Sub(l.since) <= foldJoin {
			return l
		}
	}
	if next > 0 && now.Sub(same[next-1].since) <= foldJoin && f.putBehind(same[next-1], last) {
		return same[next-1]
	}
	return nil
}

// putBehind changes the order so that l comes after last, which now comes after it: last and all
// that must be shown before it go in front of l. It fails where l is of these, or they are many.
func (f *folder) putBehind(l, last *heldLine) bool {
	move := last.needs(l.rank, foldMoves)
	if len(move) > foldMoves || slices.Contains(move, l) {
		return false
	}
	for _, h := range move {
		f.unlink(h)
		f.insert(h, l.prev)
	}
	return true
}

// needs returns l and the lines that must be shown before it, in the order: those of a rank of
// at least least, and hardly more than limit.
func (l *heldLine) needs(least uint64, limit int) []*heldLine {
	found := map[*heldLine]bool{l: true}
	for todo := []*heldLine{l}; len(todo) > 0 && len(found) <= limit; { // a recursion could be as deep as there are lines
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for b := range h.before {
			if !b.shown && b.rank >= least && !found[b] {
				found[b] = true
				todo = append(todo, b)
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b *heldLine) int { return cmp.Compare(a.rank, b.rank) })
}

// after is the index of the first line whose rank is higher.
func after(lines []*heldLine, rank uint64) int {
	return sort.Search(len(lines), func(i int) bool { return lines[i].rank > rank })
}

// insert puts l behind last, or first of all.
func (f *folder) insert(l, last *heldLine) {
	next := f.first
	if last != nil {
		next = last.next
	}
	l.prev, l.next = last, next
	if last == nil {
		f.first = l
	} else {
		last.next = l
	}
	if next != nil {
		next.prev = l
	}
	if !l.rankBetween(last, next) {
		rank := uint64(rankGap)
		for h := f.first; h != nil; h = h.next {
			h.rank = rank
			rank += rankGap
		}
	}
	same := f.equal[l.foldKey]
	f.equal[l.foldKey] = slices.Insert(same, after(same, l.rank), l)
}

// unlink takes l out of the order.
func (f *folder) unlink(l *heldLine) {
	if l.prev == nil {
		f.first = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	}
	l.prev, l.next = nil, nil
	same := f.equal[l.foldKey]
	i := after(same, l.rank) - 1
	if f.equal[l.foldKey] = slices.Delete(same, i, i+1); len(same) == 1 {
		delete(f.equal, l.foldKey)
	}
}

// rankBetween gives l a rank of its own, and reports whether there was room for one.
func (l *heldLine) rankBetween(last, next *heldLine) bool {
	var low uint64
	if last != nil {
		low = last.rank
	}
	if next == nil {
		l.rank = low + rankGap
		return l.rank > low
	}
	l.rank = low + (next.rank-low)/2
	return l.rank > low
}

// oldest is the line that is held longest.
func (f *folder) oldest() *heldLine {
	for len(f.queue) > 0 && f.queue[0].shown {
		f.queue[0] = nil
		f.queue = f.queue[1:]
	}
	if len(f.queue) == 0 {
		return nil
	}
	return f.queue[0]
}

// expire shows the lines that have been held long enough.
func (f *folder) expire(now time.Time) {
	for l := f.oldest(); l != nil && now.Sub(l.since) >= foldHold; l = f.oldest() {
		f.release(l)
	}
}

// releaseNode shows all lines of a node that are held.
func (f *folder) releaseNode(n *node) {
	if n.held != nil {
		f.release(n.held)
	}
}

// releaseAll shows all lines.
func (f *folder) releaseAll() {
	for f.first != nil {
		f.release(f.first)
	}
}

// release shows a line after those that come before it for one of its nodes.
func (f *folder) release(l *heldLine) {
	if l.shown {
		return
	}
	for _, h := range l.needs(0, f.held) {
		f.unlink(h)
		h.shown, h.before = true, nil
		f.held--
		f.bytes -= len(h.text)
		f.show(h)
	}
}
