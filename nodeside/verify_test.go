package nodeside

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"troops/nodeside/trust/signers"
	"troops/nodeside/wire"
)

// signedNode is a node that demands signatures, the signers, and a remote that it pulls from.
type signedNode struct {
	*testNode
	kit    *signers.Kit
	remote string
	mark   string // what deployments leave
	count  int
}

func newSignedNode(t *testing.T) *signedNode {
	t.Helper()
	t.Parallel() // it is the making of keys and the many processes that take time
	n := &signedNode{testNode: newTestNode(t), kit: signers.New(t)}
	n.mark = filepath.Join(filepath.Dir(n.l.Dir), "ran")
	n.kit.Install(n.l.Trust())
	n.remote = n.testNode.remote("origin")
	return n
}

func (n *signedNode) verify(mode string) {
	n.Helper()
	n.git("--git-dir="+n.l.Repo(), "config", "troops.verify", mode)
}

// sign makes a commit after parent (empty for none) with these options of git.
func (n *signedNode) sign(parent string, options ...string) string {
	n.Helper()
	n.count++
	if parent != "" {
		n.git("checkout", "-q", "-B", "master", parent)
	}
	n.check(os.WriteFile(filepath.Join(n.work, "deploy"), fmt.Appendf(nil, "#!/bin/sh\n: >%s\necho %d\n", n.mark, n.count), 0o755))
	n.git("add", "-A")
	cmd := n.command(append(append([]string{"git"}, options...), "commit", "-q", "-m", "test")...)
	cmd.Env = append(cmd.Env, "GNUPGHOME="+n.kit.Home())
	if out, err := cmd.CombinedOutput(); err != nil {
		n.Fatalf("signing: %v\n%s", err, out)
	}
	return n.git("rev-parse", "HEAD")
}

// tampered makes a commit with the signature of another one.
func (n *signedNode) tampered(signed string) string {
	n.Helper()
	text := n.git("cat-file", "commit", signed)
	cmd := n.command("git", "hash-object", "-t", "commit", "-w", "--stdin")
	cmd.Stdin = strings.NewReader(strings.Replace(text, "\n\ntest", "\n\nforged", 1))
	out, err := cmd.Output()
	n.check(err)
	return strings.TrimSpace(string(out))
}

// state is all that a refused commit must leave as it is.
func (n *signedNode) state() string {
	n.Helper()
	var sb strings.Builder
	sb.WriteString(n.git("--git-dir="+n.l.Repo(), "for-each-ref", "--format=%(refname) %(objectname) %(symref)"))
	for _, d := range []string{n.l.Runs(), n.l.Checkouts(), n.l.Venvs()} {
		n.check(filepath.WalkDir(d, func(path string, _ fs.DirEntry, err error) error {
			fmt.Fprintln(&sb, path)
			return err
		}))
	}
	head, err := os.ReadFile(filepath.Join(n.l.Repo(), "HEAD"))
	n.check(err)
	_, err = os.Stat(n.mark)
	return fmt.Sprintf("%s%s%v", &sb, head, err)
}

// ways are how a commit comes to a node: git push, troops push, pull by timer, troops pull.
func (n *signedNode) ways() map[string]func(oid string) (said string, ok bool) {
	return map[string]func(string) (string, bool){
		"git push": func(oid string) (string, bool) {
			out, err := n.push(oid + ":refs/heads/master")
			return out, err == nil
		},
		"troops push": func(oid string) (string, bool) {
			id := ulid.Make().String()
			out, err := n.push("-o", wire.OptionBranch+"refs/heads/master", oid+":"+wire.RunRefPrefix+id)
			if err != nil {
				return out, false
			}
			out, r := n.follow(id)
			return out, r.State == wire.OK
		},
		"node pull": func(oid string) (string, bool) {
			n.git("push", "-q", "-f", n.remote, oid+":refs/heads/master")
			out, err := n.pull()
			return fmt.Sprint(out, err), err == nil
		},
		"troops pull": func(oid string) (string, bool) {
			n.git("push", "-q", "-f", n.remote, oid+":refs/heads/master")
			var out bytes.Buffer
			n.check(PullFrames(n.Context(), n.l, ulid.Make().String(), "", "ann", &out))
			_, r := decode(n, out.Bytes())
			return r.Error, r.State == wire.OK
		},
	}
}

// refuses has oid refused by every way, with these words, before anything happens.
func (n *signedNode) refuses(name, oid string, words ...string) {
	n.Helper()
	for way, bring := range n.ways() {
		n.refusesBy(way, bring, name, oid, words...)
	}
}

