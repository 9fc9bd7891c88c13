package nodeside

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// maxCommands bounds the commands and the options of one push.
const maxCommands = 100_000

// command is one ref update of a push.
type command struct {
	Old, New string // object names, all zeros for "no ref"
	Ref      string
}

func (c command) creates() bool { return zeroOID(c.Old) }
func (c command) deletes() bool { return zeroOID(c.New) }

func zeroOID(oid string) bool { return strings.Trim(oid, "0") == "" }

// verdict is the hook's answer to one command.
type verdict struct {
	Ref         string
	Reason      string // why not; empty for yes
	FallThrough bool   // receive-pack is to update the ref itself
}

// receivePack is the hook's end of the proc-receive protocol, version 1: see
// githooks(5). The other end is git-receive-pack, but what the pusher sent is in it.
type receivePack struct {
	in      *pktline.Scanner
	out     *pktline.Encoder
	options bool // push options follow the commands
}

func newReceivePack(r io.Reader, w io.Writer) *receivePack {
	return &receivePack{in: pktline.NewScanner(r), out: pktline.NewEncoder(w)}
}

// packet returns the next packet without its line feed, empty at a flush packet.
func (p *receivePack) packet() (string, error) {
	if !p.in.Scan() {
		err := p.in.Err()
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return "", fmt.Errorf("nodeside: reading from git-receive-pack: %w", err)
	}
	return string(bytes.TrimSuffix(p.in.Bytes(), []byte{'\n'})), nil
}

// list reads packets up to a flush packet.
func (p *receivePack) list() ([]string, error) {
	var all []string
	for len(all) <= maxCommands {
		s, err := p.packet()
		if err != nil || s == "" {
			return all, err
		}
		all = append(all, s)
	}
	return nil, fmt.Errorf("nodeside: git-receive-pack sends more than %d lines", maxCommands)
}

// hello agrees on version 1, and takes push options where git-receive-pack has them.
func (p *receivePack) hello() error {
	lines, err := p.list()
	if err != nil {
		return err
	}
	if len(lines) != 1 {
		return fmt.Errorf("nodeside: git-receive-pack begins with %d lines instead of its version", len(lines))
	}
	version, features, _ := strings.Cut(lines[0], "\x00")
	if version != "version=1" {
		return fmt.Errorf("nodeside: git-receive-pack speaks %q to its hooks, not version=1", version)
	}
	reply := "version=1"
	if slices.Contains(strings.Fields(features), "push-options") {
		p.options = true
		reply += "\x00push-options"
	}
	return errors.Join(p.out.EncodeString(reply), p.out.Flush())
}

// request reads the commands and the push options.
func (p *receivePack) request() (commands []command, options []string, err error) {
	lines, err := p.list()
	if err != nil {
		return nil, nil, err
	}
	for _, line := range lines {
		f := strings.SplitN(line, " ", 3)
		if len(f) != 3 || !oidPattern.MatchString(f[0]) || !oidPattern.MatchString(f[1]) || !strings.HasPrefix(f[2], "refs/") {
			return nil, nil, fmt.Errorf("nodeside: git-receive-pack sends %q, which is no command", line)
		}
		commands = append(commands, command{Old: f[0], New: f[1], Ref: f[2]})
	}
	if p.options {
		options, err = p.list()
	}
	return commands, options, err
}

// maxReason is the longest reason for a refusal, in bytes: one line of git's report.
const maxReason = 400

// answer sends one verdict.
func (p *receivePack) answer(v verdict) error {
	if v.Reason != "" {
		return p.out.Encodef("ng %s %s", v.Ref, plain(v.Reason, maxReason))
	}
	if err := p.out.Encodef("ok %s", v.Ref); err != nil || !v.FallThrough {
		return err
	}
	return p.out.EncodeString("option fall-through")
}

// end says that all verdicts have been sent.
func (p *receivePack) end() error { return p.out.Flush() }

// plain makes s one printable line of at most limit bytes.
func plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}
