package wire

import (
	"encoding/json"
	"fmt"
	"time"
)

// State is how far a run is, or how it ended.
type State string

// The states of a run. Queued and Running are the only ones that change.
const (
	Queued      State = "queued"      // waits for the node's lock
	Running     State = "running"     // holds the lock
	OK          State = "ok"          // deployed, the branch has moved
	Current     State = "current"     // the branch was there already when its turn came
	Failed      State = "failed"      // a phase failed, the branch is where it was
	Refused     State = "refused"     // not a fast-forward of the branch when its turn came
	Superseded  State = "superseded"  // a later descendant is deployed instead
	Joined      State = "joined"      // a run of the same commit was there already: see Other
	Interrupted State = "interrupted" // its process ended without a word: reboot, kill, out of memory
	Cancelled   State = "cancelled"   // somebody had it end, see Error; the branch is where it was
	Absent      State = "absent"      // no state of a run: the node was asked to cancel one that it does not have
)

// Final reports whether the run has ended.
func (s State) Final() bool { return s != Queued && s != Running && s != "" }

// Result is a run as the node records it (record.json) and reports it (the last frame).
// Fields are only ever added; readers ignore what they do not know.
type Result struct {
	Run      string    `json:"run"`                 // ULID
	Commit   string    `json:"commit"`              // object name, hexadecimal
	Branch   string    `json:"branch"`              // refs/heads/...
	State    State     `json:"state"`               //
	Phase    string    `json:"phase,omitempty"`     // the last phase that began, or log where its log could not be written
	ExitCode int       `json:"exit_code,omitempty"` // of the process that failed the phase
	Signal   string    `json:"signal,omitempty"`    // the signal that ended it, such as "killed"
	Error    string    `json:"error,omitempty"`     // one line, for people
	By       string    `json:"by,omitempty"`        // who asked for the run
	Host     string    `json:"host,omitempty"`      // the name deploy.py saw as troops.hostname()
	Roles    []string  `json:"roles,omitempty"`     // active when deploy.py ended, sorted
	Other    string    `json:"other,omitempty"`     // the run or commit that this one gave way to
	Queued   time.Time `json:"queued"`              //
	Started  time.Time `json:"started,omitzero"`    // the lock was taken
	Ended    time.Time `json:"ended,omitzero"`      //
	LogBytes int64     `json:"log_bytes,omitempty"` // length of the whole log, once ended
	LogError string    `json:"log_error,omitempty"` // why the log is not whole
	Pid      int       `json:"pid,omitempty"`       // of the run's process on the node
	Reported bool      `json:"reported,omitempty"`  // Roles were reported by the Python module
	Check    bool      `json:"check,omitempty"`     // it deployed nothing: it ran the checks of what is deployed
	Rerun    bool      `json:"rerun,omitempty"`     // it deploys again what is deployed already
	Force    string    `json:"force,omitempty"`     // the deployed commit that it may take away, for one that is no descendant
}

// MaxResult is the longest result that is read, in bytes.
const MaxResult = MaxPayload

// ParseResult decodes a result. A result that is too long, is no JSON or has no state is an error.
func ParseResult(b []byte) (Result, error) {
	var r Result
	if len(b) > MaxResult {
		return r, fmt.Errorf("result of %d bytes is longer than %d", len(b), MaxResult)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("malformed result: %w", err)
	}
	if r.State == "" {
		return r, fmt.Errorf("malformed result: no state")
	}
	return r, nil
}
