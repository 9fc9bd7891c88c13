// Package runlog keeps what a node knows of one run, in a directory: its record (a
// [wire.Result], replaced atomically), its log (frames), and a lock that the run's
// process holds as long as it lives. Followers read all three while the run goes on;
// they need no right to write. docs/protocol.md is the reference.
package runlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"

	"troops/nodeside/wire"
)

// Modes of what is made here: the group, where the parent directory gives one, reads.
const (
	DirMode  = 0o750
	FileMode = 0o640
)

const (
	recordName = "record.json"
	logName    = "log"
	aliveName  = "alive"
	reportName = "report"
	spareName  = "spare"
	cancelName = "cancelled"
)

// spareSize is what a run keeps of the disk until it ends: enough for its record, and for
// git to move a branch, where a deployment or its log has filled the disk.
const spareSize = 64 << 10

// Dir is the directory of one run; its last element is the run's ULID.
type Dir string

// Log is the path of the run's log.
func (d Dir) Log() string { return filepath.Join(string(d), logName) }

// Alive is the path of the file whose flock the run's process holds.
func (d Dir) Alive() string { return filepath.Join(string(d), aliveName) }

// Report is the path of the file in which the deployment reports its roles.
func (d Dir) Report() string { return filepath.Join(string(d), reportName) }

// SetCancelled leaves a note for the run's process that somebody wants it to end.
func (d Dir) SetCancelled(by string) error {
	err := renameio.WriteFile(filepath.Join(string(d), cancelName), []byte(by), FileMode, renameio.WithTempDir(string(d)))
	if err != nil {
		return fmt.Errorf("runlog: cancelling run %s: %w", filepath.Base(string(d)), err)
	}
	return nil
}

// Cancelled reports whether somebody wants the run to end, and who.
func (d Dir) Cancelled() (by string, ok bool) {
	b, err := os.ReadFile(filepath.Join(string(d), cancelName))
	return string(b), err == nil
}

// Release gives back what the run kept of the disk for its last steps.
func (d Dir) Release() {
	// What cannot be removed is not needed: those steps find out whether there is room.
	_ = os.Remove(filepath.Join(string(d), spareName))
}

// Record reads the run's record. A run that does not exist is fs.ErrNotExist.
func (d Dir) Record() (wire.Result, error) {
	r, err := d.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r, err = d.read() // it may have been overwritten in place just then
	}
	if err != nil {
		return r, fmt.Errorf("runlog: record of run %s: %w", filepath.Base(string(d)), err)
	}
	return r, nil
}

func (d Dir) read() (r wire.Result, err error) {
	f, err := os.Open(filepath.Join(string(d), recordName))
	if err != nil {
		return r, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, wire.MaxResult+1))
	if err != nil {
		return r, err
	}
	return wire.ParseResult(b)
}

// SetRecord replaces the run's record, and returns when it is on the disk. On a full disk
// the old record is overwritten in place instead: a result must not be lost for want of a
// block, and a record has always fitted in the one that it has.
func (d Dir) SetRecord(r wire.Result) error {
	b, err := encode(r)
	if err != nil {
		return err
	}
	if r.State.Final() {
		d.Release()
	}
	path := filepath.Join(string(d), recordName)
	// Not renameio's default directory: /tmp would give the file another group.
	err = renameio.WriteFile(path, b, FileMode, renameio.WithTempDir(string(d)))
	if full(err) {
		err = overwrite(path, b)
	}
	if err == nil {
		err = syncDir(string(d))
	}
	if err != nil {
		return fmt.Errorf("runlog: writing the record of run %s: %w", r.Run, err)
	}
	return nil
}

