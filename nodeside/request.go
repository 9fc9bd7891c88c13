package nodeside

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/oklog/ulid/v2"
)

// MaxRequest is the longest request that start reads, in bytes.
const MaxRequest = 16 << 10

// Request asks for a run. The hook, which is the pusher's process, gives it to start,
// which is root's: start believes nothing of it.
type Request struct {
	Run    string `json:"run"`              // ULID
	Commit string `json:"commit"`           // object name, hexadecimal
	Branch string `json:"branch"`           // refs/heads/...
	Host   string `json:"host,omitempty"`   // [user@]name[:port], the name by which the workstation knows the node
	By     string `json:"by,omitempty"`     // who asks, for people
	Check  bool   `json:"check,omitempty"`  // run the checks of the deployed commit, and deploy nothing
	Rerun  bool   `json:"rerun,omitempty"`  // deploy the commit again where it is deployed already
	Force  string `json:"force,omitempty"`  // object name: the deployed commit that may be taken away
	Cancel bool   `json:"cancel,omitempty"` // end run Run; the other fields but By are empty
	Pull   bool   `json:"pull,omitempty"`   // find out the commit from the node's remotes; Commit and Branch are empty
	Now    bool   `json:"now,omitempty"`    // with Pull: somebody wants it now, however often the commit has failed

	told string // lines for the beginning of the run's log
}

// ParseRequest reads one request, and checks every field by its grammar. Host is the name
// alone in what it returns.
func ParseRequest(r io.Reader) (Request, error) {
	var q Request
	b, err := io.ReadAll(io.LimitReader(r, MaxRequest+1))
	if err != nil {
		return q, fmt.Errorf("nodeside: reading the request: %w", err)
	}
	if len(b) > MaxRequest {
		return q, fmt.Errorf("nodeside: the request is longer than %d bytes", MaxRequest)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return q, fmt.Errorf("nodeside: malformed request: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return q, fmt.Errorf("nodeside: malformed request: more than one object")
	}
	return q, q.check()
}

func (q *Request) check() error {
	switch {
	case !validRun(q.Run):
		return fmt.Errorf("nodeside: request: %q is no run, which has a ULID", q.Run)
	case !validBy(q.By):
		return fmt.Errorf("nodeside: request: %q does not say who asks", q.By)
	case q.Pull && *q == (Request{Run: q.Run, By: q.By, Host: q.Host, Pull: true, Now: q.Now}):
		return q.checkHost()
	case q.Pull, q.Now:
		return errors.New("nodeside: request: to pull takes a run's name, a host and who asks, nothing else")
	case q.Cancel && *q == Request{Run: q.Run, By: q.By, Cancel: true}:
		return nil
	case q.Cancel:
		return errors.New("nodeside: request: to cancel a run takes nothing but its name")
	case !oidPattern.MatchString(q.Commit):
		return fmt.Errorf("nodeside: request: %q is no object name", q.Commit)
	case !validBranch(q.Branch):
		return fmt.Errorf("nodeside: request: %q is no branch, such as refs/heads/master", q.Branch)
	case q.Force != "" && !oidPattern.MatchString(q.Force):
		return fmt.Errorf("nodeside: request: %q is no object name of a commit to take away", q.Force)
	case q.Check && (q.Rerun || q.Force != ""):
		return errors.New("nodeside: request: checks deploy nothing, so nothing again and nothing by force")
	}
	return q.checkHost()
}

// checkHost leaves the name alone in Host.
func (q *Request) checkHost() error {
	if q.Host == "" {
		return nil
	}
	name, err := hostName(q.Host)
	if err != nil {
		return fmt.Errorf("nodeside: request: %w", err)
	}
	q.Host = name
	return nil
}

// tell adds a line to the beginning of the run's log.
func (q *Request) tell(line string) {
	if q.told != "" {
		line = q.told + "\n" + line
	}
	q.told = line
}

// notes are the lines for the beginning of the run's log.
func (q *Request) notes() []string {
	if q.told == "" {
		return nil
	}
	return strings.Split(q.told, "\n")
}

// validRun reports whether s is a ULID as ulid prints it. Such a name is safe in paths.
func validRun(s string) bool {
	id, err := ulid.ParseStrict(s)
	return err == nil && id.String() == s
}

var oidPattern = regexp.MustCompile(`^(?:[0-9a-f]{40}|[0-9a-f]{64})$`)

const branchPrefix = "refs/heads/"

// validBranch is git-check-ref-format(1) for refs/heads/, a little stricter.
func validBranch(ref string) bool {
	name, ok := strings.CutPrefix(ref, branchPrefix)
	if !ok || name == "" || len(ref) > 250 || !utf8.ValidString(ref) ||
		strings.ContainsAny(name, " ~^:?*[\\\x7f") || strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return false
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || part[0] == '-' || strings.HasSuffix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

const maxBy = 200

// validBy reports whether s can be shown to people as who asked for a run.
func validBy(s string) bool {
	return len(s) <= maxBy && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// maxHostPart is the longest name of a host or a user, in bytes. The patterns do not count so far: to
// compile one that does takes a millisecond of every start.
const maxHostPart = 253

var (
	namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	ipv6Pattern = regexp.MustCompile(`^[0-9A-Fa-f:.]{2,45}$`)
	portPattern = regexp.MustCompile(`^:[0-9]{1,5}$`)
	userPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._@+-]*$`)
)

// hostName is the name part of a host of the inventory, [user@]name[:port], where an
// address of IP version 6 that has a port stands in brackets.
func hostName(host string) (string, error) {
	name := host
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		if i > maxHostPart || !userPattern.MatchString(name[:i]) {
			return "", fmt.Errorf("host %q: not [user@]name[:port]", host)
		}
		name = name[i+1:]
	}
	pattern, port := namePattern, ""
	if rest, ok := strings.CutPrefix(name, "["); ok {
		pattern = ipv6Pattern
		if name, port, ok = strings.Cut(rest, "]"); !ok {
			name = ""
		}
	} else if strings.Count(name, ":") > 1 {
		pattern = ipv6Pattern
	} else if i := strings.IndexByte(name, ':'); i >= 0 {
		name, port = name[:i], name[i:]
	}
	if len(name) > maxHostPart || !pattern.MatchString(name) || port != "" && !portPattern.MatchString(port) {
		return "", fmt.Errorf("host %q: not [user@]name[:port]", host)
	}
	return name, nil
}
