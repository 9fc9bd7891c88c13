// Package doctor finds out, step by step, how hosts are resolved and reached and what a push
// would find on them, without changing anything on either side.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"troops/push"
	"troops/sshx"
)

// HostTimeout is how long all that is asked of one host may take, beside connecting to it,
// which has limits of its own (see [sshx.Options]).
const HostTimeout = 60 * time.Second

// Level is how bad a finding is.
type Level string

// The levels. Only a [Bad] finding keeps a push from working.
const (
	Good Level = "ok"
	Warn Level = "warn"
	Bad  Level = "FAIL"
)

// Finding is one thing that was found out. Its texts may be a node's: make them safe to show.
type Finding struct {
	Hop   string // the jump host that it is about; empty for the host itself
	Topic string // such as "host key"
	Level Level
	Text  string
	Hint  string // the way out, may be empty
}

// Report is all that was found out about a host, in order.
type Report struct {
	Host     string
	Findings []Finding
}

// Well reports whether nothing keeps a push to the host from working.
func (r Report) Well() bool {
	for _, f := range r.Findings {
		if f.Level == Bad {
			return false
		}
	}
	return true
}

func (r *Report) add(topic string, l Level, text, hint string) {
	r.Findings = append(r.Findings, Finding{Topic: topic, Level: l, Text: text, Hint: hint})
}

// Options are how a Doctor works. The zero value is good.
type Options struct {
	SSH      sshx.Options // its ReadOnly and Trace are the Doctor's
	RepoPath string       // of the repository on the hosts; empty for [push.DefaultRepoPath]
}

// Doctor examines hosts. It is safe for concurrent use.
type Doctor struct {
	client   *sshx.Client
	repoPath string

	mu    sync.Mutex
	steps map[string][]sshx.Step // by hop
}

// New reads the OpenSSH configuration. Errors are those of [sshx.New].
func New(o Options) (*Doctor, error) {
	d := &Doctor{repoPath: o.RepoPath, steps: make(map[string][]sshx.Step)}
	if d.repoPath == "" {
		d.repoPath = push.DefaultRepoPath
	}
	o.SSH.ReadOnly, o.SSH.Trace = true, d.trace
	var err error
	d.client, err = sshx.New(o.SSH)
	return d, err
}

// Close ends what the Doctor has open.
func (d *Doctor) Close() error { return d.client.Close() }

func (d *Doctor) trace(s sshx.Step) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.Stage == sshx.StageConnect { // another try: the one before has not come to its end
		d.steps[s.Hop] = nil
	}
	d.steps[s.Hop] = append(d.steps[s.Hop], s)
}

// took gives the steps of a hop's last dial, which are for one report only unless the
// connection is shared.
func (d *Doctor) took(hop sshx.Hop) []sshx.Step {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.steps[hop.ID]
}

// Examine finds out about one host, given as `[user@]name[:port]`. What went wrong is in the
// report, ctx's end as well.
func (d *Doctor) Examine(ctx context.Context, host string) Report {
	r := Report{Host: host}
	hops, err := d.client.Route(ctx, host)
	if err != nil {
		r.add("configuration", Bad, cause(err), "")
		return r
	}
	conn, err := d.client.Dial(ctx, host)
	for _, hop := range hops {
		d.hop(&r, hop)
	}
	ssh := hops[len(hops)-1].SSH
	if err != nil {
		r.add(stageOf(err), Bad, cause(err), "`ssh -v "+ssh+"` shows what ssh makes of it")
		return r
	}
	defer conn.Close()
	r.add("transport", Good, conn.Transport(), "")
	d.node(ctx, &r, conn, ssh)
	return r
}

// hop adds what the way through one hop has shown.
func (d *Doctor) hop(r *Report, hop sshx.Hop) {
	name := hop.Name
	if hop.Last {
		name = ""
	}
	r.Findings = append(r.Findings, Finding{Hop: name, Topic: "configuration", Level: Good, Text: hop.Detail})
	for _, s := range d.took(hop) {
		text := s.Detail
		if s.Stage == sshx.StageConnect || s.Stage == sshx.StageAuth {
			text += fmt.Sprintf(" (after %d ms)", s.Took.Milliseconds())
		}
		r.Findings = append(r.Findings, Finding{Hop: name, Topic: topics[s.Stage], Level: Good, Text: text})
	}
}

// topics are the stages of a dial in the words of a report.
var topics = map[string]string{
	sshx.StageConfig: "configuration", sshx.StageResolve: "address", sshx.StageConnect: "address",
	sshx.StageHandshake: "server", sshx.StageHostKey: "host key", sshx.StageAuth: "authentication",
	sshx.StageJump: "jump host",
}

// stageOf names where a dial has failed.
func stageOf(err error) string {
	var de *sshx.DialError
	if errors.As(err, &de) && topics[de.Stage] != "" {
		return topics[de.Stage]
	}
	return "connection"
}

// cause is the error of a dial without what the report says already.
func cause(err error) string {
	var de *sshx.DialError
	if errors.As(err, &de) {
		return de.Err.Error()
	}
	return err.Error()
}

// ExamineAll examines hosts, at most some at once, and gives the reports in the hosts' order,
// each as soon as those before it are there. It ends early with ctx, or when the caller has enough.
func (d *Doctor) ExamineAll(ctx context.Context, hosts []string, atOnce int) iter.Seq[Report] {
	return func(yield func(Report) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		slots := make(chan struct{}, max(1, atOnce))
		reports := make([]chan Report, len(hosts))
		for i := range hosts {
			reports[i] = make(chan Report, 1)
		}
		wg.Go(func() {
			for i, host := range hosts {
				select {
				case slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
				wg.Go(func() {
					reports[i] <- d.Examine(ctx, host)
					<-slots
				})
			}
		})
		for _, report := range reports {
			select {
			case r := <-report:
				if !yield(r) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