// encode gives r as JSON that [wire.ParseResult] takes: roles that would make it too
// long are left out.
func encode(r wire.Result) ([]byte, error) {
	r.Error, r.LogError = oneLine(r.Error), oneLine(r.LogError)
	b, err := json.Marshal(r)
	if err == nil && len(b) > wire.MaxResult {
		r.Roles, r.Reported = nil, false
		b, err = json.Marshal(r)
	}
	if err != nil {
		return nil, fmt.Errorf("runlog: encoding the record of run %s: %w", r.Run, err)
	}
	return b, nil
}

// oneLine makes s fit for a field that is one line for people, at most 1000 bytes.
func oneLine(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\uFFFD")
	const limit = 1000
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + " [cut]"
	}
	return s
}

func full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

// overwrite writes b over the file in one call, padded so that nothing of a longer old
// record is left: readers find JSON, before and after.
func overwrite(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if pad := int(info.Size()) - len(b); pad > 0 {
		b = append(b, strings.Repeat(" ", pad)...)
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Sync()
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Create makes the directory of run r.Run below runs, whole at once: with its record, a
// log that holds the notes, and its lock taken by the returned file. A run that exists
// already is fs.ErrExist.
func Create(runs string, r wire.Result, notes ...string) (Dir, *os.File, error) {
	dir, alive, err := create(runs, r, notes)
	if err != nil {
		return "", nil, fmt.Errorf("runlog: making run %s: %w", r.Run, err)
	}
	return dir, alive, nil
}

func create(runs string, r wire.Result, notes []string) (dir Dir, alive *os.File, err error) {
	final := filepath.Join(runs, r.Run)
	if _, err := os.Lstat(final); err == nil {
		return "", nil, os.ErrExist
	}
	tmp, err := os.MkdirTemp(runs, newPrefix)
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(tmp)
			if alive != nil {
				alive.Close()
			}
		}
	}()
	if err = os.Chmod(tmp, DirMode|os.ModeSetgid); err != nil {
		return "", nil, err
	}
	if alive, err = os.OpenFile(Dir(tmp).Alive(), os.O_RDWR|os.O_CREATE|os.O_EXCL, FileMode); err != nil {
		return "", nil, err
	}
	if err = Lock(alive); err != nil {
		return "", nil, err
	}
	var log []byte
	for _, n := range notes {
		log = wire.AppendFrame(log, wire.Note, []byte(n))
	}
	if err = os.WriteFile(Dir(tmp).Log(), log, FileMode); err != nil {
		return "", nil, err
	}
	if err = os.WriteFile(filepath.Join(tmp, spareName), make([]byte, spareSize), FileMode); err != nil {
		return "", nil, err
	}
	if r.State.Final() {
		r.LogBytes = int64(len(log))
	}
	if err = Dir(tmp).SetRecord(r); err != nil {
		return "", nil, err
	}
	// A directory is never renamed over one that has files, so two runs of the same
	// name do not mix.
	if err = os.Rename(tmp, final); err != nil {
		return "", nil, err
	}
	return Dir(final), alive, syncDir(runs)
}

// newPrefix begins the names of runs that are being made; no ULID begins so.
const newPrefix = ".new-"

// RemoveUnmade removes what is left of runs that were being made when their maker was
// killed. None may be in the making.
func RemoveUnmade(runs string) error {
	entries, err := os.ReadDir(runs)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), newPrefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(runs, e.Name())))
		}
	}
	if err != nil {
		return fmt.Errorf("runlog: removing what is left of runs: %w", err)
	}
	return nil
}

// List reads the records of all runs below runs, in no order. Directories that are no
// runs, or have no readable record, are left out.
func List(runs string) (map[Dir]wire.Result, error) {
	entries, err := os.ReadDir(runs)
	if err != nil {
		return nil, fmt.Errorf("runlog: listing runs: %w", err)
	}
	all := make(map[Dir]wire.Result, len(entries))
	for _, e := range entries {
		dir := Dir(filepath.Join(runs, e.Name()))
		if r, err := dir.Record(); err == nil && r.Run == e.Name() {
			all[dir] = r
		}
	}
	return all, nil
}
