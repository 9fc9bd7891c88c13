package packs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"troops/gitcli"
	"troops/push/gitwire"
)

const (
	// questions are asked of cat-file in batches whose answers fit a pipe, so that neither side
	// ever waits for the other.
	batch = 256
	// memoLimit bounds what is remembered of objects that only hostile nodes have.
	memoLimit = 1 << 20
	maxStderr = 4 << 10
)

// objects asks one `git cat-file --batch-check`, started by the first question, which objects exist
// locally.
type objects struct {
	ctx     context.Context
	format  string           // of the repository's object names
	command func() *exec.Cmd // prepares git; one that could not be started cannot be started again
	stderr  *head

	mu   sync.Mutex // guards what follows, and the conversation
	cmd  *exec.Cmd
	in   io.WriteCloser // nil until it is started
	out  *bufio.Reader
	memo map[gitwire.OID]bool // whether a commit or tag of that name is there
}

func newObjects(ctx context.Context, repo gitcli.Repo, format string, known Known) *objects {
	o := &objects{ctx: ctx, format: format, stderr: &head{}, memo: make(map[gitwire.OID]bool)}
	o.command = func() *exec.Cmd {
		cmd := repo.Command(ctx, "cat-file", "--batch-check")
		// A partial clone is not to ask its remote for every commit that some node has.
		cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], "GIT_NO_LAZY_FETCH=1")
		ownGroup(cmd)
		cmd.Stderr = o.stderr
		return cmd
	}
	for _, oid := range []gitwire.OID{known.Commit, known.Parent} {
		if oid != "" {
			o.memo[oid] = true
		}
	}
	return o
}

// start starts git. The caller holds mu.
func (o *objects) start() error {
	cmd := o.command()
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	o.cmd, o.in, o.out = cmd, in, bufio.NewReader(out)
	return nil
}

// close ends the process, if there is one, and waits for it. Its exit code says nothing: it was
// told to end. Nothing may be asked any more.
func (o *objects) close() {
	o.mu.Lock() // whoever asks gets an end: the process ends with ctx
	defer o.mu.Unlock()
	if o.in == nil {
		return
	}
	_ = o.in.Close()
	_ = o.cmd.Wait()
}

// local returns those of oids that are commits or tags of the local repository, in their order.
// Names of another format are none: git would take the shorter ones for abbreviations.
func (o *objects) local(ctx context.Context, oids []gitwire.OID) ([]gitwire.OID, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var ask []gitwire.OID
	for _, oid := range oids {
		if _, ok := o.memo[oid]; !ok && oid.Format() == o.format {
			ask = append(ask, oid)
		}
	}
	fresh := make(map[gitwire.OID]bool)
	for len(ask) > 0 {
		n := min(len(ask), batch)
		if err := o.ask(ask[:n], fresh); err != nil {
			return nil, err
		}
		ask = ask[n:]
	}
	var there []gitwire.OID
	for _, oid := range oids {
		if o.memo[oid] || fresh[oid] {
			there = append(there, oid)
		}
	}
	if len(o.memo)+len(fresh) <= memoLimit {
		for oid, ok := range fresh {
			o.memo[oid] = ok
		}
	}
	return there, nil
}

// ask puts the answers for oids, at most batch of them, into answers.
func (o *objects) ask(oids []gitwire.OID, answers map[gitwire.OID]bool) error {
	if o.in == nil {
		if err := o.start(); err != nil {
			return o.failed(err)
		}
	}
	var q strings.Builder
	for _, oid := range oids {
		if !oid.Valid() {
			return fmt.Errorf("packs: looking for an object: %q is no object name", string(oid))
		}
		q.WriteString(string(oid))
		q.WriteByte('\n')
	}
	if _, err := io.WriteString(o.in, q.String()); err != nil {
		return o.failed(err)
	}
	for _, oid := range oids {
		line, err := o.out.ReadString('\n')
		if err != nil {
			return o.failed(err)
		}
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != string(oid) {
			return o.failed(fmt.Errorf("unexpected answer %q", line))
		}
		answers[oid] = f[1] == "commit" || f[1] == "tag"
	}
	return nil
}

func (o *objects) failed(err error) error {
	if o.ctx.Err() != nil {
		return context.Cause(o.ctx)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it ended")
	}
	return fmt.Errorf("packs: looking for objects: %w", &gitcli.Error{Args: []string{"cat-file", "--batch-check"}, Stderr: o.stderr.String(), Err: err})
}

// ownGroup keeps a terminal's Ctrl-C from a child process: the first one only stops new nodes,
// and those that are being served still need the child.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// head keeps the first bytes that are written to it.
type head struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.buf.Write(p[:min(len(p), maxStderr-h.buf.Len())])
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.TrimSpace(h.buf.String())
}
