// Package bootstrap makes machines nodes over SSH: it looks at each, brings it the troops
// program for its architecture, has that make the node, and lets the login push. On a node
// it changes only what differs, so it is the upgrade, too.
package bootstrap

import (
	"context"
	"sync"
	"time"

	"troops/sshx"
)

// How long a host may take for each step, beside connecting, which has limits of its own. A
// step that takes longer ends by closing the connection.
const (
	LookTimeout    = 60 * time.Second // what is there; no step of it writes anything
	PackageTimeout = 15 * time.Minute // apt-get, with a slow mirror
	UploadStall    = 3 * time.Minute  // without a byte of the program being taken, the last 2 MB being on their way
	ApplyTimeout   = 3 * time.Minute  // naming the program, and `troops node init`
)

// DefaultParallel is how many hosts are worked on at once.
const DefaultParallel = 32

// Options are how hosts become nodes.
type Options struct {
	// Dial connects to a host given as [user@]name[:port].
	Dial func(ctx context.Context, host string) (*sshx.Conn, error)
	// Programs has the program to install; see [NewPrograms].
	Programs *Programs
	// InstallPackages has apt-get install git and python3-venv where they are missing.
	InstallPackages bool
	// Remotes are added to the node's repository.
	Remotes []Remote
	// Parallel is how many hosts are worked on at once; 0 for [DefaultParallel].
	Parallel int
	// Say is told what takes its time on a host. It may be called by many goroutines.
	Say func(host, text string)
}

// Result is what became of a host. Its texts may be the host's: make them safe to show.
type Result struct {
	Host    string
	Changes []string // what is other than before
	Details []string // what `troops node init` has done besides
	Notes   []string // what is to be known although nothing has failed
	Err     error    // nil for a node that takes pushes now; else mostly an [*Error]
}

// Same reports whether nothing was changed on the host.
func (r *Result) Same() bool { return len(r.Changes)+len(r.Details) == 0 }

// Error is a host that did not become a node.
type Error struct {
	Host string
	Step string   // what was being done, such as "node init"
	Err  error    //
	Hint string   // the way out, may be empty
	Undo []string // commands, for root on the host, that take back what was done; none if the host is as it was
}

// Error is one line but for what the host said, which is not made safe.
func (e *Error) Error() string {
	s := "bootstrap: " + e.Host + ": " + e.Step + ": " + e.Err.Error()
	if e.Hint != "" {
		s += ": " + e.Hint
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// All makes nodes of hosts. It calls done with each result, one at a time, as soon as it is
// there, and returns when all are. After ctx's end no more hosts are begun.
func All(ctx context.Context, hosts []string, o Options, done func(Result)) {
	if o.Parallel <= 0 {
		o.Parallel = DefaultParallel
	}
	results := make(chan Result)
	slots := make(chan struct{}, o.Parallel)
	var wg sync.WaitGroup
	for _, host := range hosts {
		wg.Go(func() {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			case <-ctx.Done():
			}
			results <- one(ctx, host, o)
		})
	}
	go func() { // ends with the last result, which is read below
		wg.Wait()
		close(results)
	}()
	for r := range results {
		done(r)
	}
}

// one makes a node of one host.
func one(ctx context.Context, host string, o Options) Result {
	n := &node{o: o, shell: shell{host: host}}
	n.result.Host = host
	if n.result.Err = context.Cause(ctx); n.result.Err == nil {
		n.result.Err = n.bootstrap(ctx)
	}
	return n.result
}
