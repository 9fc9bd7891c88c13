// Package push brings one commit to many nodes at once: it compares, packs, pushes and
// follows what happens there, and says how it ended for each node.
//
// A [Rollout] is one such push. What happens is told as events to a [Sink]; the package
// prints nothing. push/gitwire speaks git's receive-pack protocol, push/packs makes each
// pack once for all nodes that have the same commits, nodeside/wire is what a node says
// of a run. docs/protocol.md is the protocol, ARCHITECTURE.md walks one push.
package push

import (
	"context"
	"fmt"
	"sync"
	"time"

	"troops/gitcli"
	"troops/nodeside/wire"
	"troops/push/gitwire"
	"troops/push/packs"
)

// Defaults of a [Rollout].
const (
	DefaultParallel  = 256                             // nodes at once; sshx paces the handshakes apart from that
	DefaultReconnect = 5 * time.Minute                 // how long a node that was lost during a run is looked for
	DefaultRepoPath  = "/var/lib/troops/repo/main.git" // where `troops node init` makes a node's repository
)

// Target is a node to deploy to.
type Target struct {
	Host  string   // [user@]name[:port], as written in the inventory: the node's name in all events
	Name  string   // the name alone: what troops.hostname() is to return there
	Roles []string // the roles the inventory gives it, sorted
	// Complete reports that Roles are all it has: then the roles that the node reports
	// must be the same ones.
	Complete bool
}

// Rollout is one push of one commit. The zero value of a field that has a default means the default.
type Rollout struct {
	Repo      gitcli.Repo   // the workstation's repository
	Commit    gitwire.OID   // what to deploy
	Parent    gitwire.OID   // its parent where it is known and the only one; saves asking git about nodes that are there
	Layout    gitcli.Layout // of Repo where it is known
	Subject   string        // of the commit, its first line, for people
	Branch    string        // refs/heads/...: the branch of nodes that have none yet, and of plain repositories
	By        string        // who pushes, user@workstation, for people on the node
	Targets   []Target      // each host once
	Dial      Dialer        // how to reach them
	RepoPath  string        // of the repository on the nodes; default [DefaultRepoPath]
	Parallel  int           // nodes at once; default [DefaultParallel]
	Reconnect time.Duration // default [DefaultReconnect]
	Sink      Sink          // hears of everything; nil: nobody does

	limits limits // zero values: the documented defaults

	// Waves are where waves end, as shares of Targets in their order; none: one wave of all.
	// Where the last one does not reach all, the rest is held: [NotStarted] as planned.
	Waves   []Share
	Promote string        // the command that deploys to the nodes that are held, for people
	Soak    time.Duration // waited after each wave but the last
	MaxFail *Share        // stops the rollout once more nodes than that are not well; nil: with waves, none may be

	Rerun bool                   // deploy again to the nodes that have the commit
	Force map[string]gitwire.OID // by host, the deployed commit that may be taken away there; see [Rollout.AllowForce]

	// NoWait leaves troops nodes once they have taken the run: [Started]. Repositories without
	// troops are pushed to as ever.
	NoWait bool

	// Agree is asked, at most once, before more than LargePush bytes of packs are sent to all nodes
	// together; an error keeps them back and ends the rollout. Nil: no question.
	Agree     func(context.Context, Load) error
	LargePush int64 // default [DefaultLargePush]

	// Starting, when done, lets no further node begin; those that have begun go on. Nil means never.
	Starting context.Context
}

// NodeResult is how the push to one node ended.
type NodeResult struct {
	Target  Target
	Outcome Outcome
	Result  *wire.Result // as the node reported it; nil where there was no run
	Took    time.Duration
}

// Run deploys to all targets and returns a result for each, in their order. One node's failure
// never ends another's push. An error means that nothing was contacted. Cancelling ctx leaves
// the nodes at once: what runs there goes on, and its outcome is [Unknown].
func (r *Rollout) Run(ctx context.Context) ([]NodeResult, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	store, err := packs.Open(ctx, r.Repo, r.known())
	if err != nil {
		return nil, err
	}
	planned := Planned{Commit: string(r.Commit), Subject: r.Subject}
	for _, t := range r.Targets {
		planned.Nodes = append(planned.Nodes, t.Host)
	}
	r.Sink.Emit(planned)

	w := &waves{rollout: r, store: store, results: make([]NodeResult, len(r.Targets)), budget: r.budget(), gate: r.gate()}
	w.run(ctx)
	return w.results, store.Close()
}

func (r *Rollout) known() packs.Known {
	return packs.Known{Layout: r.Layout, Commit: r.Commit, Parent: r.Parent}
}

func (r *Rollout) prepare() error {
	if r.RepoPath == "" {
		r.RepoPath = DefaultRepoPath
	}
	if r.Parallel <= 0 {
		r.Parallel = DefaultParallel
	}
	if r.Reconnect == 0 {
		r.Reconnect = DefaultReconnect
	}
	if r.LargePush <= 0 {
		r.LargePush = DefaultLargePush
	}
	if r.Sink == nil {
		r.Sink = deaf{}
	}
	r.limits.fill()
	if r.Starting == nil {
		r.Starting = context.Background()
	}
	if _, err := QuotePath(r.RepoPath); err != nil {
		return err
	}
	seen := make(map[string]bool, len(r.Targets))
	for _, t := range r.Targets {
		if seen[t.Host] {
			return fmt.Errorf("push: host %s is selected twice", t.Host)
		}
		seen[t.Host] = true
	}
	return nil
}

// deaf is a Sink that nobody listens to.
type deaf struct{}

// Emit implements [Sink].
func (deaf) Emit(Event) {}

// tail keeps the last bytes that were written to it, for error messages. It may be used by
// many goroutines.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// tailLimit is how much of a node's standard error is kept for an error message, in bytes.
const tailLimit = 8 << 10

// Write implements io.Writer; it never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailLimit; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
