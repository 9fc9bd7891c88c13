package sshx

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// knownWriter is a known_hosts file that is open to add to, and locked: no other process of
// ours writes to it meanwhile. What is in the file when it is opened has been read.
type knownWriter struct {
	known   *knownFile
	file    *os.File
	regular bool // not such as /dev/null, which gives nothing back

	unfinished bool // its last line has no line feed
}

// openKnown opens a file, made with mode 0600 where it is missing. Like ssh it makes no
// directory but ~/.ssh.
func openKnown(known *knownFile, home string) (*knownWriter, error) {
	if dir := filepath.Join(home, ".ssh"); strings.HasPrefix(known.path, dir+"/") {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	f, err := os.OpenFile(known.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	w := &knownWriter{known: known, file: f}
	if err := w.lock(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// lock waits for the file, and reads what others have added.
func (w *knownWriter) lock() error {
	st, err := w.file.Stat()
	if err != nil {
		return err
	}
	if w.regular = st.Mode().IsRegular(); !w.regular {
		return nil
	}
	if err := unix.Flock(int(w.file.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("locking it: %w", err)
	}
	var data bytes.Buffer
	data.Grow(int(st.Size()) + bytes.MinRead)
	if _, err := data.ReadFrom(w.file); err != nil {
		return err
	}
	w.known.refresh(data.Bytes())
	w.unfinished = data.Len() > 0 && data.Bytes()[data.Len()-1] != '\n'
	return nil
}

// add appends the line of a key in one write, on a line of its own.
func (w *knownWriter) add(name string, key ssh.PublicKey, hashed bool) error {
	var salt []byte
	if hashed {
		salt = make([]byte, sha1.Size)
		rand.Read(salt) // never fails
	}
	text := formatKnownLine(name, salt, key)
	if w.unfinished {
		text = "\n" + text
	}
	if _, err := w.file.WriteString(text); err != nil {
		return err
	}
	if w.regular {
		w.known.added(text, w.unfinished)
		w.unfinished = false
	}
	return nil
}

// close unlocks the file, too.
func (w *knownWriter) close() { w.file.Close() }
