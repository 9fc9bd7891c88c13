package nodeside

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"troops/nodeside/wire"
)

const deployNothing = "#!/bin/sh\n"

func TestOtherBranches(t *testing.T) {
	n := newTestNode(t)
	master := n.commit("deploy", deployNothing)
	n.mustPush("master")
	topic := n.commit("x", "topic")
	out := n.mustPush("master:refs/heads/topic", "HEAD~1:refs/heads/old", "HEAD:refs/tags/v1")
	if got := n.tip("refs/heads/topic"); got != topic {
		t.Errorf("topic is at %q", got)
	}
	if got := n.tip("refs/heads/master"); got != master {
		t.Errorf("master has moved to %q", got)
	}
	if !strings.Contains(out, "troops: refs/heads/topic stored, not deployed: this node deploys refs/heads/master") {
		t.Errorf("no word of it in\n%s", out)
	}
	if runs := n.runs(); len(runs) != 1 {
		t.Errorf("%d runs", len(runs))
	}
	n.mustPush("+HEAD~1:refs/heads/topic") // others may be rewound
	n.mustPush(":refs/heads/topic")
	if got := n.tip("refs/heads/topic"); got != "" {
		t.Errorf("topic is still at %q", got)
	}
	// Both at once: one is deployed, one is stored.
	n.mustPush("HEAD:refs/heads/master", "HEAD:refs/heads/topic")
	if n.tip("refs/heads/master") != topic || n.tip("refs/heads/topic") != topic {
		t.Error("a push of two branches moved not both")
	}
}

func TestRefusedPushes(t *testing.T) {
	n := newTestNode(t)
	first := n.commit("deploy", deployNothing)
	n.mustPush("master")
	second := n.commit("x", "y")
	run := n.pushRun(second)
	if _, r := n.follow(run); r.State != wire.OK {
		t.Fatalf("%+v", r)
	}
	n.git("checkout", "-q", "-b", "side", first)
	n.commit("x", "z")
	runs := len(n.runs())
	for _, test := range []struct{ name, spec, want string }{
		{"delete", ":refs/heads/master", "cannot be deleted"},
		{"rewind", "+" + first + ":refs/heads/master", "not a fast-forward of " + second[:12]},
		{"sibling", "+side:refs/heads/master", "not a fast-forward"},
		{"delete a run ref", ":" + wire.RunRefPrefix + run, "run refs are only created"},
		{"move a run ref", "+side:" + wire.RunRefPrefix + run, "run refs are only created"},
		{"no ULID", "side:" + wire.RunRefPrefix + "latest", "has a ULID"},
		{"no commit", "HEAD^{tree}:" + wire.RunRefPrefix + ulid.Make().String(), "is a tree, only commits are deployed"},
	} {
		out, err := n.push(test.spec)
		if err == nil || !strings.Contains(out, "troops: ") || !strings.Contains(out, test.want) {
			t.Errorf("%s: %v\n%s", test.name, err, out)
		}
	}
	if got := n.tip("refs/heads/master"); got != second {
		t.Errorf("master is at %q, want %q", got, second)
	}
	if len(n.runs()) != runs {
		t.Error("a refused push made a run")
	}
}

