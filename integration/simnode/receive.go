package simnode

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"

	"troops/nodeside/wire"
)

const (
	capabilities = "report-status delete-refs side-band-64k quiet ofs-delta push-options object-format=sha1 agent=simnode"
	// markerOID is what refs/troops/v1 points to: any object will do.
	markerOID = "1111111111111111111111111111111111111111"
)

// receivePack is the server's side of gitprotocol-pack(5): it takes one run ref and a pack,
// of which it checks nothing but that all of it has come.
func (c *conn) receivePack(ch io.ReadWriter) error {
	out := bufio.NewWriter(ch)
	if err := c.advertise(out); err != nil {
		return err
	}
	in := bufio.NewReaderSize(ch, 64<<10)
	lines, err := section(in)
	if err != nil || len(lines) == 0 {
		return err // a client that has nothing to push says so by a flush
	}
	command, caps, _ := strings.Cut(lines[0], "\x00")
	words := strings.Fields(command)
	if len(words) != 3 {
		return errors.New("malformed command")
	}
	if strings.Contains(caps, "push-options") {
		if _, err := section(in); err != nil {
			return err
		}
	}
	unpacked := "ok"
	if err := readPack(in); err != nil {
		unpacked = err.Error()
	}
	if err := report(out, unpacked, words[2]); err != nil {
		return err
	}
	if run, ok := strings.CutPrefix(words[2], wire.RunRefPrefix); ok && unpacked == "ok" {
		c.run(run) <- words[1]
	}
	return nil
}

func (c *conn) advertise(out *bufio.Writer) error {
	refs := []string{markerOID + " " + wire.AdvertisedRef}
	if at := c.fleet.o.At; at != "" {
		refs = []string{at + " refs/heads/master", at + " " + wire.DeployedRef, refs[0]}
	}
	enc := pktline.NewEncoder(out)
	for i, ref := range refs {
		if i == 0 {
			ref += "\x00" + capabilities
		}
		if err := enc.EncodeString(ref + "\n"); err != nil {
			return err
		}
	}
	if err := enc.Flush(); err != nil {
		return err
	}
	return out.Flush()
}

// section reads packets up to a flush.
func section(in io.Reader) ([]string, error) {
	var lines []string
	for s := pktline.NewScanner(in); ; {
		if !s.Scan() {
			return nil, errors.Join(io.ErrUnexpectedEOF, s.Err())
		}
		if len(s.Bytes()) == 0 {
			return lines, nil
		}
		lines = append(lines, strings.TrimSuffix(string(s.Bytes()), "\n"))
	}
}

// readPack reads a pack to the end and compares its sum, gitformat-pack(5).
func readPack(in io.Reader) error {
	head := make([]byte, 4)
	if _, err := io.ReadFull(in, head); err == nil && string(head) != "PACK" {
		return errors.New("no pack")
	}
	sum := sha1.New()
	kept := head // the end of what was read, not in the sum yet
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		kept = append(kept, buf[:n]...)
		if over := len(kept) - sha1.Size; over > 0 {
			sum.Write(kept[:over])
			kept = append(kept[:0], kept[over:]...)
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if !bytes.Equal(sum.Sum(nil), kept) {
		return errors.New("the pack's sum is wrong")
	}
	return nil
}

// report says in the sideband what became of the pack and the ref.
func report(out *bufio.Writer, unpacked, ref string) error {
	var status bytes.Buffer
	enc := pktline.NewEncoder(&status)
	line := fmt.Sprintf("ok %s\n", ref)
	if unpacked != "ok" {
		line = fmt.Sprintf("ng %s unpacker error\n", ref)
	}
	if err := errors.Join(enc.EncodeString("unpack "+unpacked+"\n", line), enc.Flush()); err != nil {
		return err
	}
	band := pktline.NewEncoder(out)
	if err := errors.Join(band.Encode(append([]byte{1}, status.Bytes()...)), band.Flush()); err != nil {
		return err
	}
	return out.Flush()
}
