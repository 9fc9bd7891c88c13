package nodeside

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWayOut(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{&os.PathError{Op: "mkdir", Path: "x", Err: unix.ENOSPC}, "df -i"},
		{errors.New("remote origin: fatal: write error: No space left on device fatal: index-pack failed"), "df -h"},
		{fmt.Errorf("writing: %w", unix.EDQUOT), "quota"},
		{errors.New("unable to create: Disk quota exceeded"), "raise the quota"},
		{fmt.Errorf("opening: %w", unix.EROFS), "read-only (dmesg)"},
		{fmt.Errorf("syncing: %w", unix.EIO), "dmesg"},
	} {
		got := wayOut(test.err)
		hint, ok := strings.CutPrefix(got.Error(), test.err.Error()+": ")
		if !ok || !strings.Contains(hint, test.want) || !errors.Is(got, test.err) {
			t.Errorf("%v: %v, want %q", test.err, got, test.want)
		}
	}
	if err := errors.New("pip install exited 1"); wayOut(err) != err {
		t.Errorf("a hint that does not fit: %v", wayOut(err))
	}
}
