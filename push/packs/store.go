// Package packs makes the packs of a push, each once for all nodes that lack the same objects.
//
// Nodes are grouped by what they have of the history of the commit to push. The local git
// (gitcli) compares histories and makes one pack for each group; the pack is spooled once and
// any number of readers follow it while it grows, each in constant memory.
package packs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"troops/gitcli"
	"troops/push/gitwire"
)

const (
	// MaxPackObjects is how many packs are made at once: each takes a processor and memory.
	MaxPackObjects = 2
	// MaxQueries is how many questions on history are asked of git at once.
	MaxQueries = 4
	// MaxHaves is how many objects of a node are told to pack-objects, the newest ones.
	MaxHaves = 256
)

// ErrClosed is the error of a store that has been closed.
var ErrClosed = errors.New("packs: store is closed")

// Store answers for one local repository what a node has of it, and makes packs. It is safe for
// concurrent use. Its answers are remembered: it is made for one push and closed after it.
type Store struct {
	repo    gitcli.Repo
	known   Known
	ctx     context.Context // ends with Close; every child process is bound to it
	cancel  context.CancelCauseFunc
	format  string
	shallow []gitwire.OID
	partial bool
	objects *objects

	packSlots  chan struct{}
	querySlots chan struct{}
	relations  *memo[[2]gitwire.OID, Relation]
	frontiers  *memo[string, frontier]

	mu      sync.Mutex
	closed  bool
	groups  map[string]*spool // by what nodes lack
	stats   Stats
	running sync.WaitGroup // goroutines begun by start
}

// Stats counts what a store has done.
type Stats struct {
	Groups      int   // different packs asked for
	PackObjects int   // pack-objects processes started
	Bytes       int64 // of all packs made so far
}

// Known is what a caller knows already, and git need not be asked. The zero value is nothing.
type Known struct {
	Layout gitcli.Layout
	Commit gitwire.OID // the commit to push
	Parent gitwire.OID // its parent, where it has one only: what most nodes are at
}

// Open opens a store on a repository. Its child processes end with ctx, or with [Store.Close],
// which must be called in any case.
func Open(ctx context.Context, repo gitcli.Repo, known Known) (*Store, error) {
	s := &Store{
		repo: repo.AsNamed(), known: known, packSlots: make(chan struct{}, MaxPackObjects), querySlots: make(chan struct{}, MaxQueries),
		groups: make(map[string]*spool),
	}
	s.relations = newMemo[[2]gitwire.OID, Relation](s)
	s.frontiers = newMemo[string, frontier](s)
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	if err := s.inspect(); err != nil {
		s.cancel(err)
		return nil, fmt.Errorf("packs: reading the local repository: %w", err)
	}
	s.objects = newObjects(s.ctx, s.repo, s.format, known)
	return s, nil
}

// inspect finds out what kind of repository it is.
func (s *Store) inspect() (err error) {
	at := s.known.Layout
	if at == (gitcli.Layout{}) {
		if at, err = s.repo.Layout(s.ctx); err != nil {
			return err
		}
	}
	s.format = at.ObjectFormat
	b, err := os.ReadFile(at.Shallow)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for line := range strings.Lines(string(b)) {
		oid, err := gitwire.ParseOID(strings.TrimSpace(line))
		if err != nil {
			return fmt.Errorf("%s: %w", at.Shallow, err)
		}
		s.shallow = append(s.shallow, oid)
	}
	entries, err := os.ReadDir(at.Packs)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	// What a partial clone was sent is marked so: gitrepository-layout(5), partial-clone.
	s.partial = slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasSuffix(e.Name(), ".promisor") })
	return nil
}

// ObjectFormat is the repository's: gitwire.SHA1 or gitwire.SHA256.
func (s *Store) ObjectFormat() string { return s.format }

// Shallow is where the local history ends, for [gitwire.Request]; empty where it is whole.
func (s *Store) Shallow() []gitwire.OID { return s.shallow }

// Partial reports whether the repository is a partial clone: making a pack may fetch objects.
func (s *Store) Partial() bool { return s.partial }

// Stats returns the counts up to now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Groups = len(s.groups)
	return st
}

// start runs f in a goroutine that Close waits for.
func (s *Store) start(f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.running.Go(f)
	return nil
}

// Close ends all child processes, waits for them and frees the spooled packs. Readers that are
// not at their end get [ErrClosed].
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel(ErrClosed)
	s.running.Wait()
	s.objects.close()
	for _, sp := range s.groups { // nobody adds to it any more
		sp.free()
	}
	return nil
}

// query runs a git command that reads history; a few at a time.
func (s *Store) query(stdin string, args ...string) (string, error) {
	select {
	case s.querySlots <- struct{}{}:
		defer func() { <-s.querySlots }()
	case <-s.ctx.Done():
		return "", context.Cause(s.ctx)
	}
	out, err := s.repo.Run(s.ctx, strings.NewReader(stdin), args...)
	if err != nil && s.ctx.Err() != nil {
		return "", context.Cause(s.ctx)
	}
	return string(out), err
}