func TestFirstPush(t *testing.T) {
	for _, test := range []struct {
		name, head string
		push       []string
		deployed   string // empty: refused
	}{
		{"one branch", "", []string{"HEAD:refs/heads/prod"}, "refs/heads/prod"},
		{"several with HEAD's", "", []string{"HEAD:refs/heads/a", "HEAD:refs/heads/master"}, "refs/heads/master"},
		{"several others", "", []string{"HEAD:refs/heads/a", "HEAD:refs/heads/b"}, ""},
		{"run", "", []string{"-o", "troops-branch=refs/heads/prod", "HEAD:" + wire.RunRefPrefix + "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, "refs/heads/prod"},
		{"run without branch", "", []string{"HEAD:" + wire.RunRefPrefix + "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, ""},
		{"run of a bad branch", "", []string{"-o", "troops-branch=--upload-pack=x", "HEAD:" + wire.RunRefPrefix + "01ARZ3NDEKTSV4RRFFQ69G5FAV"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := newTestNode(t)
			n.commit("deploy", deployNothing)
			out, err := n.push(test.push...)
			if (err != nil) != (test.deployed == "") {
				t.Errorf("git push: %v\n%s", err, out)
			}
			deployed, err := n.l.deployedBranch(t.Context())
			n.check(err)
			if deployed != test.deployed {
				t.Errorf("deployed branch %q, want %q", deployed, test.deployed)
			}
			if head := n.git("--git-dir="+n.l.Repo(), "symbolic-ref", "HEAD"); test.deployed != "" && head != test.deployed {
				t.Errorf("HEAD is %q", head)
			}
		})
	}
}

// A node's repository may have 256-bit object names.
func TestSHA256(t *testing.T) {
	n := &testNode{TB: t, l: LayoutAt(filepath.Join(t.TempDir(), "node"))}
	n.work = filepath.Join(t.TempDir(), "work")
	n.check(os.MkdirAll(filepath.Dir(n.l.Repo()), 0o700))
	n.git("init", "-q", "--bare", "--object-format=sha256", "-b", "master", n.l.Repo())
	n.check(os.MkdirAll(n.l.hooks(), 0o700))
	n.init()
	t.Cleanup(n.endRuns)
	n.git("init", "-q", "-b", "master", "--object-format=sha256", n.work)
	for range 2 {
		oid := n.commit("deploy", deployNothing)
		n.mustPush("master")
		if got := n.tip("refs/heads/master"); got != oid || len(oid) != 64 {
			t.Errorf("master is at %q, want %q", got, oid)
		}
	}
}

func TestCheckout(t *testing.T) {
	n := newTestNode(t)
	n.check(os.Symlink("a/b", filepath.Join(n.work, "link")))
	// None of these attributes may change what is deployed.
	sub := n.commit("a/b", "x\n", ".gitattributes", "a/b export-ignore\ndeploy export-subst\n", "deploy",
		"#!/bin/sh\necho '$Format:%H$'\ncat link\nls -d vendor/sub\npwd\nls -la .git 2>/dev/null\nexit 0\n")
	n.git("update-index", "--add", "--cacheinfo", "160000,"+sub+",vendor/sub")
	n.git("commit", "-q", "--amend", "-m", "all")
	text, r := n.follow(n.pushRun("HEAD"))
	dir := n.l.checkout(r.Run)
	want := "[p checkout]\n[t \"vendor/sub\" is a submodule: left empty, nodes do not fetch submodules]\n[p venv]\n[p deploy]\n" +
		"$Format:%H$\nx\nvendor/sub\n" + dir + "\n"
	if text != want || r.State != wire.OK {
		t.Errorf("%q\nwant\n%q\n%+v", text, want, r)
	}
	info, err := os.Stat(dir)
	n.check(err)
	if info.Mode().Perm() != 0o755 {
		t.Errorf("mode %v", info.Mode())
	}
}

func TestStartRefuses(t *testing.T) {
	n := newTestNode(t)
	oid := n.commit("deploy", deployNothing)
	n.mustPush("master")
	id := n.runs()[oid].Run
	other := n.commit("x", "y")
	n.mustPush("HEAD:refs/heads/other")
	for _, test := range []struct {
		name string
		q    Request
		want string
	}{
		{"unknown commit", Request{Run: ulid.Make().String(), Commit: strings.Repeat("1", 40), Branch: "refs/heads/master"}, "looking for commit 1111"},
		{"another branch", Request{Run: ulid.Make().String(), Commit: other, Branch: "refs/heads/other"}, "this node deploys refs/heads/master, not refs/heads/other"},
		{"a used run", Request{Run: id, Commit: other, Branch: "refs/heads/master"}, "exists already, for commit " + oid},
	} {
		if _, err := n.start(test.q); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// Asked for twice, as after a lost connection: the same run.
	if got, err := n.start(Request{Run: id, Commit: oid, Branch: "refs/heads/master"}); got != id || err != nil {
		t.Errorf("again: %q, %v", got, err)
	}
}

// A hook that cannot reach start says so; nothing is half done.
func TestStartUnreachable(t *testing.T) {
	n := newTestNode(t)
	n.commit("deploy", deployNothing)
	n.check(os.Rename(n.l.Runs(), n.l.Runs()+".away"))
	out, err := n.push("master")
	if err == nil || !strings.Contains(out, "troops: listing runs") {
		t.Errorf("git push: %v\n%s", err, out)
	}
	n.check(os.Rename(n.l.Runs()+".away", n.l.Runs()))
	n.mustPush("master")
}

// The node's own refs are not for pushers. One of them is symbolic: through it git would move
// the deployed branch without a run.
func TestPushOwnRefs(t *testing.T) {
	n := newTestNode(t)
	n.commit("deploy", deployHello)
	n.mustPush("master")
	refs := n.git("--git-dir="+n.l.Repo(), "for-each-ref")
	other := n.commit("x", "y")
	for _, spec := range []string{
		other + ":" + wire.DeployedRef, ":" + wire.DeployedRef, ":" + wire.AdvertisedRef,
		other + ":" + wire.RemoteRefPrefix + "x/head", other + ":refs/troops/new",
	} {
		if out, err := n.push("--force", spec); err == nil || !strings.Contains(out, "is the node's own") {
			t.Errorf("%s: %v\n%s", spec, err, out)
		}
	}
	if now := n.git("--git-dir="+n.l.Repo(), "for-each-ref"); now != refs {
		t.Errorf("refs\n%s\nwere\n%s", now, refs)
	}
}
