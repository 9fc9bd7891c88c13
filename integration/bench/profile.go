package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/google/pprof/profile"

	"troops/integration/simnode"
)

const (
	profileNodes = 4000 // enough for some hundred samples
	// profileDelay keeps the samples, a hundred a second of CPU time taken at the kernel's ticks, out
	// of step with the connections, a hundred a second, too: else each sees the same part of all.
	profileDelay = 20 * time.Millisecond
)

// part is a share of the CPU time: the samples with the pattern in the name of a function on
// their stack, but for those that an earlier part has.
type part struct {
	name    string
	pattern *regexp.Regexp
}

var (
	sshLibrary = regexp.MustCompile(`^golang\.org/x/crypto/ssh`)
	parts      = []part{
		{"cryptographic primitives", regexp.MustCompile(`^(crypto/|golang\.org/x/crypto/(chacha20|curve25519|ed25519|internal))`)},
		{"system calls", regexp.MustCompile(`^(internal/runtime/)?syscall[./]`)},
		{"memory: allocation, garbage collection", regexp.MustCompile(`^runtime\.(mallocgc|newobject|makeslice|growslice|gc[A-Z]|bgsweep)`)},
		{"scheduler of goroutines", regexp.MustCompile(`^runtime\.(mcall|mstart|schedule|ready|wakep|newproc|gopark|goready|sysmon)`)},
		{"other code", regexp.MustCompile("")},
	}
)

// profile tells what the client's CPU time goes to: children (git, python) are not in it.
func (m *machine) profile(ctx context.Context, most int) error {
	n := min(profileNodes, most)
	path := filepath.Join(m.dir, "cpu.profile")
	if _, err := m.scenario(ctx, scenario{nodes: n, delay: profileDelay, work: simnode.Work{Lines: lines}, args: []string{"--cpuprofile", path}}); err != nil {
		return err
	}
	s, err := readShares(path)
	if err != nil {
		return err
	}
	m.printf("\nCPU profile of a push to %d simulated nodes, %d samples:\n\n%s", n, s.total, s)
	return nil
}

// readShares reads a CPU profile of troops.
func readShares(path string) (s shares, err error) {
	file, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer file.Close()
	p, err := profile.Parse(file)
	if err != nil {
		return s, fmt.Errorf("reading the profile: %w", err)
	}
	return sharesOf(p), nil
}

// shares are how many samples of a profile fall to each part, in the SSH library (and what it
// calls) and elsewhere.
type shares struct {
	total      int64
	ssh, other []int64 // by part
}

// sharesOf sorts the samples of a CPU profile.
func sharesOf(p *profile.Profile) shares {
	s := shares{ssh: make([]int64, len(parts)), other: make([]int64, len(parts))}
	for _, sample := range p.Sample {
		stack := functions(sample)
		where := s.other
		if slices.ContainsFunc(stack, sshLibrary.MatchString) {
			where = s.ssh
		}
		i := slices.IndexFunc(parts, func(p part) bool { return slices.ContainsFunc(stack, p.pattern.MatchString) })
		if i < 0 {
			i = len(parts) - 1 // a sample without a stack
		}
		where[i] += sample.Value[0]
		s.total += sample.Value[0]
	}
	return s
}

// String lays the shares out, in percent of all samples.
func (s shares) String() string {
	percent := func(n int64) string { return fmt.Sprintf("%.0f %%", 100*float64(n)/float64(max(s.total, 1))) }
	t := &table{}
	t.row("CPU of the client, children not included", "in golang.org/x/crypto/ssh", "elsewhere")
	var ssh, other int64
	for i, p := range parts {
		t.row(p.name, percent(s.ssh[i]), percent(s.other[i]))
		ssh, other = ssh+s.ssh[i], other+s.other[i]
	}
	t.row("all", percent(ssh), percent(other))
	return t.String()
}

// functions are the names of the functions on a sample's stack.
func functions(sample *profile.Sample) (names []string) {
	for _, l := range sample.Location {
		for _, line := range l.Line {
			names = append(names, line.Function.Name)
		}
	}
	return names
}
