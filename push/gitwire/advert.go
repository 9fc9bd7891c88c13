package gitwire

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Limits on an advertisement, far above what a repository in use has (`.have` lines count as refs).
const (
	MaxRefs               = 1 << 18
	MaxAdvertisementBytes = 64 << 20
)

// Ref is a ref of the server and the object it points to.
type Ref struct {
	Name string // valid by [ValidRef], hostile text otherwise
	OID  OID
}

// Advertisement is what the server says it has before it is asked for anything.
type Advertisement struct {
	Version      int    // of the protocol, 0 or 1
	Refs         []Ref  // in the server's order; empty for an empty repository
	Have         []OID  // objects it can reach through alternates (".have"), in its order
	Shallow      []OID  // where the history that it has ends
	Caps         Caps   // what it can do
	ObjectFormat string // SHA1 or SHA256
	Noise        []byte // what was printed before the first packet, at most [NoiseLimit] hostile bytes
}

// Ref finds a ref by its full name.
func (a *Advertisement) Ref(name string) (OID, bool) {
	for _, r := range a.Refs {
		if r.Name == name {
			return r.OID, true
		}
	}
	return "", false
}

// Caps are a server's capabilities as it listed them: "name" or "name=value".
type Caps []string

// Has reports whether the capability name was listed, with or without a value.
func (c Caps) Has(name string) bool {
	_, ok := c.Value(name)
	return ok
}

// Value is the first value of the capability name, empty where it has none.
func (c Caps) Value(name string) (value string, ok bool) {
	for _, s := range c {
		if k, v, _ := strings.Cut(s, "="); k == name {
			return v, true
		}
	}
	return "", false
}

const doingAdv = "reading advertisement"

// ReadAdvertisement reads what receive-pack says first, and returns the session that goes on
// from there. r is the server's standard output. Where r is an io.Closer, closing it must end
// the whole connection: unblock a Read and a Write that wait for the server. That is done when
// ctx ends early and when the server does not keep to the protocol; never otherwise.
//
// Errors: [*NoAdvertisementError], [*RemoteError], [*ProtocolError], [*UnsupportedError], or one
// that wraps the error of reading or the context's cause.
func ReadAdvertisement(ctx context.Context, r io.Reader) (*Session, *Advertisement, error) {
	s := &Session{r: r, pk: packets{bufio.NewReaderSize(r, readBuffer)}, grace: HangUpGrace}
	release := onCancel(ctx, s.hangUp)
	defer release()
	adv, err := s.readAdvertisement()
	if err == nil {
		s.adv = adv
		return s, adv, nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("gitwire: %s: %w", doingAdv, context.Cause(ctx))
	}
	return nil, nil, err
}

func (s *Session) readAdvertisement() (*Advertisement, error) {
	noise, err := skipNoise(s.pk.br)
	if err != nil {
		return nil, err
	}
	p := advParser{adv: &Advertisement{Noise: noise}}
	for total := 0; ; {
		n, flush, err := s.pk.header()
		if err != nil {
			return nil, advReadError(err)
		}
		if flush {
			return p.finish()
		}
		if total += n; total > MaxAdvertisementBytes {
			return nil, &ProtocolError{doingAdv, fmt.Sprintf("longer than %d bytes", MaxAdvertisementBytes)}
		}
		line, err := s.pk.text(n)
		if err != nil {
			return nil, advReadError(err)
		}
		if err := p.line(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, err
		}
	}
}

func advReadError(err error) error {
	var bad errHeader
	if errors.As(err, &bad) {
		return &ProtocolError{doingAdv, bad.Error()}
	}
	return fmt.Errorf("gitwire: %s: connection lost: %w", doingAdv, unexpected(err))
}

// advParser takes an advertisement line by line.
type advParser struct {
	adv     *Advertisement
	lines   int  // taken so far
	caps    bool // the line with the capabilities has been seen
	noRefs  bool // it was the placeholder of an empty repository
	shallow bool // a shallow line has been seen: no more refs
}

func (p *advParser) line(s string) error {
	p.lines++
	if text, ok := strings.CutPrefix(s, "ERR "); ok {
		return &RemoteError{Text: clip(text)}
	}
	if v, ok := strings.CutPrefix(s, "version "); ok && p.lines == 1 {
		if v != "1" {
			return &UnsupportedError{"protocol version 0 or 1", "server speaks version " + quoteShort([]byte(v))}
		}
		p.adv.Version = 1
		return nil
	}
	if !p.caps {
		if err := p.capabilities(&s); err != nil {
			return err
		}
	}
	s, _, _ = strings.Cut(s, "\x00")
	if oid, ok := strings.CutPrefix(s, "shallow "); ok {
		return p.addShallow(oid)
	}
	return p.ref(s)
}

// capabilities takes them off the first ref's line.
func (p *advParser) capabilities(s *string) error {
	ref, caps, ok := strings.Cut(*s, "\x00")
	if !ok {
		return &ProtocolError{doingAdv, "no capabilities in its first line " + quoteShort([]byte(*s))}
	}
	p.caps = true
	p.adv.Caps = slices.Clip(strings.Fields(caps))
	p.adv.ObjectFormat = SHA1
	if f, ok := p.adv.Caps.Value("object-format"); ok {
		if f != SHA1 && f != SHA256 {
			return &UnsupportedError{"object-format", "server's repository is of format " + quoteShort([]byte(f))}
		}
		p.adv.ObjectFormat = f
	}
	*s = ref
	return nil
}

// oid checks an object name of the server, which is not to be the zero one.
func (p *advParser) oid(s string) (OID, error) {
	o := OID(s)
	if !o.Valid() || o.Format() != p.adv.ObjectFormat || o.IsZero() {
		return "", &ProtocolError{doingAdv, fmt.Sprintf("%s is no object name of format %s", quoteShort([]byte(s)), p.adv.ObjectFormat)}
	}
	return o, nil
}

func (p *advParser) addShallow(s string) error {
	p.shallow = true
	o, err := p.oid(s)
	if err != nil {
		return err
	}
	p.adv.Shallow = append(p.adv.Shallow, o)
	return p.checkCount()
}

func (p *advParser) ref(s string) error {
	name := ""
	if i := strings.IndexByte(s, ' '); i >= 0 {
		s, name = s[:i], s[i+1:]
	}
	if p.shallow || p.noRefs {
		return &ProtocolError{doingAdv, "ref " + quoteShort([]byte(name)) + " after the last one"}
	}
	if name == "capabilities^{}" && OID(s) == ZeroOID(p.adv.ObjectFormat) && len(p.adv.Refs)+len(p.adv.Have) == 0 {
		p.noRefs = true
		return nil
	}
	o, err := p.oid(s)
	if err != nil {
		return err
	}
	switch {
	case name == ".have":
		p.adv.Have = append(p.adv.Have, o)
	case name == "HEAD" || ValidRef(name):
		p.adv.Refs = append(p.adv.Refs, Ref{name, o})
	default:
		return &ProtocolError{doingAdv, quoteShort([]byte(name)) + " is no name of a ref"}
	}
	return p.checkCount()
}

func (p *advParser) checkCount() error {
	if len(p.adv.Refs)+len(p.adv.Have)+len(p.adv.Shallow) > MaxRefs {
		return &ProtocolError{doingAdv, fmt.Sprintf("more than %d refs", MaxRefs)}
	}
	return nil
}

func (p *advParser) finish() (*Advertisement, error) {
	if !p.caps {
		return nil, &ProtocolError{doingAdv, "it has no capabilities"}
	}
	return p.adv, nil
}
