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

// fileBlock is the unit of ulimit in POSIX, in bytes.
const fileBlock = 512

// inBlocks is how many blocks have so many bytes.
func inBlocks(most int64) int64 { return (most + fileBlock - 1) / fileBlock }

// limitFiles has the shell start a command with a limit to the size of the files that it and what
// it starts may write: git has none for fetching. A lower limit, which the shell cannot raise, stays.
func limitFiles(cmd *exec.Cmd, most int64) {
	if most <= 0 {
		return
	}
	script := "ulimit -f " + strconv.FormatInt(inBlocks(most), 10) + ` 2>/dev/null; exec "$@"`
	cmd.Args = append([]string{"sh", "-c", script, "sh", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
}

// tooLarge reports whether a pack ended where the limit is. Git does not say what became of the
// program that wrote it.
func (f *fetcher) tooLarge() bool {
	for _, info := range f.l.unfinished() {
		if f.most > 0 && info.Size() >= inBlocks(f.most)*fileBlock {
			return true
		}
	}
	return false
}

// unfinished lists the packs in the repository that git has begun to write. Pushes write elsewhere.
func (l Layout) unfinished() map[string]os.FileInfo {
	found := make(map[string]os.FileInfo)
	dir := filepath.Join(l.Repo(), "objects", "pack")
	entries, _ := os.ReadDir(dir) // where it cannot be read, there is nothing to remove
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasPrefix(e.Name(), "tmp_") && info.Mode().IsRegular() {
			found[filepath.Join(dir, e.Name())] = info
		}
	}
	return found
}

// removeUnfinished removes what fetches that were broken off have left: git itself does after two
// weeks, by when a pull every few minutes may have filled the disk. Who fetches and who collects
// garbage have the pull's lock. Other files that were there before stay for a day.
func (l Layout) removeUnfinished(before map[string]os.FileInfo, now time.Time) {
	for path, info := range l.unfinished() {
		if _, old := before[path]; !old || now.Sub(info.ModTime()) > unfinishedAge {
			_ = os.Remove(path) // the next pull tries again
		}
	}
}
