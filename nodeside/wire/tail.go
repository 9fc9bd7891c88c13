package wire

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// The kinds of frames that only `node tail` sends, between those of the logs. Its [Done] ends a
// run, not the stream.
const (
	Omitted  Kind = 'l' // a JSON list of runs that the stream leaves out; the first frame
	Began    Kind = 'n' // a run's [Result] so far; the frames up to the next one are of its log
	CaughtUp Kind = 'c' // nothing: all that there is has been sent, what follows is new
)

// MaxOmitted is how many runs an [Omitted] frame names, and a request: the newest ones. A node
// keeps far fewer.
const MaxOmitted = 1000

// TailRequest is what a workstation asks of `node tail`.
type TailRequest struct {
	Runs   int           // of the runs that have ended, so many are sent, the newest; negative: all
	Since  time.Duration // and only those that ended no longer ago; 0: no bound
	Run    string        // only this run, or the one that it follows
	Once   bool          // what there is now, and no more
	Resume bool          // go on after an earlier request: Runs and Since have been applied then
	At     string        // the run that was being sent when that one broke
	Offset int64         // of At's log: how far it had come, in bytes
	Seen   []string      // runs that are not to be sent
}

// Args is the request as arguments of `node tail`. They are ULIDs, numbers and names of options
// only: words that mean nothing else to a shell. Runs that are no ULIDs are an error.
func (q TailRequest) Args() ([]string, error) {
	args := []string{"--runs=" + strconv.Itoa(q.Runs)}
	if q.Since > 0 {
		args = append(args, "--since="+q.Since.String())
	}
	if q.Once {
		args = append(args, "--once")
	}
	if q.Resume {
		args = append(args, "--resume")
	}
	for _, run := range append([]string{q.Run, q.At}, q.Seen...) {
		if run != "" && !validRun(run) {
			return nil, fmt.Errorf("%.40q is no run", run)
		}
	}
	if q.Run != "" {
		args = append(args, "--run="+q.Run)
	}
	if q.At != "" {
		args = append(args, "--at="+q.At+":"+strconv.FormatInt(q.Offset, 10))
	}
	if n := len(q.Seen); n > 0 {
		args = append(args, "--seen="+strings.Join(q.Seen[max(0, n-MaxOmitted):], ","))
	}
	return args, nil
}

// SetAt reads the value of --at.
func (q *TailRequest) SetAt(s string) error {
	run, offset, _ := strings.Cut(s, ":")
	n, err := strconv.ParseInt(offset, 10, 64)
	if err != nil || n < 0 || !validRun(run) {
		return fmt.Errorf("%.80q is no run with a byte offset", s)
	}
	q.At, q.Offset = run, n
	return nil
}

// SetSeen reads the value of --seen.
func (q *TailRequest) SetSeen(s string) error {
	q.Seen = strings.Split(s, ",")
	return checkRuns(q.Seen)
}

// ParseOmitted decodes the payload of an [Omitted] frame. Anything but a list of at most
// [MaxOmitted] ULIDs is an error: they become part of a command.
func ParseOmitted(b []byte) ([]string, error) {
	var runs []string
	if err := json.Unmarshal(b, &runs); err != nil {
		return nil, fmt.Errorf("malformed list of runs: %w", err)
	}
	return runs, checkRuns(runs)
}

// ParseBegan decodes the payload of a [Began] frame. A run without a ULID is an error: it
// becomes part of a command.
func ParseBegan(b []byte) (Result, error) {
	r, err := ParseResult(b)
	if err == nil && !validRun(r.Run) {
		err = fmt.Errorf("malformed result: %.40q is no run", r.Run)
	}
	return r, err
}

func checkRuns(runs []string) error {
	if len(runs) > MaxOmitted {
		return fmt.Errorf("%d runs are more than %d", len(runs), MaxOmitted)
	}
	for _, run := range runs {
		if !validRun(run) {
			return fmt.Errorf("%.40q is no run", run)
		}
	}
	return nil
}

// validRun reports whether s is a ULID as ulid prints it.
func validRun(s string) bool {
	id, err := ulid.ParseStrict(s)
	return err == nil && id.String() == s
}
