// Package wire is what a node says of a run: the frames of its log and its result.
//
// The node writes a run's log as frames, and `attach` copies that file from a byte
// offset on, so a follower that lost its connection goes on where it stopped. The
// workstation reads the same frames. docs/protocol.md is the reference.
package wire

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"
)

// AdvertisedRef is the ref by which a bare repository says that it is a troops node.
const AdvertisedRef = VersionRefPrefix + Version

// DeployedRef is the node's symbolic ref to the branch it deploys: its value is
// the last commit that was deployed successfully, absent before the first.
const DeployedRef = "refs/troops/deployed"

// RunRefPrefix, followed by a ULID, is the ref whose creation asks the node for a run.
const RunRefPrefix = "refs/troops/run/"

// RemoteRefPrefix, followed by a remote's name and "/head", is the ref for what a pull found there.
const RemoteRefPrefix = "refs/troops/remote/"

// Preface is the first line that attach prints, before any frame. What comes before
// it on the channel is noise of the node's shell start-up files.
const Preface = attachWord + Version + "\n"

// Launcher is the path, below the node's repository, of the script by which a
// workstation reaches the node role of troops whatever its installation directory.
const Launcher = "hooks/troops"

// HeartbeatInterval is how long attach is silent at most; a reader that hears nothing for
// several of them has lost the node.
const HeartbeatInterval = 5 * time.Second

// Push options that a workstation sends along with a run ref.
const (
	OptionHost   = "troops-host="   // the name the inventory has for the node
	OptionBranch = "troops-branch=" // the branch to deploy where the node has none yet
	OptionBy     = "troops-by="     // who pushes, for people: user@workstation
	OptionRerun  = "troops-rerun="  // yes: deploy the commit again where it is deployed already
	OptionForce  = "troops-force="  // the deployed commit that may be taken away, for one that is no descendant of it
)

// What the hook says of a run in git's own report, after "troops: run <ulid> ", where the run
// did not fail: to a pusher without a second channel this is all there is.
const (
	ReasonGoesOn  = "goes on without you" // the hook left, the run did not end
	ReasonGaveWay = "gave way to "        // followed by the commit or run that is deployed instead
)

// Kind is the type of a frame.
type Kind byte

// The kinds of frames. Only the first four are in a log; the others are added by attach and
// do not count in offsets.
const (
	Stdout    Kind = 'o' // bytes that the run's processes wrote to standard output
	Stderr    Kind = 'e' // bytes that they wrote to standard error
	Note      Kind = 't' // a line by troops itself, without line feed
	Phase     Kind = 'p' // the phase that begins: checkout, venv or deploy
	Aside     Kind = 'a' // a line by troops itself that the log does not have: which run is followed instead
	Heartbeat Kind = 'h' // nothing; sent when the log was quiet for [HeartbeatInterval]
	Done      Kind = 'r' // the [Result] as JSON; the last frame
)

// Stored reports whether frames of this kind are in a run's log and count in its offsets.
func (k Kind) Stored() bool { return k == Stdout || k == Stderr || k == Note || k == Phase }

const (
	headerLen = 5 // four hexadecimal digits of the frame's whole length, and the kind

	// MaxFrame is the longest frame, header included, as with git's pkt-lines.
	MaxFrame = 0xfff0
	// MaxPayload is the most bytes one frame carries.
	MaxPayload = MaxFrame - headerLen
)

// Frame is one frame without its header.
type Frame struct {
	Kind    Kind
	Payload []byte // valid until the next call of [Reader.Next]
}

// Size is the frame's length on the wire and in the log, in bytes.
func (f Frame) Size() int64 { return int64(headerLen + len(f.Payload)) }

// AppendFrame appends payload to dst as one frame, or as several where it is longer
// than [MaxPayload].
func AppendFrame(dst []byte, k Kind, payload []byte) []byte {
	for {
		n := min(len(payload), MaxPayload)
		dst = append(fmt.Appendf(dst, "%04x", headerLen+n), byte(k))
		dst = append(dst, payload[:n]...)
		if payload = payload[n:]; len(payload) == 0 {
			return dst
		}
	}
}

// ErrFrame is wrapped by errors about bytes that are no frame.
var ErrFrame = errors.New("malformed frame")

// FrameLen is the length of the whole frame that begins with head, which holds at least
// the header. Errors wrap [ErrFrame].
func FrameLen(head []byte) (int, error) {
	if len(head) < headerLen {
		return 0, fmt.Errorf("%w: header of %d bytes", ErrFrame, len(head))
	}
	var size [2]byte
	if _, err := hex.Decode(size[:], head[:4]); err != nil {
		return 0, fmt.Errorf("%w: length %q", ErrFrame, head[:4])
	}
	n := int(size[0])<<8 | int(size[1])
	if n < headerLen || n > MaxFrame {
		return 0, fmt.Errorf("%w: length %d", ErrFrame, n)
	}
	return n, nil
}

// Reader reads frames. It takes nothing for granted about the bytes.
type Reader struct {
	r   *bufio.Reader
	buf []byte
}

// NewReader returns a Reader of r, which stands at a frame's first byte.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 8<<10)}
}

// Next returns the next frame. At the end between two frames the error is io.EOF,
// inside a frame io.ErrUnexpectedEOF; bytes that are no frame give an error that
// wraps [ErrFrame]. Kinds it does not know are returned as they are: skip them.
func (r *Reader) Next() (Frame, error) {
	var head [headerLen]byte
	if _, err := io.ReadFull(r.r, head[:]); err != nil {
		return Frame{}, err
	}
	n, err := FrameLen(head[:])
	if err != nil {
		return Frame{}, err
	}
	n -= headerLen
	if cap(r.buf) < n {
		r.buf = make([]byte, n, max(n, 4096))
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.r, r.buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return Frame{Kind: Kind(head[4]), Payload: r.buf}, nil
}

// NoiseLimit is how much a node may print before the preface.
const NoiseLimit = 64 << 10

// SkipPreface reads up to and including [Preface] and returns the noise before it.
// The preface stands at the start of a line. Where it does not come within
// [NoiseLimit] bytes or before the end, the error wraps ErrFrame and the noise tells why.
// The preface of another version is a [*VersionError].
func (r *Reader) SkipPreface() (noise []byte, err error) {
	start := true // of a line
	for len(noise) <= NoiseLimit {
		line, err := r.r.ReadSlice('\n')
		if start && string(line) == Preface {
			return noise, nil
		}
		if start && err == nil {
			if v := otherVersion(string(line), attachWord); v != nil {
				return noise, v
			}
		}
		noise = append(noise, line...)
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return noise, fmt.Errorf("%w: ended before the preface: %w", ErrFrame, err)
		}
		start = err == nil
	}
	return noise, fmt.Errorf("%w: no preface in %d bytes", ErrFrame, len(noise))
}
