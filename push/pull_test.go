package push_test

import (
	"path/filepath"
	"strings"
	"testing"

	"troops/nodeside/sandbox"
	"troops/push"
	"troops/push/gitwire"
)

// origin makes a repository that all nodes have as a remote.
func (f *fleet) origin() string {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "origin.git")
	f.git("init", "-q", "--bare", "-b", "master", path)
	for _, n := range f.Nodes {
		f.git("--git-dir="+n.Repo, "remote", "add", "origin", "file://"+path)
	}
	return path
}

// pull makes all nodes pull and returns the outcomes by node.
func (f *fleet) pull() map[string]push.Outcome {
	f.t.Helper()
	results, err := f.rollout(gitwire.OID(f.git("rev-parse", "HEAD"))).Pull(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	out := make(map[string]push.Outcome)
	for _, r := range results {
		out[r.Target.Host] = r.Outcome
	}
	return out
}

// What the remotes have is deployed, not the workstation's commit.
func TestPull(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b"}})
	origin := f.origin()
	oid := f.commit("import troops\nprint('pulled on', troops.hostname())\n")
	f.git("push", "-q", origin, "master")
	f.commit("raise SystemExit('not pushed to the remote')")
	f.wantKinds(f.pull(), push.KindDeployed)
	for _, n := range f.Nodes {
		if at := f.at(n); at != oid {
			t.Errorf("%s is at %s", n.Name, at)
		}
		if text := f.sink.text(n.Name); !strings.Contains(text, "pulled on "+n.Name+"\n") {
			t.Errorf("%s said %q", n.Name, text)
		}
	}
	f.wantKinds(f.pull(), push.KindCurrent)
}

// A connection that breaks while the deployment runs is made again.
func TestPullLostAndFound(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	origin := f.origin()
	gate := newGate(t)
	f.commit("print('begun')\n" + gate.python() + "print('ended')\n")
	f.git("push", "-q", origin, "master")
	done := make(chan map[string]push.Outcome, 1)
	go func() { done <- f.pull() }()
	f.sink.await(t, "a", "begun\n")
	f.Nodes[0].Drop()
	gate.open(t)
	f.wantKinds(<-done, push.KindDeployed)
	text := f.sink.text("a")
	if strings.Count(text, "begun\n") != 1 || strings.Count(text, "ended\n") != 1 || !strings.Contains(text, "found again") {
		t.Errorf("output %q", text)
	}
}

// Repositories that no troops is behind cannot be asked to pull; nothing is changed there.
func TestPullPlain(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}, Bare: true})
	f.commit("print()")
	out := f.pull()
	f.wantKinds(out, push.KindRefused)
	if !strings.Contains(out["a"].String(), "cannot be asked to pull") {
		t.Errorf("%v", out["a"])
	}
}
