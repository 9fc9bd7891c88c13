package nodeside

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"troops/nodeside/runlog"
	"troops/nodeside/wire"
)

// remote makes a bare repository that the node pulls from.
func (n *testNode) remote(name string) string {
	n.Helper()
	path := filepath.Join(filepath.Dir(n.l.Dir), name+".git")
	n.git("init", "-q", "--bare", "-b", "master", path)
	n.addRemote(name, "file://"+path)
	return path
}

// addRemote is what the user types on the node.
func (n *testNode) addRemote(name, url string) {
	n.Helper()
	n.git("--git-dir="+n.l.Repo(), "remote", "add", name, url)
}

// pull pulls as the timer does, and returns what was said.
func (n *testNode) pull() (string, error) {
	n.Helper()
	var out bytes.Buffer
	err := Pull(n.Context(), n.l, PullOptions{Out: &out})
	return out.String(), err
}

func (n *testNode) mustPull() string {
	n.Helper()
	out, err := n.pull()
	if err != nil {
		n.Fatalf("pull: %v\n%s", err, out)
	}
	return out
}

// refused pulls, which has to fail with all of these words and without a run.
func (n *testNode) refused(words ...string) {
	n.Helper()
	before, tip := len(n.runs()), n.tip("refs/heads/master")
	out, err := n.pull()
	if err == nil {
		n.Fatalf("the pull did well:\n%s", out)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			n.Errorf("no %q in %v", w, err)
		}
	}
	if now := n.tip("refs/heads/master"); len(n.runs()) != before || now != tip {
		n.Errorf("something ran, or the branch moved to %s", now)
	}
}

func (n *testNode) deployed(oid string) {
	n.Helper()
	if tip := n.tip(wire.DeployedRef); tip != oid {
		n.Errorf("%s is deployed, not %s", tip, oid)
	}
}

const deployHello = "#!/bin/sh\necho hello\n"

// Nothing but `git remote add` is needed to begin; then nothing new is nothing to say.
func TestPull(t *testing.T) {
	n := newTestNode(t)
	if out := n.mustPull(); out != "" {
		t.Errorf("without remotes: %q", out)
	}
	origin := n.remote("origin")
	n.refused("remote origin", "has no branch")
	oid := n.commit("deploy", deployHello)
	n.git("push", "-q", origin, "master")
	if out := n.mustPull(); !strings.Contains(out, "pulled "+short(oid)+" from origin") || !strings.Contains(out, "hello\n") {
		t.Errorf("the first pull said %q", out)
	}
	n.deployed(oid)
	if r := n.runs()[oid]; r.State != wire.OK || r.By != "pull" {
		t.Errorf("its run: %+v", r)
	}
	if out := n.mustPull(); out != "" || len(n.runs()) != 1 {
		t.Errorf("nothing new: %q, %d runs", out, len(n.runs()))
	}
	// A push in between, that the remote does not have, is no harm.
	oid = n.commit("x", "pushed")
	n.mustPush("master")
	if out := n.mustPull(); out != "" {
		t.Errorf("a remote that lags: %q", out)
	}
	n.deployed(oid)
}

// The remote's default branch is deployed where it has none of the name that HEAD has here.
func TestPullFirstBranch(t *testing.T) {
	n := newTestNode(t)
	one, two := n.remote("one"), n.remote("two")
	oid := n.commit("deploy", deployHello)
	for _, r := range []string{one, two} {
		n.git("push", "-q", r, "master:refs/heads/main", "master:refs/heads/other")
		n.git("--git-dir="+r, "symbolic-ref", "HEAD", "refs/heads/main")
	}
	n.git("--git-dir="+two, "symbolic-ref", "HEAD", "refs/heads/other")
	n.refused("default branches differ", "refs/heads/main of remote one", "refs/heads/other of remote two")
	n.git("--git-dir="+two, "symbolic-ref", "HEAD", "refs/heads/main")
	n.mustPull()
	n.deployed(oid)
	if ref := n.git("--git-dir="+n.l.Repo(), "symbolic-ref", wire.DeployedRef); ref != "refs/heads/main" {
		t.Errorf("the deployed branch is %s", ref)
	}
}

