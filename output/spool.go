package output

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// spoolMemory is how many bytes of a node's lines are kept in memory; more go to a file.
const spoolMemory = 64 << 10

// spool keeps whole lines until they are wanted. The zero value is empty.
type spool struct {
	mem  []byte
	file *os.File // removed already; nil while all is in mem
	err  error    // of writing: what came since is lost
	lost int      // lines
}

func (s *spool) empty() bool { return len(s.mem) == 0 && s.file == nil && s.err == nil }

// add keeps whole lines.
func (s *spool) add(lines []byte) {
	if s.err == nil && len(s.mem)+len(lines) > spoolMemory {
		s.err = s.drain()
	}
	if s.err != nil {
		s.lost += bytes.Count(lines, []byte("\n"))
		return
	}
	s.mem = append(s.mem, lines...)
}

// drain writes what is in memory to the file.
func (s *spool) drain() (err error) {
	if s.file == nil {
		if s.file, err = os.CreateTemp("", "troops-output-*"); err != nil {
			return err
		}
		if err := os.Remove(s.file.Name()); err != nil {
			return err
		}
	}
	if _, err := s.file.Write(s.mem); err != nil {
		return err
	}
	s.mem = s.mem[:0]
	return nil
}

// take hands all lines to f, some at a time, and empties the spool. An error says that lines
// are missing.
func (s *spool) take(f func(lines []byte)) error {
	defer func() { *s = spool{} }()
	if s.file != nil {
		defer s.file.Close()
		if err := s.readBack(f); err != nil {
			return fmt.Errorf("reading lines back: %w", err)
		}
	}
	f(s.mem)
	if s.err != nil {
		return fmt.Errorf("%s could not be kept: %w", count(s.lost, "line"), s.err)
	}
	return nil
}

func (s *spool) readBack(f func(lines []byte)) error {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	buf := make([]byte, batch)
	for kept := 0; ; {
		n, err := s.file.Read(buf[kept:])
		end := bytes.LastIndexByte(buf[:kept+n], '\n') + 1
		f(buf[:end])
		kept = copy(buf, buf[end:kept+n])
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
