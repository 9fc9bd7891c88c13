package nodeside

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// MaxFetch is how many bytes a remote may send at once, where receive.maxInputSize of the node's
// repository, which limits pushes, says nothing.
const MaxFetch = 2 << 30

// maxSaid is how many bytes git may print of what a remote says: one that lists so many refs, or
// has so much to tell, means harm.
const maxSaid = 4 << 20

// errSaidTooMuch ends a git that prints more than [maxSaid].
var errSaidTooMuch = fmt.Errorf("it says more than %d bytes", maxSaid)

// sayings are what git prints in one stream; over is called where that is too much.
type sayings struct {
	strings.Builder
	over context.CancelCauseFunc
}

// Write implements [io.Writer].
func (s *sayings) Write(p []byte) (int, error) {
	if s.Len()+len(p) > maxSaid {
		s.over(errSaidTooMuch)
		return 0, errSaidTooMuch
	}
	return s.Builder.Write(p)
}

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
