// Package deployment deploys one checked-out commit on this machine: it makes the
// virtualenv that requirements.txt asks for and runs deploy.py in it, or runs an
// executable called deploy where there is no deploy.py.
//
// It knows nothing of git, queues and logs: a node's run calls [EnsureVenv] and
// [Deploy] for its last two phases, and [Local] does both for a person's directory.
package deployment

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// Spec says what is to be deployed, and where what it says goes.
type Spec struct {
	Checkout    string // directory with the commit's files
	Venvs       string // directory of virtualenvs, made if need be; shared by all runs
	Run         string // the run's id, a ULID: part of names, and TROOPS_RUN
	Commit      string // TROOPS_COMMIT; not set where empty
	Hostname    string // TROOPS_HOSTNAME; where empty the machine's own name is taken
	ReportFile  string // where the Python module leaves the active roles; empty: no report is asked for
	Env         []string
	Check       bool          // run the checks that deploy.py has instead of deploying
	Stdout      io.Writer     // of pip and of the deployment; *os.File is handed to them as it is
	Stderr      io.Writer     // likewise. Both are written to at the same time
	Note        func(string)  // takes lines by troops, without line feed; may be nil
	VenvTimeout time.Duration // how long making a virtualenv may take; 0: [VenvTimeout]

	foreground            bool          // stay in the terminal's process group, so that sudo can ask there
	killDelay, drainDelay time.Duration // instead of KillDelay and DrainDelay, for tests
}

// The programs that a deployment begins with.
const (
	script     = "deploy.py"
	executable = "deploy"
)

// ErrNothing is wrapped by the error about a checkout that has neither deploy.py
// nor an executable deploy.
var ErrNothing = errors.New("nothing to deploy")

var runID = regexp.MustCompile(`^[0-9A-Za-z]+$`)

// maxRunID is the longest id of a run, in bytes.
const maxRunID = 64

// program finds what is to be run: script or executable.
func (s Spec) program() (string, error) {
	if len(s.Run) > maxRunID || !runID.MatchString(s.Run) {
		return "", fmt.Errorf("deployment: %q is no id of a run", s.Run)
	}
	if fi, err := os.Stat(filepath.Join(s.Checkout, script)); err == nil && fi.Mode().IsRegular() {
		return script, nil
	}
	fi, err := os.Stat(filepath.Join(s.Checkout, executable))
	switch {
	case err != nil || !fi.Mode().IsRegular():
		return "", fmt.Errorf("deployment: %w: no deploy.py and no executable deploy at the top", ErrNothing)
	case fi.Mode()&0o111 == 0:
		return "", fmt.Errorf("deployment: %w: deploy is not executable: git update-index --chmod=+x deploy", ErrNothing)
	}
	return executable, nil
}

func (s Spec) note(format string, args ...any) {
	if s.Note != nil {
		s.Note(fmt.Sprintf(format, args...))
	}
}

func (s Spec) env() []string {
	if s.Env == nil {
		return CleanEnv()
	}
	return s.Env
}

// ExitError is a program that ended badly.
type ExitError struct {
	Command string // deploy.py, deploy, pip install, ...
	Code    int    // its exit code; 0 where a signal ended it
	Signal  string // the signal's name, such as "killed" or "segmentation fault"
}

// Error says how it ended, in one line.
func (e *ExitError) Error() string {
	switch e.Signal {
	case "":
		return fmt.Sprintf("%s exited %d", e.Command, e.Code)
	case "killed":
		return fmt.Sprintf("%s: killed (out of memory?)", e.Command)
	}
	return fmt.Sprintf("%s: ended by signal: %s", e.Command, e.Signal)
}