// Of three remotes one is down and one lags: the furthest is deployed, and the run tells.
func TestPullFurthest(t *testing.T) {
	n := newTestNode(t)
	lags, far := n.remote("lags"), n.remote("far")
	old := n.commit("deploy", deployHello)
	n.git("push", "-q", lags, "master")
	oid := n.commit("x", "1")
	n.git("push", "-q", far, "master")
	n.addRemote("down", "git://"+closedPort(t)+"/x")
	n.git("--git-dir="+n.l.Repo(), "config", "remote.down.troopsInsecure", "true")
	out := n.mustPull()
	for _, want := range []string{"remote down is left out: ", "Connection refused", "pulled " + short(oid) + " from far"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %q", want, out)
		}
	}
	n.deployed(oid)
	if text, _ := n.follow(n.runs()[oid].Run); !strings.Contains(text, "pulled "+short(oid)+" from far") || !strings.Contains(text, "remote down is left out") {
		t.Errorf("its log: %q", text)
	}
	if _, ran := n.runs()[old]; ran {
		t.Error("the one that lags was deployed too")
	}
	n.check(os.RemoveAll(lags))
	n.check(os.RemoveAll(far))
	n.refused("no remote could be fetched from", "remote down: ", "remote far: ", "remote lags: ")
}

// closedPort is a loopback address where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// Two remotes that went different ways: none is deployed, both are named, until they agree.
func TestPullDiverging(t *testing.T) {
	n := newTestNode(t)
	left, right := n.remote("left"), n.remote("right")
	base := n.commit("deploy", deployHello)
	n.git("push", "-q", left, "master")
	n.git("push", "-q", right, "master")
	n.mustPull()
	one := n.commit("x", "left")
	n.git("push", "-q", left, "master")
	n.git("reset", "-q", "--hard", base)
	two := n.commit("x", "right")
	n.git("push", "-q", right, "master")
	n.refused("diverged from each other", "left (at "+short(one)+")", "right (at "+short(two)+")")
	n.git("merge", "-q", "-s", "ours", "-m", "merged", one)
	n.git("push", "-q", left, "master")
	n.mustPull()
	n.deployed(n.git("rev-parse", "HEAD"))
}

// A remote that was force-pushed is refused by name; another one goes on to be followed.
func TestPullForcePushed(t *testing.T) {
	n := newTestNode(t)
	bad, good := n.remote("bad"), n.remote("good")
	base := n.commit("deploy", deployHello)
	n.commit("x", "1")
	n.git("push", "-q", bad, "master")
	n.git("push", "-q", good, "master")
	n.mustPull()
	n.git("checkout", "-q", "-b", "forced", base)
	n.commit("x", "forced")
	n.git("push", "-q", "-f", bad, "HEAD:master")
	n.refused("remote bad was force-pushed")
	n.refused("remote bad has diverged from what is deployed")
	n.git("checkout", "-q", "master")
	oid := n.commit("x", "2")
	n.git("push", "-q", good, "master")
	if out := n.mustPull(); !strings.Contains(out, "refused: remote bad") {
		t.Errorf("said %q", out)
	}
	n.deployed(oid)
	// Taking commits back is no way to go back either: what is deployed stays.
	n.git("push", "-q", "-f", good, base+":refs/heads/master")
	n.git("--git-dir="+n.l.Repo(), "remote", "remove", "bad")
	if out := n.mustPull(); out != "" {
		t.Errorf("a remote that went back: %q", out)
	}
	if n.tip(wire.RemoteRefPrefix+"bad/head") != "" || n.tip(wire.RemoteRefPrefix+"good/head") != base {
		t.Error("what is kept of the remotes is not what is there")
	}
	n.deployed(oid)
}

// A configuration that would have a fetch move the deployed branch does not.
func TestPullMovesNoOtherRef(t *testing.T) {
	n := newTestNode(t)
	origin := n.remote("origin")
	n.git("--git-dir="+n.l.Repo(), "config", "remote.origin.fetch", "+refs/heads/*:refs/heads/*")
	n.git("--git-dir="+n.l.Repo(), "config", "remote.origin.prune", "true")
	n.git("--git-dir="+n.l.Repo(), "config", "remote.origin.tagOpt", "--tags")
	oid := n.commit("deploy", deployHello)
	n.git("tag", "v1")
	n.git("push", "-q", origin, "master", "v1")
	n.mustPull()
	n.commit("deploy", "#!/bin/sh\nexit 7\n")
	n.git("push", "-q", origin, "master", "master:refs/heads/other")
	if out, err := n.pull(); err == nil || !strings.Contains(err.Error(), "exited 7") {
		t.Errorf("%v, %s", err, out)
	}
	n.deployed(oid)
	if refs := n.git("--git-dir="+n.l.Repo(), "for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags", "refs/remotes"); refs != "refs/heads/master" {
		t.Errorf("refs %q", refs)
	}
}

