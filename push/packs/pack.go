package packs

import (
	"context"
	"fmt"
	"strings"

	"troops/gitcli"
	"troops/push/gitwire"
)

// Flags are what a node cannot make of a pack. The zero value fits any git in use.
type Flags struct {
	NoThin     bool // it does not complete deltas whose bases it has
	NoOfsDelta bool // it does not understand deltas by offset
	Shallow    bool // its history is cut: of a commit it has, it may lack the ancestors
}

// FlagsOf are the flags that a node advertises.
func FlagsOf(adv *gitwire.Advertisement) Flags {
	return Flags{
		NoThin:     adv.Caps.Has("no-thin"),
		NoOfsDelta: !adv.Caps.Has("ofs-delta"),
		Shallow:    len(adv.Shallow) > 0,
	}
}

// HavesOf are the objects that a node advertises to have, by its refs and by alternates. Refs whose
// names isMark takes say something by being there, and hold no history; nil: there are none.
func HavesOf(adv *gitwire.Advertisement, isMark func(ref string) bool) []gitwire.OID {
	oids := make([]gitwire.OID, 0, len(adv.Refs)+len(adv.Have))
	for _, r := range adv.Refs {
		if isMark == nil || !isMark(r.Name) {
			oids = append(oids, r.OID)
		}
	}
	return append(oids, adv.Have...)
}

// Error is a pack that could not be made: every reader's error.
type Error struct {
	Want gitwire.OID
	Err  error // a *gitcli.Error with what git said, or of the spool
}

// Error says which pack and why.
func (e *Error) Error() string { return fmt.Sprintf("packs: making the pack of %s: %v", e.Want, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Open returns a reader of a pack of the objects that want has and a node with the objects have
// lacks; haves that the local repository does not know do not count. The pack is made once for
// all nodes with the same need, and may still be in the making. No haves: the whole history.
// A node that has want gets a valid pack without objects. ctx bounds the reader, too.
func (s *Store) Open(ctx context.Context, want gitwire.OID, have []gitwire.OID, flags Flags) (*Pack, error) {
	if !want.Valid() {
		return nil, fmt.Errorf("packs: opening a pack: %q is no object name", string(want))
	}
	f, err := s.frontier(ctx, want, have, flags.Shallow)
	if err != nil {
		return nil, err
	}
	if flags.Shallow && !f.sure {
		f.edge = nil // what lies behind the node's own commits may not be there
	}
	flags.NoThin = flags.NoThin || flags.Shallow || len(f.edge) == 0
	sp, err := s.group(want, f.edge, flags)
	if err != nil {
		return nil, err
	}
	return &Pack{ctx: ctx, spool: sp, closed: make(chan struct{})}, nil
}

// group finds the pack of all nodes with the same need, or begins it.
func (s *Store) group(want gitwire.OID, edge []gitwire.OID, flags Flags) (*spool, error) {
	key := fmt.Sprintf("%v %v %v", want, flags, edge)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	sp, ok := s.groups[key]
	if !ok {
		sp = &spool{}
		s.groups[key] = sp
		s.running.Go(func() { s.fill(sp, want, edge, flags) })
	}
	return sp, nil
}

// fill makes a pack and ends with its spool finished.
func (s *Store) fill(sp *spool, want gitwire.OID, edge []gitwire.OID, flags Flags) {
	err := s.packObjects(sp, want, edge, flags)
	switch {
	case err == nil:
		s.mu.Lock()
		s.stats.Bytes += sp.length()
		s.mu.Unlock()
	case s.ctx.Err() != nil:
		err = context.Cause(s.ctx)
	default:
		err = &Error{Want: want, Err: err}
	}
	sp.finish(err)
}

// packObjects runs git with its output going to sp; a few at a time.
func (s *Store) packObjects(sp *spool, want gitwire.OID, edge []gitwire.OID, flags Flags) error {
	select {
	case s.packSlots <- struct{}{}:
		defer func() { <-s.packSlots }()
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	args := s.packArgs(flags)
	cmd := s.repo.Command(s.ctx, args...)
	if !s.partial { // a fetch of missing objects may have to ask for a password, in the foreground
		ownGroup(cmd)
	}
	var stderr head
	sink := &spoolWriter{spool: sp}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(revs(want, edge)), sink, &stderr
	s.mu.Lock()
	s.stats.PackObjects++
	s.mu.Unlock()
	err := cmd.Run()
	if sink.err != nil { // git only saw a closed pipe
		return sink.err
	}
	if err != nil {
		return &gitcli.Error{Args: args, Stderr: stderr.String(), Err: err}
	}
	return nil
}

func (s *Store) packArgs(flags Flags) []string {
	args := []string{"pack-objects", "--stdout", "--revs", "-q"}
	if !flags.NoThin {
		args = append(args, "--thin")
	}
	if !flags.NoOfsDelta {
		args = append(args, "--delta-base-offset")
	}
	if len(s.shallow) > 0 {
		args = append(args, "--shallow")
	}
	if flags.Shallow {
		// With bitmaps git leaves out all that the node's commits ever reached, also behind its cut.
		args = append(args, "--no-use-bitmap-index")
	}
	return args
}

// spoolWriter remembers why the spool failed.
type spoolWriter struct {
	spool *spool
	err   error
}

func (w *spoolWriter) Write(p []byte) (int, error) {
	n, err := w.spool.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}
