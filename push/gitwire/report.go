package gitwire

import (
	"errors"
	"strings"
)

// Report is what the server says of a push (report-status and report-status-v2).
type Report struct {
	Unpack   string      // "ok", or why the pack could not be stored
	Refs     []RefStatus // one for each command, in the request's order
	Complete bool        // the server ended in good order: its hooks' output is whole, too
}

// RefStatus is what became of one command.
type RefStatus struct {
	Ref      string      // as in the command
	OK       bool        // done, or taken over by the server's proc-receive hook
	Reason   string      // why not: hostile text, at most 4 KiB
	Reported bool        // false where the server did not say a word about it; OK is false then
	Updates  []RefUpdate // what the server did instead of the command, from its option lines
}

// RefUpdate is a change that a proc-receive hook made in place of a command. Fields that the
// server did not send are empty: as in the command.
type RefUpdate struct {
	Ref    string
	Old    OID
	New    OID
	Forced bool
}

// OK reports whether the server stored the pack and did all commands.
func (r *Report) OK() bool { return r.Err() == nil }

// Err is nil where all went well, else [*UnpackError], or a [*RejectedError] for every ref that
// was not done, joined.
func (r *Report) Err() error {
	if r.Unpack != "ok" {
		return &UnpackError{Reason: r.Unpack}
	}
	var errs []error
	for _, s := range r.Refs {
		if !s.OK {
			errs = append(errs, &RejectedError{Ref: s.Ref, Reason: s.Reason})
		}
	}
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

const (
	doingReport   = "reading report"
	noStatus      = "server did not report on it"
	maxUpdates    = 64      // option groups kept of one ref
	maxReportSize = 8 << 20 // bytes of report that are read
)

// reportParser takes the report as it comes on band 1: pkt-lines, cut anywhere.
type reportParser struct {
	report Report
	index  map[string]int // command's ref to its place in report.Refs
	buf    []byte         // the packet that is not whole yet, with its header
	total  int
	begun  bool // the unpack line has been read
	done   bool // the flush has been read
	last   *RefStatus
	ref    bool // a status line has been read: options may follow
	update bool // the last status has an update that options go to
}

func newReportParser(cmds []Command) *reportParser {
	p := &reportParser{index: make(map[string]int, len(cmds))}
	p.report.Refs = make([]RefStatus, len(cmds))
	for i, c := range cmds {
		p.report.Refs[i] = RefStatus{Ref: c.Ref, Reason: noStatus}
		p.index[c.Ref] = i
	}
	return p
}

// feed takes the next bytes of band 1.
func (p *reportParser) feed(b []byte) error {
	if p.total += len(b); p.total > maxReportSize {
		return &ProtocolError{doingReport, "it has no end"}
	}
	for len(b) > 0 {
		if p.done {
			return &ProtocolError{doingReport, "more after its end"}
		}
		if len(p.buf) < headerLen {
			n := min(len(b), headerLen-len(p.buf))
			p.buf, b = append(p.buf, b[:n]...), b[n:]
			if len(p.buf) < headerLen {
				return nil
			}
		}
		size, ok := hexLen(p.buf)
		if !ok || size > 0 && size < headerLen || size > maxPacket {
			return &ProtocolError{doingReport, errHeader(p.buf[:headerLen]).Error()}
		}
		n := min(len(b), max(0, size-len(p.buf)))
		p.buf, b = append(p.buf, b[:n]...), b[n:]
		if len(p.buf) < size {
			return nil
		}
		if err := p.packet(size); err != nil {
			return err
		}
		p.buf = p.buf[:0]
	}
	return nil
}

// packet takes the packet in buf; size 0 is the flush.
func (p *reportParser) packet(size int) error {
	if size > 0 {
		return p.line(strings.TrimSuffix(string(p.buf[headerLen:]), "\n"))
	}
	if !p.begun {
		return &ProtocolError{doingReport, "it is empty"}
	}
	p.done = true
	return nil
}

func (p *reportParser) line(s string) error {
	word, rest, _ := strings.Cut(s, " ")
	switch {
	case !p.begun && word == "unpack" && rest != "":
		p.begun = true
		p.report.Unpack = clip(rest)
		return nil
	case p.begun && word == "ok":
		p.status(rest, true, "")
		return nil
	case p.begun && word == "ng":
		ref, reason, _ := strings.Cut(rest, " ")
		if reason == "" {
			reason = "no reason given"
		}
		p.status(ref, false, clip(reason))
		return nil
	case p.ref && word == "option":
		key, value, _ := strings.Cut(rest, " ")
		return p.option(key, value)
	}
	return &ProtocolError{doingReport, "unexpected line " + quoteShort([]byte(s))}
}

// status notes an ok or ng line. A ref that nobody asked for is skipped, with its options, as git
// does. One that has failed stays failed whatever is said of it later.
func (p *reportParser) status(ref string, ok bool, reason string) {
	p.ref, p.update, p.last = true, false, nil
	i, known := p.index[ref]
	if !known {
		return
	}
	p.last = &p.report.Refs[i]
	if p.last.Reported && !p.last.OK {
		return
	}
	p.last.Reported, p.last.OK, p.last.Reason = true, ok, reason
}

// option notes an option line of the last status; unknown keys are skipped, as git does.
func (p *reportParser) option(key, value string) error {
	var u RefUpdate
	switch key {
	case "refname":
		if !ValidRef(value) {
			return &ProtocolError{doingReport, quoteShort([]byte(value)) + " is no name of a ref"}
		}
		u.Ref = value
	case "old-oid", "new-oid":
		if !OID(value).Valid() {
			return &ProtocolError{doingReport, quoteShort([]byte(value)) + " is no object name"}
		}
		if u.Old = OID(value); key == "new-oid" {
			u.Old, u.New = "", OID(value)
		}
	case "forced-update":
		u.Forced = true
	default:
		return nil
	}
	p.merge(u)
	return nil
}

// merge adds what u has to the update of the last status, which begins with its first option.
func (p *reportParser) merge(u RefUpdate) {
	if p.last == nil || !p.update && len(p.last.Updates) == maxUpdates {
		return
	}
	if !p.update {
		p.update = true
		p.last.Updates = append(p.last.Updates, RefUpdate{})
	}
	last := &p.last.Updates[len(p.last.Updates)-1]
	if u.Ref != "" {
		last.Ref = u.Ref
	}
	if u.Old != "" {
		last.Old = u.Old
	}
	if u.New != "" {
		last.New = u.New
	}
	last.Forced = last.Forced || u.Forced
}
