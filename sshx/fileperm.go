package sshx

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// checkOwner is ssh's rule for files that decide about trust: owned by root or the user,
// and without the mode bits of forbidden.
func checkOwner(st fs.FileInfo, forbidden fs.FileMode) error {
	if uid := ownerOf(st); uid > 0 && uid != os.Getuid() {
		return fmt.Errorf("bad owner: it belongs to uid %d, neither to you nor to root", uid)
	}
	if bad := st.Mode().Perm() & forbidden; bad != 0 {
		return fmt.Errorf("bad permissions %04o: remove those of others with `chmod %04o`", st.Mode().Perm(), st.Mode().Perm()&^forbidden)
	}
	return nil
}

// ownerOf gives the uid of a file's owner, -1 where the system does not tell.
func ownerOf(st fs.FileInfo) int {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return int(sys.Uid)
	}
	return -1
}

// plainPathError drops operation and path of an *fs.PathError, which the caller names.
func plainPathError(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// plainNetError drops what an *net.OpError repeats of the address.
func plainNetError(err error) error {
	var oe *net.OpError
	if errors.As(err, &oe) {
		err = oe.Err
	}
	var se *os.SyscallError
	if errors.As(err, &se) {
		err = se.Err
	}
	return err
}