// A deployment that fails leaves the branch, waits for longer and longer, and is forgotten
// as soon as there is another commit.
func TestPullBackoff(t *testing.T) {
	n := newTestNode(t)
	origin := n.remote("origin")
	oid := n.commit("deploy", deployHello)
	n.git("push", "-q", origin, "master")
	n.mustPull()
	sick := n.l.Dir + ".sick"
	n.check(writeEmpty(sick))
	broken := n.commit("deploy", "#!/bin/sh\ntest ! -e '"+sick+"' || exit 7\n")
	n.git("push", "-q", origin, "master")
	if out, err := n.pull(); err == nil || !strings.Contains(err.Error(), "exited 7") {
		t.Fatalf("%v, %s", err, out)
	}
	n.deployed(oid)
	first := n.runs()[broken]
	if out := n.mustPull(); !strings.Contains(out, short(broken)+" has failed once") || len(n.runs()) != 2 {
		t.Errorf("at once: %q, %d runs", out, len(n.runs()))
	}
	n.age(first, RetryFirst)
	if _, err := n.pull(); err == nil {
		t.Error("it was not tried again in time")
	}
	n.age(n.runs()[broken], RetryFirst)
	if out := n.mustPull(); !strings.Contains(out, "has failed 2 times") {
		t.Errorf("after two failures: %q", out)
	}
	n.age(first, 2*RetryFirst+time.Minute)
	for _, r := range n.all() {
		if r.Commit == broken {
			n.age(r, 2*RetryFirst)
		}
	}
	n.check(os.Remove(sick))
	n.mustPull()
	n.deployed(broken)

	// Another commit does not wait, and neither does who wants it now.
	n.check(writeEmpty(sick))
	n.commit("x", "broken again")
	n.git("push", "-q", origin, "master")
	if _, err := n.pull(); err == nil {
		t.Error("it did well")
	}
	if err := Pull(t.Context(), n.l, PullOptions{Now: true, Out: new(bytes.Buffer)}); err == nil || !strings.Contains(err.Error(), "exited 7") {
		t.Errorf("now: %v", err)
	}
	fixed := n.commit("deploy", deployHello)
	n.git("push", "-q", origin, "master")
	n.mustPull()
	n.deployed(fixed)
}

// all are the records of all runs.
func (n *testNode) all() map[runlog.Dir]wire.Result {
	n.Helper()
	all, err := runlog.List(n.l.Runs())
	n.check(err)
	return all
}

// age has a run ended d earlier than it did.
func (n *testNode) age(r wire.Result, d time.Duration) {
	n.Helper()
	n.awaitEnd(r.Run)
	r.Ended = r.Ended.Add(-d)
	n.check(n.l.run(r.Run).SetRecord(r))
}

func TestDue(t *testing.T) {
	n := newTestNode(t)
	now := time.Now()
	for _, test := range []struct {
		name   string
		states []wire.State
		ended  time.Duration // of all, before now
		want   bool
	}{
		{"never tried", nil, 0, true},
		{"failed just now", []wire.State{wire.Failed}, time.Second, false},
		{"failed long enough ago", []wire.State{wire.Failed}, RetryFirst, true},
		{"interrupted twice", []wire.State{wire.Interrupted, wire.Failed}, RetryFirst, false},
		{"failed, and others gave way", []wire.State{wire.Failed, wire.Superseded, wire.Joined}, RetryFirst, true},
		{"fails always", []wire.State{wire.Failed, wire.Failed, wire.Failed, wire.Failed, wire.Failed, wire.Failed, wire.Failed, wire.Failed, wire.Failed}, RetryMost, true},
		{"failed in the future", []wire.State{wire.Failed}, -24 * time.Hour, true},
	} {
		oid := strings.Repeat("a", 39) + string(rune('0'+len(test.name)%10))
		for _, s := range test.states {
			_, alive, err := runlog.Create(n.l.Runs(), wire.Result{Run: ulid.Make().String(), Commit: oid, State: s, Queued: now, Ended: now.Add(-test.ended)})
			n.check(err)
			n.check(alive.Close())
		}
		if due, why, err := n.l.due(oid, now); err != nil || due != test.want || due != (why == "") {
			t.Errorf("%s: %v, %q, %v", test.name, due, why, err)
		}
		n.check(os.RemoveAll(n.l.Runs()))
		n.check(os.Mkdir(n.l.Runs(), 0o700))
	}
}

