package nodeside

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// MaxFetch is how many bytes a remote may send at once, where receive.maxInputSize of the node's
// repository, which limits pushes, says nothing.
const MaxFetch = 2 << 30

// unfinishedAge is when a file that git was writing is given up: nothing takes that long.
const unfinishedAge = 24 * time.Hour

// maxFetch is how many bytes a remote may send at once; 0 is no limit.
func (l Layout) maxFetch(ctx context.Context) int64 {
	line, err := l.git().Line(ctx, "config", "--type=int", "--get", "receive.maxInputSize")
	if err != nil { // mostly since it is not set
		return MaxFetch
	}
	most, err := strconv.ParseInt(line, 10, 64)
	if err != nil || most < 0 {
		return MaxFetch
	}
	return most
}

// diedOfSize is what git says where a program of its own got SIGXFSZ.
const diedOfSize = "died of signal 25"

// limitFiles has the shell start a command with a limit to the size of the files that it and what
// it starts may write: git has none for fetching. A lower limit, which the shell cannot raise, stays.
func limitFiles(cmd *exec.Cmd, most int64) {
	if most <= 0 {
		return
	}
	const block = 512 // bytes, the unit of ulimit in POSIX
	script := "ulimit -f " + strconv.FormatInt((most+block-1)/block, 10) + ` 2>/dev/null; exec "$@"`
	cmd.Args = append([]string{"sh", "-c", script, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
}

// unfinished lists the packs in the repository that git has begun to write. Pushes write elsewhere.
func (l Layout) unfinished() map[string]time.Time {
	found := make(map[string]time.Time)
	dir := filepath.Join(l.Repo(), "objects", "pack")
	entries, _ := os.ReadDir(dir) // where it cannot be read, there is nothing to remove
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), "tmp_") && info.Mode().IsRegular() {
			found[filepath.Join(dir, e.Name())] = info.ModTime()
		}
	}
	return found
}

// removeUnfinished removes what fetches that were broken off have left: git itself does after two
// weeks, by when a pull every few minutes may have filled the disk. Who fetches and who collects
// garbage have the pull's lock. Other files that were there before stay for a day.
func (l Layout) removeUnfinished(before map[string]time.Time, now time.Time) {
	for path, changed := range l.unfinished() {
		if _, old := before[path]; !old || now.Sub(changed) > unfinishedAge {
			_ = os.Remove(path) // the next pull tries again
		}
	}
}
