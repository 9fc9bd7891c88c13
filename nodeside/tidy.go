package nodeside

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// What a node keeps of former runs.
const (
	KeepRuns      = 50                   // records and logs
	KeepAge       = 180 * 24 * time.Hour // records and logs, by the node's clock ...
	KeepLast      = 10                   // ... which does not count for as many: it may be wrong
	KeepBytes     = 1 << 30              // of logs together; the last one stays in any case
	KeepRefs      = 20                   // run refs, which every push has to read
	KeepCheckouts = 3                    // checkouts
)

// GCTimeout bounds git's collection of garbage after a run.
const GCTimeout = 10 * time.Minute

// tidy removes what is no longer kept, after run id, which holds the node's lock, and lets
// git collect its garbage.
func (l Layout) tidy(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, GCTimeout)
	defer cancel()
	err := l.prune(ctx, id)
	if _, e := l.git().Run(ctx, nil, "-c", "gc.autoDetach=false", "gc", "--auto", "--quiet"); e != nil {
		err = errors.Join(err, fmt.Errorf("nodeside: collecting garbage: %w", e))
	}
	return err
}

// prune removes old runs, refs and checkouts. The queue is locked meanwhile: a run that is
// being made has its ref before its record.
func (l Layout) prune(ctx context.Context, id string) error {
	queue, err := l.lockQueue()
	if err != nil {
		return err
	}
	defer queue.Close()
	all, err := runlog.List(l.Runs())
	if err != nil {
		return err
	}
	now := time.Now()
	rank := ranks(all, id, now)
	errs := []error{l.pruneRefs(ctx, rank), l.pruneCheckouts(rank), runlog.RemoveUnmade(l.Runs())}
	for _, dir := range outdated(all, rank, now) {
		errs = append(errs, os.RemoveAll(string(dir)))
	}
	return errors.Join(errs...)
}

// outdated are the runs that are no longer kept.
func outdated(all map[runlog.Dir]wire.Result, rank map[string]int, now time.Time) (dirs []runlog.Dir) {
	dirsByRank := slices.SortedFunc(maps.Keys(all), func(a, b runlog.Dir) int {
		return cmp.Compare(rank[all[a].Run], rank[all[b].Run])
	})
	var bytes int64
	for _, dir := range dirsByRank {
		r := all[dir]
		i := rank[r.Run]
		bytes += r.LogBytes
		if i >= KeepRuns || i >= KeepLast && now.Sub(r.Queued) > KeepAge || i > 0 && bytes > KeepBytes {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// ranks orders runs by the node's own record of when they were asked for, 0 being the
// newest. Run id and those that have not ended are kept whatever the clock says: -1.
func ranks(all map[runlog.Dir]wire.Result, id string, now time.Time) map[string]int {
	sorted := slices.SortedFunc(maps.Values(all), newestFirst(now))
	rank := make(map[string]int, len(sorted))
	for i, r := range sorted {
		rank[r.Run] = i
		if r.Run == id || !r.State.Final() {
			rank[r.Run] = -1
		}
	}
	return rank
}

// pruneRefs deletes the refs of all but the last runs.
func (l Layout) pruneRefs(ctx context.Context, rank map[string]int) error {
	out, err := l.git().Run(ctx, nil, "for-each-ref", "--format=%(refname)", wire.RunRefPrefix)
	if err != nil {
		return fmt.Errorf("nodeside: listing run refs: %w", err)
	}
	var del strings.Builder
	for ref := range strings.FieldsSeq(string(out)) {
		if i, known := rank[strings.TrimPrefix(ref, wire.RunRefPrefix)]; !known || i >= KeepRefs {
			fmt.Fprintf(&del, "delete %s\n", ref)
		}
	}
	if del.Len() == 0 {
		return nil
	}
	if _, err := l.git().Run(ctx, strings.NewReader(del.String()), "update-ref", "--stdin"); err != nil {
		return fmt.Errorf("nodeside: deleting old run refs: %w", err)
	}
	return nil
}

// pruneCheckouts removes all but the last checkouts.
func (l Layout) pruneCheckouts(rank map[string]int) error {
	entries, err := os.ReadDir(l.Checkouts())
	if err != nil {
		return fmt.Errorf("nodeside: listing checkouts: %w", err)
	}
	place := func(e os.DirEntry) int {
		if i, known := rank[e.Name()]; known {
			return i
		}
		return len(rank) + KeepRuns
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return cmp.Compare(place(a), place(b)) })
	var errs []error
	for i, e := range entries {
		if i >= KeepCheckouts && place(e) >= 0 {
			errs = append(errs, os.RemoveAll(filepath.Join(l.Checkouts(), e.Name())))
		}
	}
	return errors.Join(errs...)
}
