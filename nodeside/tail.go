package nodeside

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// Tail writes the preface and the node's runs, one after the other, whoever asked for them: those
// of the past that q wants, then each as it begins, until ctx ends or out cannot be written any
// more. It only reads.
func Tail(ctx context.Context, l Layout, q wire.TailRequest, out io.Writer) error {
	t := &tailer{l: l, q: q, out: newFrameSink(out)}
	if err := t.out.Frames([]byte(wire.Preface)); err != nil {
		return fmt.Errorf("nodeside: following the runs: %w", err)
	}
	follow := t.all
	if q.Run != "" {
		follow = t.one
	}
	if err := follow(ctx); err != nil {
		return fmt.Errorf("nodeside: following the runs: %w", err)
	}
	return nil
}

// tailer writes a node's runs for one workstation.
type tailer struct {
	l   Layout
	q   wire.TailRequest
	out *frameSink
}

// one sends the run that was asked for, or the one that it follows, to its end.
func (t *tailer) one(ctx context.Context) error {
	if err := t.frame(wire.Omitted, []string{}); err != nil {
		return err
	}
	r, err := t.l.resolve(t.q.Run)
	switch {
	case errors.Is(err, fs.ErrNotExist): // nothing is sent of it
	case err != nil:
		return err
	default:
		if err := t.send(ctx, r); err != nil {
			return err
		}
	}
	return t.out.Frames(wire.AppendFrame(nil, wire.CaughtUp, nil))
}

// resolve finds a run, or the one that it joined.
func (l Layout) resolve(id string) (wire.Result, error) {
	r, err := l.run(id).Record()
	if err == nil && r.State == wire.Joined {
		if other, err := l.run(filepath.Base(r.Other)).Record(); err == nil {
			return other, nil
		}
	}
	return r, err
}

// all sends all runs but those that the request leaves out.
func (t *tailer) all(ctx context.Context) error {
	j := runlog.OpenJournal(t.l.Runs())
	defer j.Close()
	runs, err := j.List()
	if err != nil {
		return err
	}
	omitted := t.omit(runs, time.Now())
	j.Skip(omitted...)
	if err := t.frame(wire.Omitted, omitted[max(0, len(omitted)-wire.MaxOmitted):]); err != nil {
		return err
	}
	for told := false; ; {
		if runs, err = j.List(); err != nil {
			return err
		}
		// What a broken connection has cut comes first.
		if i := slices.IndexFunc(runs, func(r wire.Result) bool { return r.Run == t.q.At }); i > 0 {
			at := runs[i]
			runs = slices.Insert(slices.Delete(runs, i, i+1), 0, at)
		}
		for _, r := range runs {
			if err := t.send(ctx, r); err != nil {
				return err
			}
			j.Skip(r.Run)
		}
		if len(runs) > 0 && !t.q.Once {
			told = false
			continue // others may have begun meanwhile
		}
		if !told {
			if err := t.out.Frames(wire.AppendFrame(nil, wire.CaughtUp, nil)); err != nil || t.q.Once {
				return err
			}
			told = true
		}
		if err := j.Wait(ctx, t.out); err != nil {
			return err
		}
	}
}

// omit tells which of the runs, sorted, are not to be sent.
func (t *tailer) omit(runs []wire.Result, now time.Time) []string {
	omitted, past := []string{}, 0
	for _, r := range slices.Backward(runs) {
		out := slices.Contains(t.q.Seen, r.Run)
		if r.State.Final() && !t.q.Resume {
			out = out || t.q.Runs >= 0 && past >= t.q.Runs || t.q.Since > 0 && now.Sub(ended(r)) > t.q.Since
			past++
		}
		if out {
			omitted = append(omitted, r.Run)
		}
	}
	slices.Reverse(omitted)
	return omitted
}

// send sends a run, from where an earlier connection has come.
func (t *tailer) send(ctx context.Context, r wire.Result) error {
	if err := t.frame(wire.Began, r); err != nil {
		return err
	}
	var offset int64
	if r.Run == t.q.At {
		offset = t.q.Offset
	}
	now, err := t.log(ctx, r, offset)
	if err != nil {
		return err
	}
	if !now.State.Final() {
		return nil // as far as it is
	}
	return t.out.done(now)
}

// log sends the run's log, and returns how the run stands after that.
func (t *tailer) log(ctx context.Context, r wire.Result, offset int64) (now wire.Result, err error) {
	if t.q.Once {
		now, err = runlog.Snapshot(t.l.run(r.Run), offset, t.out)
	} else {
		now, err = runlog.FollowExisting(ctx, t.l.Runs(), r.Run, offset, t.out)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist): // pruned meanwhile
		r.State, r.Error = wire.Absent, "the node keeps it no longer"
		return r, nil
	case errors.Is(err, runlog.ErrOffset), errors.Is(err, wire.ErrFrame):
		// The end of the log was lost with the node's power, or is damaged. What was sent is all
		// there is, if nothing is added any more.
		now, settled := t.l.settled(r.Run)
		if settled != nil || !now.State.Final() {
			return r, err
		}
		now.LogError = err.Error()
		return now, nil
	}
	return now, err
}

// settled is a run as it is now.
func (l Layout) settled(id string) (wire.Result, error) {
	r, err := l.run(id).Record()
	if err != nil || r.State.Final() {
		return r, err
	}
	return runlog.Settle(l.run(id), r)
}

// frame sends a frame whose payload is JSON.
func (t *tailer) frame(k wire.Kind, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.out.Frames(wire.AppendFrame(nil, k, b))
}
