package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// StatusPreface is the first line that `node status` prints; a [NodeStatus] in JSON follows, on
// one line. What comes before it is noise of the node's shell start-up files.
const StatusPreface = statusWord + Version + "\n"

// MaxStatus is the longest status that is read, in bytes, without its preface.
const MaxStatus = 1 << 20

// MaxActive is how many runs that have not ended a status lists.
const MaxActive = 10

// NodeStatus is a node's own account of itself. Fields are only ever added; readers ignore
// what they do not know.
type NodeStatus struct {
	Troops string    `json:"troops"`           // version
	Host   string    `json:"host,omitempty"`   // the name that the last push gave it
	Branch string    `json:"branch,omitempty"` // that it deploys: refs/heads/...; empty before the first push
	Commit string    `json:"commit,omitempty"` // deployed, empty before the first
	Since  time.Time `json:"since,omitzero"`   // when the run of that commit ended, where its record is still there
	By     string    `json:"by,omitempty"`     // who asked for that run
	Now    time.Time `json:"now"`              // by the node's clock, as all times here
	Last   *Result   `json:"last,omitempty"`   // the run that ended last
	Check  *Result   `json:"check,omitempty"`  // the last run of the deployed commit's checks
	Active []Result  `json:"active,omitempty"` // runs that have not ended, the one that works first; at most [MaxActive]
}

// FindStatus finds in what `node status` has printed the status, after its preface; there is none
// where found is false. The preface of another version is a [*VersionError].
func FindStatus(out []byte) (body []byte, found bool, err error) {
	if _, body, found = bytes.Cut(out, []byte(StatusPreface)); found {
		return body, true, nil
	}
	for line := range bytes.Lines(out) {
		if v := otherVersion(string(line), statusWord); v != nil {
			return nil, false, v
		}
	}
	return nil, false, nil
}

// ParseStatus decodes a status. One that is too long, or no JSON, is an error.
func ParseStatus(b []byte) (NodeStatus, error) {
	var s NodeStatus
	if len(b) > MaxStatus {
		return s, fmt.Errorf("status of %d bytes is longer than %d", len(b), MaxStatus)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("malformed status: %w", err)
	}
	return s, nil
}