func (n *signedNode) refusesBy(way string, bring func(string) (string, bool), name, oid string, words ...string) {
	n.Helper()
	before := n.state()
	said, ok := bring(oid)
	if ok {
		n.Errorf("%s, by %s: it was deployed", name, way)
	}
	for _, w := range words {
		if !strings.Contains(strings.ReplaceAll(said, "\n", " "), w) {
			n.Errorf("%s, by %s: no %q in\n%s", name, way, w, said)
		}
	}
	if after := n.state(); after != before {
		n.Errorf("%s, by %s: the node was\n%s\nand is\n%s", name, way, before, after)
	}
}

// The table of forged commits. Those that are not signed as the node demands are refused, by push and by pull alike, before
// any ref moves and any of their code runs.
func TestForgedCommits(t *testing.T) {
	n := newSignedNode(t)
	n.verify("head")
	plain := n.sign("")
	// Nothing is deployed yet, not even a branch is chosen.
	n.refuses("the first commit, unsigned", plain, "commit "+short(plain)+" is not signed", "git commit --amend -S")

	good := n.sign("", n.kit.SSH(signers.Good)...) // its parent is not signed, which head allows
	if said, ok := n.ways()["git push"](good); !ok {
		t.Fatalf("a signed commit is refused:\n%s", said)
	}
	n.check(os.Remove(n.mark))

	// What the repository itself says of how to verify has no say.
	evil := filepath.Join(filepath.Dir(n.l.Dir), "evil")
	n.check(os.WriteFile(evil, []byte("#!/bin/sh\n: >"+n.mark+"\nprintf '[GNUPG:] NEWSIG\\n[GNUPG:] GOODSIG 1 x\\n[GNUPG:] TRUST_ULTIMATE 0 pgp\\n'\n"), 0o755))
	for _, key := range []string{"gpg.program", "gpg.openpgp.program", "gpg.ssh.program"} {
		n.git("--git-dir="+n.l.Repo(), "config", key, evil)
	}

	for _, how := range []struct {
		name string
		with func(string) []string
	}{{"ssh", n.kit.SSH}, {"pgp", n.kit.PGP}} {
		signed := n.sign(good, how.with(signers.Good)...)
		for name, oid := range map[string]string{
			"unsigned": n.sign(good), "bad signature": n.tampered(signed),
			signers.Unknown: n.sign(good, how.with(signers.Unknown)...),
			signers.Revoked: n.sign(good, how.with(signers.Revoked)...),
			signers.Expired: n.sign(good, how.with(signers.Expired)...),
		} {
			for _, way := range []string{"git push", "node pull"} {
				n.refusesBy(way, n.ways()[way], how.name+" "+name, oid, "commit "+short(oid))
			}
		}
	}
	n.deployed(good)
}

// A good tip over a bad parent: head takes it, strict does not, by whatever way.
func TestStrict(t *testing.T) {
	n := newSignedNode(t)
	n.verify("strict")
	base := n.sign("", n.kit.PGP(signers.Good)...)
	n.mustPush("master")
	n.check(os.Remove(n.mark))
	bad := n.sign(base)
	tip := n.sign(bad, n.kit.SSH(signers.Good)...)
	n.refuses("bad parent", tip, "commit "+short(bad)+" is not signed", "new with "+short(tip))
	n.verify("head")
	for _, bring := range n.ways() {
		said, ok := bring(tip)
		if !ok {
			t.Errorf("head refuses %s:\n%s", tip, said)
		}
		n.deployed(tip)
		tip = n.sign(n.sign(tip), n.kit.SSH(signers.Good)...)
	}
	n.lockFree()
	n.git("--git-dir="+n.l.Repo(), "fsck", "--strict")
}

// Signed by each kind of key it is deployed, by every way; signing is all that it takes.
func TestSignedCommits(t *testing.T) {
	n := newSignedNode(t)
	n.verify("strict")
	oid := ""
	for _, with := range []func(string) []string{n.kit.SSH, n.kit.PGP} {
		for way, bring := range n.ways() {
			oid = n.sign(oid, with(signers.Good)...)
			if said, ok := bring(oid); !ok {
				t.Errorf("%s is refused:\n%s", way, said)
			}
			n.deployed(oid)
		}
	}
}

// What is unclear is refused, with the way out.
func TestVerifyFailsClosed(t *testing.T) {
	n := newSignedNode(t)
	good := n.sign("", n.kit.SSH(signers.Good)...)
	n.verify("yes")
	n.refuses("an unknown value", good, `troops.verify is "yes" in the local configuration`, "head, strict or off")
	n.verify("head")
	allowed := filepath.Join(n.l.Trust(), "allowed_signers")
	n.check(os.Chmod(allowed, 0o666))
	n.refuses("a file that all can write", good, allowed+" may be written by others", "chmod")
	n.check(os.RemoveAll(n.l.Trust()))
	n.refuses("no keys", good, "there are no keys to trust", allowed, "gpg --homedir")
	n.verify("off")
	n.mustPush("master")
}

