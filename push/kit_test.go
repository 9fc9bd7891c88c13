package push_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"troops/gitcli"
	"troops/nodeside/sandbox"
	"troops/push"
	"troops/push/gitwire"
	"troops/sshx"
)

// troopsBinary is the program that the sandbox's nodes run.
var troopsBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "troops-push-test-")
	if err != nil {
		panic(err)
	}
	troopsBinary = filepath.Join(dir, "troops")
	if out, err := exec.Command("go", "build", "-o", troopsBinary, "troops/cmd/troops").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building troops: %v\n%s", err, out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// fleet is a deployment repository and sandbox nodes to push it to.
type fleet struct {
	*sandbox.Fleet
	t      *testing.T
	repo   gitcli.Repo
	client *sshx.Client
	sink   *recorder
}

func newFleet(t *testing.T, opts sandbox.Options) *fleet {
	t.Helper()
	f := &fleet{t: t, repo: gitcli.Repo{Dir: t.TempDir()}, sink: newRecorder()}
	opts.Dir, opts.Binary = t.TempDir(), troopsBinary
	var err error
	if f.Fleet, err = sandbox.Start(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	f.newClient()
	f.git("init", "-q", "-b", "master")
	f.git("config", "user.name", "test")
	f.git("config", "user.email", "test@example.com")
	f.git("config", "commit.gpgSign", "false")
	return f
}

func (f *fleet) newClient() {
	f.t.Helper()
	var err error
	if f.client, err = sshx.New(sshx.Options{ConfigFile: f.SSHConfig}); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { f.client.Close() })
}

func (f *fleet) git(args ...string) string {
	f.t.Helper()
	out, err := f.repo.Line(context.Background(), args...)
	if err != nil {
		f.t.Fatal(err)
	}
	return out
}

// commit makes deploy.py the text and returns the new commit.
func (f *fleet) commit(deploy string) gitwire.OID {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.repo.Dir, "deploy.py"), []byte(deploy), 0o644); err != nil {
		f.t.Fatal(err)
	}
	f.git("add", "deploy.py")
	f.git("commit", "-q", "--allow-empty", "-m", "change")
	return gitwire.OID(f.git("rev-parse", "HEAD"))
}

func (f *fleet) rollout(commit gitwire.OID) *push.Rollout {
	r := &push.Rollout{
		Repo: f.repo, Commit: commit, Branch: "refs/heads/master", By: "test@here",
		RepoPath: sandbox.RepoPath, Dial: push.SSH(f.client), Sink: f.sink,
	}
	for _, n := range f.Nodes {
		r.Targets = append(r.Targets, push.Target{Host: n.Name, Name: n.Name})
	}
	return r
}

// push deploys the commit to all nodes and returns the outcomes by node.
func (f *fleet) push(commit gitwire.OID) map[string]push.Outcome {
	f.t.Helper()
	return f.run(f.rollout(commit))
}

func (f *fleet) run(r *push.Rollout) map[string]push.Outcome {
	f.t.Helper()
	results, err := r.Run(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	out := make(map[string]push.Outcome)
	for _, res := range results {
		out[res.Target.Host] = res.Outcome
	}
	return out
}

// at is the commit that a node's branch is at, empty for none.
func (f *fleet) at(n *sandbox.Node) gitwire.OID {
	oid, err := gitcli.Repo{GitDir: n.Repo}.Line(context.Background(), "rev-parse", "--verify", "--quiet", "refs/heads/master")
	if err != nil {
		return ""
	}
	return gitwire.OID(oid)
}

func (f *fleet) wantKinds(got map[string]push.Outcome, want push.Kind) {
	f.t.Helper()
	for _, n := range f.Nodes {
		if o := got[n.Name]; o == nil || o.Kind() != want {
			f.t.Errorf("%s: outcome %v, want %s\n%s", n.Name, o, want, f.sink.text(n.Name))
		}
	}
}

// recorder is a Sink that keeps all output by node and lets tests wait for some of it.
type recorder struct {
	mu       sync.Mutex // guards what follows
	changed  *sync.Cond
	out      map[source]*bytes.Buffer
	streams  map[push.Stream]*bytes.Buffer // of all nodes
	finished map[string]push.Finished
	phases   map[string][]string
	compared []push.Compared
	runs     map[string][]push.RunEnded
}

// source is one stream of one node.
type source struct {
	node   string
	stream push.Stream
}

func newRecorder() *recorder {
	r := &recorder{
		out: make(map[source]*bytes.Buffer), streams: make(map[push.Stream]*bytes.Buffer),
		finished: make(map[string]push.Finished), phases: make(map[string][]string), runs: make(map[string][]push.RunEnded),
	}
	r.changed = sync.NewCond(&r.mu)
	return r
}

// Emit implements push.Sink.
func (r *recorder) Emit(e push.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.changed.Broadcast()
	switch e := e.(type) {
	case push.Output:
		data := e.Data
		if e.Stream == push.Note {
			data = append([]byte("* "), append(data, '\n')...)
		}
		buffer(r.out, source{e.Node, e.Stream}).Write(data)
		buffer(r.streams, e.Stream).Write(data)
	case push.Phase:
		r.phases[e.Node] = append(r.phases[e.Node], e.Phase)
	case push.Compared:
		r.compared = append(r.compared, e)
	case push.Finished:
		r.finished[e.Node] = e
	case push.RunEnded:
		r.runs[e.Node] = append(r.runs[e.Node], e)
	}
}

func buffer[K comparable](m map[K]*bytes.Buffer, k K) *bytes.Buffer {
	if m[k] == nil {
		m[k] = new(bytes.Buffer)
	}
	return m[k]
}

// text is what a node printed so far, stream after stream.
func (r *recorder) text(node string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.locked(node)
}

func (r *recorder) locked(node string) string {
	var b strings.Builder
	for _, s := range []push.Stream{push.Note, push.Stderr, push.Git, push.Stdout} {
		b.Write(buffer(r.out, source{node, s}).Bytes())
	}
	return b.String()
}

// await blocks until the node's output holds the text, or until it finished without it.
func (r *recorder) await(t *testing.T, node, text string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for !strings.Contains(r.locked(node), text) {
		if done, ok := r.finished[node]; ok {
			t.Fatalf("%s finished (%v) without printing %q:\n%s", node, done.Outcome, text, r.locked(node))
		}
		r.changed.Wait()
	}
}

// awaitRuns blocks until so many runs of the node that is tailed have ended.
func (r *recorder) awaitRuns(node string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.runs[node]) < n {
		r.changed.Wait()
	}
}

// awaitCompared blocks until it was told what nodes get.
func (r *recorder) awaitCompared() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.compared) == 0 {
		r.changed.Wait()
	}
}

var _ push.Sink = (*recorder)(nil)

// gate is a named pipe: deploy.py waits in gate.python() until the test calls open.
type gate string

func newGate(t *testing.T) gate {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gate")
	if out, err := exec.Command("mkfifo", path).CombinedOutput(); err != nil {
		t.Fatalf("mkfifo: %v %s", err, out)
	}
	return gate(path)
}

// python is the statement by which deploy.py waits at the gate.
func (g gate) python() string { return fmt.Sprintf("open(%q).read()\n", string(g)) }

// shell is the same for a shell script.
func (g gate) shell() string { return fmt.Sprintf("cat '%s' >/dev/null\n", string(g)) }

// open lets one waiting program go on.
func (g gate) open(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile(string(g), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
