package gitwire

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// Command asks the server to move one ref. The server compares Old with what it has when it
// comes to it, and rejects the command where they differ.
type Command struct {
	Ref string // full name
	Old OID    // the value the server advertised; zero to create
	New OID    // zero to delete
}

// Request is one push.
type Request struct {
	Commands []Command // one or more, each of another ref
	Options  []string  // push options, for the server's hooks; no line feeds
	Shallow  []OID     // where the local history ends, for a shallow local repository
	Atomic   bool      // all refs or none
	Verbose  bool      // let the server count objects on the sideband
	Agent    string    // who asks, such as "troops/1.0"; may be empty

	// Pack holds the objects that the server lacks. Push reads it to its end and closes it,
	// whatever happens; Close must end a Read that waits. It may be nil where all commands delete.
	Pack io.ReadCloser
}

// encode checks the request against what the server can do and returns all that is to be sent
// before the pack.
func (r *Request) encode(adv *Advertisement) ([]byte, error) {
	if err := r.check(adv); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := pktline.NewEncoder(&b)
	for _, o := range r.Shallow {
		if err := enc.Encodef("shallow %s", o); err != nil {
			return nil, badRequest("%v", err)
		}
	}
	for i, c := range r.Commands {
		line := fmt.Sprintf("%s %s %s", c.Old, c.New, c.Ref)
		if i == 0 {
			line += "\x00 " + strings.Join(r.caps(adv), " ")
		}
		if err := enc.EncodeString(line); err != nil {
			return nil, badRequest("%v", err)
		}
	}
	if err := enc.Flush(); err != nil {
		return nil, badRequest("%v", err)
	}
	if len(r.Options) == 0 {
		return b.Bytes(), nil
	}
	if err := enc.EncodeString(r.Options...); err != nil {
		return nil, badRequest("%v", err)
	}
	if err := enc.Flush(); err != nil {
		return nil, badRequest("%v", err)
	}
	return b.Bytes(), nil
}

// caps lists the capabilities to use, all of them among those of the server.
func (r *Request) caps(adv *Advertisement) []string {
	caps := []string{"report-status"}
	if adv.Caps.Has("report-status-v2") {
		caps[0] = "report-status-v2"
	}
	caps = append(caps, "side-band-64k")
	if !r.Verbose && adv.Caps.Has("quiet") {
		caps = append(caps, "quiet")
	}
	if r.Atomic {
		caps = append(caps, "atomic")
	}
	if len(r.Options) > 0 {
		caps = append(caps, "push-options")
	}
	if adv.Caps.Has("object-format") {
		caps = append(caps, "object-format="+adv.ObjectFormat)
	}
	if r.Agent != "" && adv.Caps.Has("agent") {
		caps = append(caps, "agent="+r.Agent)
	}
	return caps
}

// sendsPack reports whether the protocol has a pack follow the commands.
func (r *Request) sendsPack() bool {
	for _, c := range r.Commands {
		if !c.New.IsZero() {
			return true
		}
	}
	return false
}

func (r *Request) check(adv *Advertisement) error {
	if err := r.checkCaps(adv.Caps); err != nil {
		return err
	}
	if len(r.Commands) == 0 {
		return badRequest("no commands")
	}
	refs := make(map[string]bool, len(r.Commands))
	for _, c := range r.Commands {
		if err := c.check(adv); err != nil {
			return err
		}
		if refs[c.Ref] {
			return badRequest("two commands for %s", c.Ref)
		}
		refs[c.Ref] = true
	}
	if r.sendsPack() && r.Pack == nil {
		return badRequest("no pack")
	}
	for _, o := range r.Options {
		if o == "" || strings.ContainsAny(o, "\n\x00") {
			return badRequest("push option %q is empty or has a line feed or NUL", o)
		}
	}
	for _, o := range r.Shallow {
		if !o.Valid() {
			return badRequest("shallow %q is no object name", o)
		}
	}
	if strings.ContainsFunc(r.Agent, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return badRequest("agent %q is not printable ASCII without spaces", r.Agent)
	}
	return nil
}

func (r *Request) checkCaps(caps Caps) error {
	switch {
	case !caps.Has("report-status") && !caps.Has("report-status-v2"):
		return &UnsupportedError{"report-status", "it could not tell whether a push went well"}
	case !caps.Has("side-band-64k"):
		return &UnsupportedError{"side-band-64k", "it could not tell its report from what its hooks print"}
	case r.Atomic && !caps.Has("atomic"):
		return &UnsupportedError{"atomic", "it cannot move all refs or none"}
	case len(r.Options) > 0 && !caps.Has("push-options"):
		return &UnsupportedError{"push-options", "set receive.advertisePushOptions in its repository"}
	}
	return nil
}

func (c Command) check(adv *Advertisement) error {
	switch {
	case !ValidRef(c.Ref):
		return badRequest("%q is no full name of a ref", c.Ref)
	case !c.Old.Valid() || !c.New.Valid():
		return badRequest("%s: from %q to %q: no object names", c.Ref, c.Old, c.New)
	case c.Old.IsZero() && c.New.IsZero():
		return badRequest("%s: neither an old nor a new object", c.Ref)
	case c.Old.Format() != adv.ObjectFormat || c.New.Format() != adv.ObjectFormat:
		return &UnsupportedError{"object-format", fmt.Sprintf("server's repository is %s, the commit is %s", adv.ObjectFormat, c.New.Format())}
	case c.New.IsZero() && !adv.Caps.Has("delete-refs"):
		return &UnsupportedError{"delete-refs", "it cannot delete " + c.Ref}
	}
	return nil
}

// badRequest is a mistake of the caller.
func badRequest(format string, args ...any) error {
	return fmt.Errorf("gitwire: request: "+format, args...)
}
