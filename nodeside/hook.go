package nodeside

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"troops/gitcli"
	"troops/nodeside/wire"
)

// StartTimeout bounds how long the hook waits for `node start`, which waits for moments
// at the queue and for the run's process to appear.
const StartTimeout = 2 * time.Minute

// HookProcReceive is the repository's proc-receive hook. It asks for the runs that a push
// stands for, and answers for every ref: a run ref at once, the deployed branch when its
// run has ended, other branches are left to git-receive-pack. The run is no child of it
// and writes nothing to its pipes, so it may be killed at any time.
func HookProcReceive(ctx context.Context, l Layout, stdin io.Reader, stdout, stderr io.Writer) error {
	p := newReceivePack(stdin, stdout)
	if err := p.hello(); err != nil {
		return err
	}
	commands, options, err := p.request()
	if err != nil {
		return err
	}
	client, err := newClient(stderr)
	if err != nil {
		return err
	}
	defer client.Close()
	h := &hook{l: l, client: client, pushed: parseOptions(options)}
	if h.deployed, err = l.deployedBranch(ctx); err != nil {
		return err
	}
	if h.deployed == "" {
		h.deployed = h.firstBranch(ctx, commands)
	}
	for _, c := range commands {
		if err := p.answer(h.handle(ctx, c)); err != nil {
			return fmt.Errorf("nodeside: answering git-receive-pack: %w", err)
		}
	}
	return p.end()
}

// hook is what a push means here.
type hook struct {
	l        Layout
	client   *client
	pushed   pushOptions
	deployed string // branch, empty where this push cannot choose it
}

// pushOptions are what a workstation's troops sends along.
type pushOptions struct {
	host, branch, by string
	rerun            bool
	force            string // the commit that may be taken away
}

func parseOptions(options []string) pushOptions {
	var o pushOptions
	for _, s := range options {
		if v, ok := strings.CutPrefix(s, wire.OptionHost); ok {
			o.host = v
		} else if v, ok := strings.CutPrefix(s, wire.OptionBranch); ok {
			o.branch = v
		} else if v, ok := strings.CutPrefix(s, wire.OptionBy); ok {
			o.by = plain(v, maxBy)
		} else if v, ok := strings.CutPrefix(s, wire.OptionForce); ok {
			o.force = v
		} else if s == wire.OptionRerun+"yes" {
			o.rerun = true
		}
	}
	if o.by == "" || !validBy(o.by) {
		o.by = plain(os.Getenv("LOGNAME"), maxBy)
	}
	return o
}

// firstBranch chooses the deployed branch of a node that has none: the one that a
// workstation names, the only branch of the push, or among several the one of HEAD.
func (h *hook) firstBranch(ctx context.Context, commands []command) string {
	if h.pushed.branch != "" {
		return h.pushed.branch
	}
	var branches []string
	for _, c := range commands {
		if strings.HasPrefix(c.Ref, branchPrefix) && !c.deletes() {
			branches = append(branches, c.Ref)
		}
	}
	if len(branches) == 1 {
		return branches[0]
	}
	head, err := h.l.git().Line(ctx, "symbolic-ref", "-q", "HEAD")
	if err != nil {
		return ""
	}
	for _, b := range branches {
		if b == head {
			return b
		}
	}
	return ""
}

// ownRefPrefix begins the refs that only the node writes, but for asking for a run. The one of
// the deployed branch is symbolic: git would move the branch through it, without a run.
const ownRefPrefix = "refs/troops/"

// handle does what one command asks for.
func (h *hook) handle(ctx context.Context, c command) verdict {
	id, isRun := strings.CutPrefix(c.Ref, wire.RunRefPrefix)
	switch {
	case isRun:
		return h.pushRun(ctx, c, id)
	case strings.HasPrefix(c.Ref, ownRefPrefix):
		return no(c, "%s is the node's own", c.Ref)
	case c.Ref == h.deployed:
		return h.pushBranch(ctx, c)
	case h.deployed == "" && !c.deletes():
		return no(c, "this node has no branch to deploy yet: push the one that it is to deploy alone")
	case !c.deletes():
		h.client.note("%s stored, not deployed: this node deploys %s", c.Ref, h.deployed)
	}
	return verdict{Ref: c.Ref, FallThrough: true}
}

func no(c command, format string, args ...any) verdict {
	return verdict{Ref: c.Ref, Reason: "troops: " + fmt.Sprintf(format, args...)}
}

// pushRun starts the run of a run ref. It does not wait for its end.
func (h *hook) pushRun(ctx context.Context, c command, id string) verdict {
	switch {
	case c.deletes(), !c.creates():
		return no(c, "run refs are only created; the node itself deletes old ones")
	case h.deployed == "":
		return no(c, "this node has no branch to deploy yet: name it with the push option %srefs/heads/...", wire.OptionBranch)
	}
	if _, err := h.start(ctx, c, id); err != nil {
		return no(c, "%v", plainError(err))
	}
	return verdict{Ref: c.Ref}
}

