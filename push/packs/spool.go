package packs

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// memoryLimit is the size up to which a pack stays in memory: that of a commit or two is a few
// kilobytes, and there may be a hundred groups. A larger one goes to a file.
const memoryLimit = 1 << 20

// spool holds the bytes of one pack while one goroutine writes it and any number read it.
type spool struct {
	mu     sync.Mutex
	memory []byte        // all of it, while file is nil; what is written is never changed
	file   *os.File      // unlinked
	size   int64         // written so far
	done   bool          // no more to come, or failed
	err    error         // why it failed
	wake   chan struct{} // closed at the next change; nil while nobody waits
}

// Write adds to the pack. Only one goroutine may write.
func (s *spool) Write(p []byte) (int, error) {
	s.mu.Lock()
	if s.file == nil && s.size+int64(len(p)) <= memoryLimit {
		s.memory = append(s.memory, p...)
		s.grown(len(p))
		s.mu.Unlock()
		return len(p), nil
	}
	err := s.spill()
	file, at := s.file, s.size
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := file.WriteAt(p, at) // without the lock: readers do not look beyond size
	s.mu.Lock()
	s.grown(n)
	s.mu.Unlock()
	if err != nil {
		return n, spoolError(err)
	}
	return n, nil
}

func spoolError(err error) error {
	return fmt.Errorf("spooling in %s: %w; set TMPDIR to a directory with more space", os.TempDir(), err)
}

// spill moves the pack from memory to a file. The caller holds mu.
func (s *spool) spill() error {
	if s.file != nil {
		return nil
	}
	f, err := os.CreateTemp("", "troops-pack-*")
	if err != nil {
		return spoolError(err)
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return spoolError(err)
	}
	if _, err := f.WriteAt(s.memory, 0); err != nil {
		_ = f.Close()
		return spoolError(err)
	}
	s.file, s.memory = f, nil
	return nil
}

// grown and changed: the caller holds mu.
func (s *spool) grown(n int) {
	s.size += int64(n)
	s.changed()
}

func (s *spool) changed() {
	if s.wake != nil {
		close(s.wake)
		s.wake = nil
	}
}

// length is how much has been written so far.
func (s *spool) length() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// finish says that the pack is whole, or why it never will be.
func (s *spool) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.err = true, err
	s.changed()
}

// free closes the file. Readers that are not done get ErrClosed.
func (s *spool) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		_ = s.file.Close() // unlinked, and nobody wants its content any more
	}
	if s.err == nil {
		s.done, s.err = true, ErrClosed
	}
	s.changed()
}

// view is what a reader finds at its offset: one of memory, file and size, wake, or err is set.
type view struct {
	memory []byte          // the bytes there are from the offset on
	file   *os.File        // where they are
	end    int64           // of those in the file
	wake   <-chan struct{} // nothing yet: closed when there is
	err    error           // io.EOF at the end of a whole pack
}

func (s *spool) at(off int64) view {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil: // a broken pack is of no use, not even the part that is there
		return view{err: s.err}
	case off < s.size && s.file != nil:
		return view{file: s.file, end: s.size}
	case off < s.size:
		return view{memory: s.memory[off:s.size]}
	case s.done:
		return view{err: io.EOF}
	}
	return view{wake: s.waiting()}
}

// waiting returns the channel of the next change. The caller holds mu.
func (s *spool) waiting() <-chan struct{} {
	if s.wake == nil {
		s.wake = make(chan struct{})
	}
	return s.wake
}

// state returns the size so far, and until the pack is whole or has failed the channel to wait for.
func (s *spool) state() (size int64, wake <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return s.size, nil, s.err
	}
	return s.size, s.waiting(), nil
}