// What is deployed already does not run again without a signature, nor do its checks, and force
// does not stand above it.
func TestVerifyWhatIsDeployed(t *testing.T) {
	n := newSignedNode(t)
	old := n.sign("")
	n.mustPush("master")
	plain := n.sign("")
	n.mustPush("master")
	n.check(os.Remove(n.mark))
	for _, mode := range []string{"head", "strict"} {
		n.verify(mode)
		before := n.state()
		for name, push := range map[string][]string{
			"rerun":            {"-o", wire.OptionRerun + "yes", plain + ":" + wire.RunRefPrefix + goodRun},
			"force":            {"-o", wire.OptionForce + plain, old + ":" + wire.RunRefPrefix + goodRun},
			"git push --force": {"--force", "-o", wire.OptionForce + plain, old + ":refs/heads/master"},
		} {
			if out, err := n.push(push...); err == nil || !strings.Contains(out, "is not signed") {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
		if err := Check(t.Context(), n.l, goodRun, "", new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), "is not signed") {
			t.Errorf("check: %v", err)
		}
		if after := n.state(); after != before {
			t.Errorf("the node was\n%s\nand is\n%s", before, after)
		}
	}
	n.sign("", n.kit.SSH(signers.Good)...)
	n.mustPush("master")
}

// A run that waits while signatures begin to be demanded does not run without them: those of all
// that is new with it, where they are strict.
func TestVerifyWhatWaited(t *testing.T) {
	for mode, says := range map[string]string{"head": " is not signed: ", "strict": " is not signed, and is new with "} {
		t.Run(mode, func(t *testing.T) {
			n := newSignedNode(t)
			gate, reached := n.fifo("gate"), n.fifo("reached")
			working := n.pushRun(n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\n"))
			n.reached(reached)
			plain := n.sign("")
			waits := plain
			if mode == "strict" {
				waits = n.sign(plain, n.kit.SSH(signers.Good)...)
			}
			waiting := n.pushRun(waits)
			n.verify(mode)
			n.open(gate)
			if _, r := n.follow(working); r.State != wire.OK {
				t.Errorf("the run at work: %+v", r)
			}
			if _, r := n.follow(waiting); r.State != wire.Refused || !strings.Contains(r.Error, "commit "+short(plain)+says) {
				t.Errorf("the run that waited: %+v", r)
			}
			if _, err := os.Stat(n.mark); err == nil {
				t.Error("it was deployed")
			}
			n.lockFree()
		})
	}
}

// A remote with a forged commit is left out; another one is pulled from all the same.
func TestPullLeavesForgedCommitsOut(t *testing.T) {
	n := newSignedNode(t)
	n.verify("head")
	mirror := n.testNode.remote("mirror")
	good := n.sign("", n.kit.SSH(signers.Good)...)
	n.git("push", "-q", mirror, "master")
	forged := n.sign("")
	n.git("push", "-q", n.remote, "master")
	if out := n.mustPull(); !strings.Contains(out, "refused: remote origin: commit "+short(forged)+" is not signed") {
		t.Errorf("it said %q", out)
	}
	n.deployed(good)
	if at := n.tip(wire.RemoteRefPrefix + "origin/head"); at != "" {
		t.Errorf("its ref is at %s", at)
	}
	n.git("push", "-q", mirror, "master")
	n.refused("remote origin: commit "+short(forged), "remote mirror: commit "+short(forged))
	if at := n.tip(wire.RemoteRefPrefix + "mirror/head"); at != good {
		t.Errorf("the mirror's ref is at %s", at)
	}
}

// A branch that was only stored is nothing to compare with.
func TestVerifyStoredBranch(t *testing.T) {
	n := newSignedNode(t)
	n.verify("strict")
	stored := n.sign("")
	n.mustPush("-o", wire.OptionBranch+"refs/heads/other", stored+":refs/heads/master")
	n.sign("", n.kit.SSH(signers.Good)...)
	if out, err := n.push("master"); err == nil || !strings.Contains(strings.ReplaceAll(out, "\n", " "), "refs/heads/master was stored") {
		t.Errorf("%v\n%s", err, out)
	}
	n.git("push", "-q", n.remote, "master")
	n.refused("commit " + short(stored) + " is not signed")
}