// pushBranch starts the run of a new commit of the deployed branch, shows it, and answers
// with its end.
func (h *hook) pushBranch(ctx context.Context, c command) verdict {
	if c.deletes() {
		return no(c, "%s is the deployed branch of this node, it cannot be deleted", c.Ref)
	}
	if !c.creates() && c.Old != h.pushed.force {
		forward, err := h.l.isAncestor(ctx, c.Old, c.New)
		if err != nil {
			return no(c, "%v", plainError(err))
		}
		if !forward {
			return no(c, "not a fast-forward of %s, which %s: fetch that, merge it and push the result", short(c.Old), h.l.deployedBy(c.Old))
		}
	}
	id := ulid.Make().String() // followed by this name, where the run joins another one, too: it says so
	_, err := h.start(ctx, c, id)
	if err != nil {
		return no(c, "%v", plainError(err))
	}
	r, err := h.client.follow(ctx, h.l, id)
	if err != nil {
		return no(c, "run %s %s: %v", id, wire.ReasonGoesOn, err)
	}
	if reason := failure(r); reason != "" {
		return no(c, "%s", reason)
	}
	return verdict{Ref: c.Ref}
}

// failure says why the branch is not where a push wanted it, empty where it is.
func failure(r wire.Result) string {
	run := "run " + r.Run
	switch r.State {
	case wire.OK, wire.Current:
		return ""
	case wire.Superseded:
		return fmt.Sprintf("%s %s%s", run, wire.ReasonGaveWay, short26(r.Other))
	case wire.Refused:
		return r.Error
	case wire.Interrupted:
		return run + " was interrupted"
	case wire.Cancelled:
		return run + " was " + r.Error
	}
	switch {
	case r.Signal != "":
		return fmt.Sprintf("%s was ended by a signal in %s: %s", run, r.Phase, r.Signal)
	case r.ExitCode != 0 && r.Phase == "deploy":
		return fmt.Sprintf("%s exited %d", run, r.ExitCode)
	case r.Phase != "":
		return fmt.Sprintf("%s failed in %s: %s", run, r.Phase, r.Error)
	}
	return fmt.Sprintf("%s failed: %s", run, r.Error)
}

// short26 shortens an object name and leaves a ULID, which has 26 characters.
func short26(s string) string {
	if len(s) > ulid.EncodedSize {
		return short(s)
	}
	return s
}

// start gives the request to `node start`, by sudo where the node deploys as root and the
// pusher is not root, and returns the run to follow.
func (h *hook) start(ctx context.Context, c command, id string) (string, error) {
	return h.ask(ctx, Request{Run: id, Commit: c.New, Branch: h.deployed, Host: h.pushed.host, By: h.pushed.by, Rerun: h.pushed.rerun, Force: h.pushed.force})
}

func (h *hook) ask(ctx context.Context, q Request) (string, error) {
	a, err := h.l.ask(ctx, q, StartTimeout)
	return a.Run, err
}

// ask is hook.ask with all of the answer, and another limit.
func (l Layout) ask(ctx context.Context, q Request, limit time.Duration) (answer, error) {
	if err := q.check(); err != nil {
		return answer{}, plainError(err)
	}
	request, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	args, err := l.startCommand()
	if err != nil {
		return answer{}, plainError(err)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = "/", gitcli.CleanEnv(os.Environ())
	cmd.WaitDelay = gitcli.KillDelay
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(request), &out, &errs
	runErr := cmd.Run()
	var a answer
	if err := json.Unmarshal(out.Bytes(), &a); err == nil && (a.Error != "" || q.Pull || validRun(a.Run)) {
		if a.Error != "" {
			return a, plainError(errors.New(a.Error))
		}
		return a, nil
	}
	return answer{}, fmt.Errorf("starting the run as %s: %v: %s", strings.Join(args, " "), runErr, plain(errs.String(), maxReason))
}

// startCommand is how the hook reaches `node start`.
func (l Layout) startCommand() ([]string, error) {
	exe, err := self()
	if err != nil {
		return nil, err
	}
	switch {
	case !l.Root:
		return []string{exe, "node", "--dir", l.Dir, "start"}, nil
	case os.Geteuid() == 0:
		return []string{exe, "node", "start"}, nil
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		return nil, errors.New("nodeside: this node has no sudo: push as root, or install sudo there and run `troops node init` again")
	}
	return []string{"sudo", "-n", exe, "node", "start"}, nil
}

// plainError leaves the package's name out of an error that is read behind "troops:".
func plainError(err error) error {
	text := err.Error()
	for _, room := range []string{"nodeside: ", "deployment: ", "runlog: ", "trust: "} {
		text = strings.TrimPrefix(text, room)
	}
	return errors.New(text)
}
