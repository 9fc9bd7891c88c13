package runlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Lock takes the exclusive flock of f, however long that takes. The lock belongs to the
// open file: closing it, or the end of all processes that have it, frees it (flock(2)).
func Lock(f *os.File) error {
	if err := flock(f, unix.LOCK_EX); err != nil {
		return fmt.Errorf("runlog: locking %s: %w", f.Name(), err)
	}
	return nil
}

// TryLock takes the exclusive flock of f where it is free, and reports whether it did.
func TryLock(f *os.File) (bool, error) {
	err := flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("runlog: locking %s: %w", f.Name(), err)
	}
	return true, nil
}

// Held reports whether a process holds the exclusive flock of the file; of a file that is
// not there none does. Readers may ask: it takes no right to write.
func Held(path string) (bool, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = flock(f, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
