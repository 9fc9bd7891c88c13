package nodeside

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// diskTroubles are the ways in which a disk takes nothing more, in the words of the system that
// git repeats, and what to do about them.
var diskTroubles = []struct {
	is   error
	says string
	hint string
}{
	{unix.ENOSPC, "No space left on device", "make room on the node (df -h, df -i)"},
	{unix.EDQUOT, "isk quota exceeded", "make room on the node, or raise the quota"},
	{unix.EROFS, "Read-only file system", "look on the node why it is mounted read-only (dmesg)"},
	{unix.EIO, "Input/output error", "look on the node what its disk has (dmesg)"},
}

// wayOut adds to an error what to do about a disk that took nothing more, if it was that.
func wayOut(err error) error {
	for _, d := range diskTroubles {
		if errors.Is(err, d.is) || strings.Contains(err.Error(), d.says) {
			return fmt.Errorf("%w: %s", err, d.hint)
		}
	}
	return err
}
