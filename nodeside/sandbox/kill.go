package sandbox

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"troops/nodeside/wire"
)

// kill asks the run whose directory is given to end; it takes its deployment's processes
// along (SIGTERM to a run, docs/protocol.md). The record is of a node that we made.
func kill(runDir string) {
	b, err := os.ReadFile(filepath.Join(runDir, "record.json"))
	if err != nil {
		return
	}
	if rec, err := wire.ParseResult(b); err == nil && rec.Pid > 1 {
		unix.Kill(rec.Pid, unix.SIGTERM)
	}
}