// The ways to ssh have the node's own key, and nobody to ask.
func TestSSHCommand(t *testing.T) {
	got := LayoutAt("/srv/a b%'s").sshCommand()
	for _, want := range []string{
		`'-i' '/srv/a b%%'\''s/ssh/id_ed25519'`, "'BatchMode=yes'", "'StrictHostKeyChecking=accept-new'",
		`'UserKnownHostsFile="/srv/a b%%'\''s/ssh/known_hosts"'`, "'IdentityAgent=none'", "'IdentitiesOnly=yes'",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
}

// What a workstation is told: a result in any case, and the notes.
func TestPullFrames(t *testing.T) {
	n := newTestNode(t)
	pull := func() (string, wire.Result) {
		t.Helper()
		var out bytes.Buffer
		id := ulid.Make().String()
		n.check(PullFrames(t.Context(), n.l, id, "ann@web-1:22", "ann@desk", &out))
		text, r := decode(t, out.Bytes())
		if r.Run != id {
			t.Errorf("run %s, asked for %s", r.Run, id)
		}
		return text, r
	}
	if _, r := pull(); r.State != wire.Refused || !strings.Contains(r.Error, "remote add NAME URL") {
		t.Errorf("without remotes: %+v", r)
	}
	origin := n.remote("origin")
	if _, r := pull(); r.State != wire.Failed || r.Phase != "fetch" || !strings.Contains(r.Error, "remote origin") {
		t.Errorf("an empty remote: %+v", r)
	}
	oid := n.commit("deploy", deployHello)
	n.git("push", "-q", origin, "master")
	if text, r := pull(); r.State != wire.OK || r.Commit != oid || r.By != "ann@desk" || r.Host != "web-1" || !strings.Contains(text, "pulled "+short(oid)) || !strings.Contains(text, "hello\n") {
		t.Errorf("%+v, %q", r, text)
	}
	n.addRemote("gone", "file:///nonexistent")
	if text, r := pull(); r.State != wire.Current || r.Commit != oid || !strings.Contains(text, "remote gone is left out") {
		t.Errorf("%+v, %q", r, text)
	}
	n.check(os.Rename(n.l.Repo(), n.l.Repo()+".gone"))
	if _, r := pull(); r.State != wire.Failed || !strings.Contains(r.Error, "listing the remotes") {
		t.Errorf("without a repository: %+v", r)
	}
	if err := PullFrames(t.Context(), n.l, "../x", "", "", new(bytes.Buffer)); err == nil {
		t.Error("a bad run is taken")
	}
}

// While the remotes are asked the workstation hears of it.
func TestBeat(t *testing.T) {
	r, w := io.Pipe()
	now := time.Unix(0, 0)
	sink := newFrameSink(w)
	sink.last = now
	sink.now = func() time.Time { now = now.Add(wire.HeartbeatInterval); return now }
	beats := make([]byte, 15)
	beat(sink, time.Millisecond, func() {
		if _, err := io.ReadFull(r, beats); err != nil {
			t.Error(err)
		}
		r.Close()
	})
	if string(beats) != "0005h0005h0005h" {
		t.Errorf("%q", beats)
	}
}

func TestWriteKey(t *testing.T) {
	n := newTestNode(t)
	var out bytes.Buffer
	if err := WriteKey(n.l, &out); err != nil || !strings.HasPrefix(out.String(), "ssh-ed25519 ") {
		t.Errorf("%q, %v", &out, err)
	}
	n.check(os.Remove(n.l.Key() + ".pub"))
	if err := WriteKey(n.l, &out); err == nil || !strings.Contains(err.Error(), "node init") {
		t.Errorf("%v", err)
	}
}
