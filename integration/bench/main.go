// Command bench measures what troops costs the workstation, beside git push under xargs and
// beside other programs that reach many hosts, on the same work in the same run. `make bench`
// runs it; docs/performance.md has its tables and says how to read them.
//
// Nodes are processes of their own, so that nothing of theirs is counted: real OpenSSH servers
// (integration/testnode, needs root) or simulated ones (integration/simnode).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
)

// roles are what this program does when it starts itself.
var roles = map[string]func([]string) error{"account": account, "serve": serve}

func main() {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		exit(roles[os.Args[1]](os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := bench(ctx, os.Args[1:], os.Stdout)
	stop()
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func bench(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	binary := flags.String("troops", "bin/troops", "the `PROGRAM` that is measured")
	nodes := flags.Int("nodes", 100, "real nodes, 0 for none")
	simulated := flags.Int("simulated", 10_000, "most simulated nodes, 0 for none")
	if err := flags.Parse(args); err != nil {
		return err
	}
	path, err := filepath.Abs(*binary)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "troops-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &machine{dir: dir, troops: path, out: out}
	b.printf("Load before: %s.\n", load())
	if *nodes > 0 {
		if err := b.real(ctx, *nodes); err != nil {
			return err
		}
	}
	if *simulated > 0 {
		if err := b.simulated(ctx, *simulated); err != nil {
			return err
		}
	}
	b.printf("Load after: %s.\n", load())
	return nil
}

// load is the machine's load averages.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(b)); err == nil && len(f) > 2 {
		return strings.Join(f[:3], " ")
	}
	return "unknown"
}

// machine is where it is measured.
type machine struct {
	dir    string // of this run, removed with it
	troops string // absolute path
	out    io.Writer
	count  int // measurements so far
}

func (m *machine) printf(format string, args ...any) { fmt.Fprintf(m.out, format, args...) }

// command is a program to be measured.
type command struct {
	dir   string
	env   []string // nil: this process's
	stdin string   // a file, or empty
	args  []string
	plain bool // its output goes straight to the file
}

// measure runs a command under [account], and returns its usage and the file of its output.
func (m *machine) measure(ctx context.Context, c command) (*usage, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	m.count++
	base := filepath.Join(m.dir, "measure-"+strconv.Itoa(m.count))
	mode := "read"
	if c.plain {
		mode = "write"
	}
	cmd := exec.CommandContext(ctx, self, append([]string{"account", base + ".json", base + ".out", mode}, c.args...)...)
	cmd.Dir, cmd.Env, cmd.Stderr = c.dir, c.env, os.Stderr
	if c.stdin != "" {
		f, err := os.Open(c.stdin)
		if err != nil {
			return nil, "", err
		}
		defer f.Close()
		cmd.Stdin = f
	}
	if err := cmd.Run(); err != nil {
		return nil, "", fmt.Errorf("measuring %s: %w", c.args[0], err)
	}
	u, err := readUsage(base + ".json")
	return u, base + ".out", err
}

// tail is the end of a command's output, for an error.
func tail(path string) string {
	const most = 2 << 10
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-most):])
}
