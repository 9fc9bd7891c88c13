package sshx

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// winners remembers which key a group of hosts took, to offer it first to the next one. While
// nobody knows, one host of the group is the scout: the others wait for what it finds out
// instead of having the same wrong keys refused by every server.
type winners struct {
	mu     sync.Mutex
	groups map[string]*keyGroup
}

// keyGroup is what is known of one group.
type keyGroup struct {
	key     string        // the id of the key that was taken, empty for none yet
	touch   bool          // the key has to be touched
	scouted chan struct{} // closed when the scout has ended, with a key or without
}

func newWinners() *winners { return &winners{groups: make(map[string]*keyGroup)} }

// groupOf names the hosts that probably take the same key: same user, same sources of keys.
func groupOf(s *settings) string {
	return strings.Join(append([]string{s.User, s.IdentityAgent, fmt.Sprint(s.IdentitiesOnly)}, s.IdentityFiles...), "\x00")
}

// enter begins to offer keys to a host of a group. The first one to come is the scout, and must
// call leave; the others wait until scouted is closed.
func (w *winners) enter(group string) (scouted <-chan struct{}, leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if g, ok := w.groups[group]; ok {
		return g.scouted, nil
	}
	g := &keyGroup{scouted: make(chan struct{})}
	w.groups[group] = g
	return g.scouted, sync.OnceFunc(func() { close(g.scouted) })
}

// set remembers the key that a host has taken.
func (w *winners) set(group string, k candidate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g, ok := w.groups[group]
	if !ok { // nobody had a choice
		g = &keyGroup{scouted: make(chan struct{})}
		close(g.scouted)
		w.groups[group] = g
	}
	g.key, g.touch = k.id(), k.touch()
}

// touched reports whether the hosts of a group take a key that has to be touched.
func (w *winners) touched(group string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	g, ok := w.groups[group]
	return ok && g.touch
}

// first moves the remembered key to the front.
func (w *winners) first(group string, keys []candidate) []candidate {
	w.mu.Lock()
	var id string
	if g, ok := w.groups[group]; ok {
		id = g.key
	}
	w.mu.Unlock()
	i := slices.IndexFunc(keys, func(k candidate) bool { return k.id() == id })
	if id == "" || i <= 0 {
		return keys
	}
	won := keys[i]
	return slices.Insert(slices.Delete(slices.Clone(keys), i, i+1), 0, won)
}
