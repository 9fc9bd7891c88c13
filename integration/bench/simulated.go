package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"troops/integration/simnode"
)

const (
	outputNodes = 50         // nodes of the runs that are about bytes
	outputBytes = 20_000_000 // that each of them prints
	repoBytes   = 50_000_000 // of a first push; random, so that the pack is as large
	quietLines  = 100        // lines of each node beside a flooding one
	quietPause  = 100 * time.Millisecond
)

// scenario is a push to simulated nodes.
type scenario struct {
	nodes int
	work  simnode.Work
	first int           // the nodes have nothing yet, and the repository has so many bytes; 0: they have its first commit
	plain bool          // output into a file
	delay time.Duration // most that a node is away
	args  []string      // of troops push
}

// measured is a scenario's usage and what else was seen.
type measured struct {
	usage
	output int64 // bytes
	packs  int   // git pack-objects that were run
}

// simulated measures on up to most nodes, all of them in one other process.
func (m *machine) simulated(ctx context.Context, most int) error {
	for _, f := range []func(context.Context, int) error{m.scale, m.bulk, m.flood, m.firstPush, m.profile} {
		if err := f(ctx, most); err != nil {
			return err
		}
	}
	return nil
}

// scenario runs one in a directory of its own.
func (m *machine) scenario(ctx context.Context, s scenario) (_ *measured, err error) {
	dir, err := os.MkdirTemp(m.dir, "scenario-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	repo, at, err := s.repository(ctx, filepath.Join(dir, "deploy"))
	if err != nil {
		return nil, err
	}
	fleet := filepath.Join(dir, "fleet")
	srv, err := simulate(ctx, simnode.Options{Dir: fleet, Nodes: s.nodes, At: at, Work: s.work, Delay: s.delay})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, srv.stop()) }()
	trace := filepath.Join(dir, "trace")
	u, out, err := m.measure(ctx, command{
		dir: repo.dir, plain: s.plain, env: append(os.Environ(), "GIT_TRACE="+trace),
		args: append([]string{m.troops, "-F", simnode.SSHConfig(fleet), "push", "--yes"}, s.args...),
	})
	if err != nil {
		return nil, err
	}
	defer os.Remove(out)
	if u.Exit != 0 {
		return nil, fmt.Errorf("troops push: exit code %d: %s", u.Exit, tail(out))
	}
	got := &measured{usage: *u}
	b, err := os.ReadFile(trace)
	if err != nil {
		return nil, err
	}
	got.packs = bytes.Count(b, []byte("built-in: git pack-objects"))
	st, err := os.Stat(out)
	if err != nil {
		return nil, err
	}
	got.output = st.Size()
	return got, nil
}

// repository makes what is pushed, and returns the commit that the nodes are at.
func (s scenario) repository(ctx context.Context, dir string) (*repository, string, error) {
	repo, err := newRepository(ctx, dir, nil)
	if err != nil {
		return nil, "", err
	}
	var names []string
	for i := range s.nodes {
		names = append(names, simnode.Name(i))
	}
	if err := repo.write("deploy.py", deployPy(names, s.work.Lines)); err != nil {
		return nil, "", err
	}
	if s.first > 0 {
		big := make([]byte, s.first)
		rand.Read(big) // never fails
		if err := repo.write("big", big); err != nil {
			return nil, "", err
		}
	}
	at, err := repo.commit(ctx, "First commit.")
	if err != nil || s.first > 0 {
		return repo, "", err
	}
	_, err = repo.commit(ctx, "Second commit.")
	return repo, at, err
}

// scale pushes one commit to more and more nodes.
func (m *machine) scale(ctx context.Context, most int) error {
	m.printf("\nSimulated nodes, one new commit, %d lines each:\n\n", lines)
	t := &table{}
	t.row("nodes", "wall", "CPU a node", "x first", "peak memory", "plan shown after", "end after last line", "lines shown")
	sizes := slices.DeleteFunc([]int{100, 1000, 10_000}, func(n int) bool { return n > most })
	if len(sizes) == 0 {
		sizes = []int{most}
	}
	var first time.Duration
	for _, n := range sizes {
		got, err := m.scenario(ctx, scenario{nodes: n, work: simnode.Work{Lines: lines}})
		if err != nil {
			return err
		}
		cpu := got.CPU / time.Duration(n)
		if first == 0 {
			first = cpu
		}
		t.row(n, seconds(got.Wall), millis(cpu), fmt.Sprintf("%.2f", float64(cpu)/float64(first)), megabytes(got.RSS), seconds(got.Opening), seconds(got.Wall-got.Last), got.Lines)
	}
	m.printf("%s", t)
	return nil
}

// bulk has nodes print as fast as they can, into a file.
func (m *machine) bulk(ctx context.Context, most int) error {
	n := min(outputNodes, most)
	m.printf("\n%d simulated nodes print as fast as they can, into a file:\n\n", n)
	t := &table{}
	t.row("bytes a node", "wall", "bytes of nodes a second", "file", "CPU", "peak memory")
	for _, size := range []int{outputBytes / 4, outputBytes} {
		got, err := m.scenario(ctx, scenario{nodes: n, plain: true, work: simnode.Work{Bytes: size}})
		if err != nil {
			return err
		}
		rate := float64(n*size) / got.Wall.Seconds()
		t.row(megabytes(int64(size)), seconds(got.Wall), megabytes(int64(rate)), megabytes(got.output), seconds(got.CPU), megabytes(got.RSS))
	}
	m.printf("%s", t)
	return nil
}

// flood has one node print without pause beside quiet ones.
func (m *machine) flood(ctx context.Context, most int) error {
	n := min(outputNodes, most)
	m.printf("\nOne simulated node prints without pause, %d print a line every %v:\n\n", n-1, quietPause)
	t := &table{}
	t.row("", "a quiet node's line is shown after: median", "p99", "worst", "lines", "peak memory")
	for _, flood := range []int{0, 1} {
		got, err := m.scenario(ctx, scenario{nodes: n, work: simnode.Work{Lines: quietLines, Pause: quietPause, Flood: flood}})
		if err != nil {
			return err
		}
		t.row([]string{"all quiet", "one floods"}[flood], millis(got.Waits.P50), millis(got.Waits.P99), millis(got.Waits.Worst), got.Waits.Count, megabytes(got.RSS))
	}
	m.printf("%s", t)
	return nil
}

// firstPush sends a large repository to nodes that have nothing.
func (m *machine) firstPush(ctx context.Context, most int) error {
	m.printf("\nFirst push of a repository of %s to simulated nodes:\n\n", megabytes(repoBytes))
	t := &table{}
	t.row("nodes", "wall", "packs made", "CPU", "CPU a GB sent", "peak memory of troops and git")
	for _, n := range []int{1, min(5, most), min(outputNodes, most)} {
		got, err := m.scenario(ctx, scenario{nodes: n, first: repoBytes, work: simnode.Work{Lines: lines}})
		if err != nil {
			return err
		}
		sent := float64(n) * repoBytes / 1e9
		t.row(n, seconds(got.Wall), got.packs, seconds(got.CPU), seconds(time.Duration(float64(got.CPU)/sent)), megabytes(max(got.RSS, got.Private)))
	}
	m.printf("%s", t)
	return nil
}
