package gitwire

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// RemoteError is what the server said before it gave up: an "ERR " packet or text on the
// fatal band of the sideband.
type RemoteError struct {
	Text string // hostile text, at most 4 KiB
}

// Error says the server's words.
func (e *RemoteError) Error() string { return "gitwire: server gave up: " + inline(e.Text) }

// ProtocolError is bytes of the server that are not the protocol.
type ProtocolError struct {
	Doing  string // "reading advertisement", "reading report"
	Detail string // what was wrong, hostile parts quoted
}

// Error says what was wrong.
func (e *ProtocolError) Error() string {
	return fmt.Sprintf("gitwire: %s: malformed answer of the server: %s", e.Doing, e.Detail)
}

// UnsupportedError is a request that the server cannot serve, found out before anything was sent.
type UnsupportedError struct {
	Capability string // as gitprotocol-capabilities(5) names it, such as "push-options"
	Detail     string // what it is needed for, or what the server has instead
}

// Error names the capability.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("gitwire: server does not support %s: %s", e.Capability, e.Detail)
}

// NoAdvertisementError is a server that ended, or went on talking, without ever speaking git:
// a login shell's message, "command not found", a wrong path.
type NoAdvertisementError struct {
	Noise []byte // what it printed instead, hostile bytes, at most [NoiseLimit]
	Err   error  // io.EOF, a read error, or that the limit was passed
}

// Error quotes the beginning of the noise.
func (e *NoAdvertisementError) Error() string {
	if len(e.Noise) == 0 {
		return fmt.Sprintf("gitwire: reading advertisement: server said nothing: %v", e.Err)
	}
	return fmt.Sprintf("gitwire: reading advertisement: server does not speak git, it said %s: %v", quoteShort(e.Noise), e.Err)
}

// Unwrap gives the cause.
func (e *NoAdvertisementError) Unwrap() error { return e.Err }

// LostError is a push whose connection ended before the server's last word.
type LostError struct {
	// Reported says that the server's report had been read whole: the refs are as it says,
	// only what hooks printed afterwards is missing. Otherwise the refs may have moved or not.
	Reported bool
	Err      error // of reading, of writing, or the context's cause
}

// Error says whether the outcome is known.
func (e *LostError) Error() string {
	if e.Reported {
		return fmt.Sprintf("gitwire: pushing: connection lost after the server had reported: %v", e.Err)
	}
	return fmt.Sprintf("gitwire: pushing: connection lost before the server reported: %v", e.Err)
}

// Unwrap gives the cause.
func (e *LostError) Unwrap() error { return e.Err }

// PackError is a pack that could not be read to its end on this side. The server got a part of
// it, which it refuses.
type PackError struct {
	Err error
}

// Error says why there was no pack.
func (e *PackError) Error() string {
	return fmt.Sprintf("gitwire: reading the pack to send: %v", e.Err)
}

// Unwrap gives the pack reader's error.
func (e *PackError) Unwrap() error { return e.Err }

// UnpackError is a server that could not store the pack. No ref has moved.
type UnpackError struct {
	Reason string // hostile text, such as "index-pack abnormal exit"; details are in the sideband
}

// Error says the reason.
func (e *UnpackError) Error() string {
	return "gitwire: server did not take the pack: " + inline(e.Reason)
}

// RejectedError is a ref that the server did not move.
type RejectedError struct {
	Ref    string // as in the command
	Reason string // hostile text, such as "pre-receive hook declined"
}

// Error names ref and reason.
func (e *RejectedError) Error() string {
	return fmt.Sprintf("gitwire: server rejected %s: %s", e.Ref, inline(e.Reason))
}

const (
	maxText  = 4 << 10 // of server text that is kept in errors and reports
	maxQuote = 512     // of noise that is quoted in an error's text
)

// quoteShort quotes the beginning of hostile bytes for an error's text.
func quoteShort(b []byte) string {
	if len(b) > maxQuote {
		return strconv.Quote(string(b[:maxQuote])) + " [cut]"
	}
	return strconv.Quote(string(b))
}

// inline returns s as it is where it is printable text of one line, else quoted.
func inline(s string) string {
	odd := func(r rune) bool { return !strconv.IsPrint(r) }
	if !utf8.ValidString(s) || strings.ContainsFunc(s, odd) {
		return strconv.Quote(s)
	}
	return s
}

// clip cuts server text to what is kept of it.
func clip(s string) string {
	if len(s) > maxText {
		return strings.Clone(s[:maxText])
	}
	return s
}
