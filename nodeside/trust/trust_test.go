package trust

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"troops/gitcli"
	"troops/nodeside/trust/signers"
)

// bench is a repository, and what its node trusts.
type bench struct {
	*testing.T
	kit *signers.Kit
	git gitcli.Repo
	dir string

	commits int // so many, which makes each another one
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, kit: signers.New(t), dir: filepath.Join(t.TempDir(), "trust")}
	b.check(os.Mkdir(b.dir, 0o700))
	b.kit.Install(b.dir)
	repo := filepath.Join(t.TempDir(), "r")
	b.git = gitcli.Repo{Dir: repo, GitDir: filepath.Join(repo, ".git")}
	b.git.Env = append(gitcli.CleanEnv(os.Environ()), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GNUPGHOME="+b.kit.Home(),
		"GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	b.check(exec.Command("git", "init", "-q", repo).Run())
	return b
}

func (b *bench) check(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) do(args ...string) string {
	b.Helper()
	line, err := b.git.Line(b.Context(), args...)
	b.check(err)
	return line
}

// commit makes a commit with these options of git, and returns its name.
func (b *bench) commit(options ...string) string {
	b.Helper()
	b.commits++
	b.do(append(options, "commit", "-q", "--allow-empty", "-m", fmt.Sprintf("test %d", b.commits))...)
	return b.do("rev-parse", "HEAD")
}

// changed makes a commit that another one was, with what it says changed.
func (b *bench) changed(commit, old, new string) string {
	b.Helper()
	text, err := b.git.Run(b.Context(), nil, "cat-file", "commit", commit)
	b.check(err)
	if !strings.Contains(string(text), old) {
		b.Fatalf("no %q in\n%s", old, text)
	}
	out, err := b.git.Run(b.Context(), strings.NewReader(strings.Replace(string(text), old, new, 1)), "hash-object", "-t", "commit", "-w", "--stdin")
	b.check(err)
	return strings.TrimSpace(string(out))
}

func (b *bench) load(verify string) (*Verifier, error) {
	b.Helper()
	b.do("config", "troops.verify", verify)
	return Load(b.Context(), b.git, b.dir)
}

func (b *bench) mustLoad(verify string) *Verifier {
	b.Helper()
	v, err := b.load(verify)
	b.check(err)
	return v
}

// refused checks that v refuses commit, naming that or the ancestor at, with these words.
func (b *bench) refused(v *Verifier, commit, deployed, at string, words ...string) {
	b.Helper()
	err := v.Check(b.Context(), commit, deployed)
	var no *Refusal
	if !errors.As(err, &no) || no.Commit != at {
		b.Errorf("%v, want a refusal of\n%s", err, b.do("cat-file", "commit", at))
		return
	}
	for _, w := range append(words, short(at)) {
		if !strings.Contains(err.Error(), w) {
			b.Errorf("no %q in %q", w, err)
		}
	}
	if len(err.Error()) > 390 {
		b.Errorf("too long to get through git: %q", err)
	}
}

func TestCheck(t *testing.T) {
	b := newBench(t)
	v := b.mustLoad("head")
	b.refused(v, b.commit(), "", b.do("rev-parse", "HEAD"), "is not signed", "git commit --amend -S")
	for _, how := range []struct {
		name string
		with func(string) []string
		key  string
	}{{"ssh", b.kit.SSH, "SSH key SHA256:"}, {"pgp", b.kit.PGP, "OpenPGP key "}} {
		good := b.commit(how.with(signers.Good)...)
		if err := v.Check(t.Context(), good, ""); err != nil {
			t.Errorf("%s: %v", how.name, err)
		}
		for name, words := range map[string][]string{
			signers.Unknown: nil, signers.Revoked: {"revoke"}, signers.Expired: nil,
		} {
			oid := b.commit(how.with(name)...)
			b.refused(v, oid, "", oid, append(words, how.key)...)
		}
		bad := b.changed(good, "\n\ntest", "\n\nforged")
		b.refused(v, bad, "", bad, "bad")
		twice := b.changed(good, "\ngpgsig ", "\ngpgsig-sha256 x\ngpgsig ")
		b.refused(v, twice, "", twice, "more than one signature")
	}
	other := b.changed(b.commit(b.kit.SSH(signers.Good)...), "-----BEGIN SSH", "-----BEGIN SIGNED MESSAGE-----\n -----BEGIN SSH")
	b.refused(v, other, "", other, "does not know")
}

// A key that was valid when a commit claims to be from, and is not today, does not count, though
// git itself would take it.
func TestBackdated(t *testing.T) {
	b := newBench(t)
	v := b.mustLoad("head")
	b.git.Env = append(b.git.Env, "GIT_COMMITTER_DATE=2020-06-01T12:00:00Z")
	oid := b.commit(b.kit.SSH(signers.Expired)...)
	if good, raw, err := v.verifyCommit(t.Context(), oid, true); err != nil || !good {
		t.Errorf("git does not take it: %q, %v", raw, err)
	}
	b.refused(v, oid, "", oid, "not today")
}

func TestStrict(t *testing.T) {
	b := newBench(t)
	good := b.kit.SSH(signers.Good)
	root := b.commit(good...)
	bad := b.commit()
	tip := b.commit(b.kit.PGP(signers.Good)...)
	head, strict := b.mustLoad("head"), b.mustLoad("strict")
	if err := head.Check(t.Context(), tip, root); err != nil {
		t.Errorf("head: %v", err)
	}
	b.refused(strict, tip, root, bad, "new with "+short(tip), "git rebase -f -S "+short(root))
	b.refused(strict, tip, "", bad, "git rebase -f -S --root")
	if err := strict.Check(t.Context(), tip, bad); err != nil {
		t.Errorf("only what is new: %v", err)
	}
	if err := strict.Check(t.Context(), root, ""); err != nil {
		t.Errorf("a whole history: %v", err)
	}
	// What is deployed again, or gone back to, has no new commits; it is checked all the same.
	for _, deployed := range []string{bad, tip} {
		b.refused(strict, bad, deployed, bad)
	}
	// A branch that is merged is new as well.
	b.do("checkout", "-q", "-b", "side", root)
	side := b.commit()
	b.do("checkout", "-q", "master")
	b.do(append(good, "merge", "-q", "--no-ff", "-m", "merge", "side")...)
	b.refused(strict, b.do("rev-parse", "HEAD"), tip, side)
}

func TestVerifySince(t *testing.T) {
	b := newBench(t)
	old := b.commit()
	since := b.commit()
	tip := b.commit(b.kit.SSH(signers.Good)...)
	b.do("config", sinceKey, since)
	v := b.mustLoad("strict")
	for _, deployed := range []string{"", old, since} {
		if err := v.Check(t.Context(), tip, deployed); err != nil {
			t.Errorf("with %q deployed: %v", deployed, err)
		}
	}
	b.refused(v, since, "", since, "not signed")
	b.do("checkout", "-q", "--orphan", "other")
	other := b.commit(b.kit.SSH(signers.Good)...)
	b.refused(v, other, "", other, "does not descend from "+short(since))
	b.do("config", sinceKey, strings.Repeat("1", 40))
	if err := b.mustLoad("strict").Check(t.Context(), tip, ""); err == nil || !strings.Contains(err.Error(), "no commit that this node has") {
		t.Errorf("a commit that is not there: %v", err)
	}
}

// What the repository's configuration says of how to verify is not obeyed.
func TestRepositoryCannotChooseTheVerifier(t *testing.T) {
	b := newBench(t)
	mark := filepath.Join(t.TempDir(), "ran")
	evil := filepath.Join(t.TempDir(), "evil")
	// It calls everything good, in the words of gpg and of ssh-keygen.
	b.check(os.WriteFile(evil, []byte("#!/bin/sh\n: >"+mark+"\ncat >/dev/null\ncase $* in *find-principals*) echo evil;; esac\n"+
		"echo 'Good \"git\" signature for evil with ED25519 key SHA256:x'\n"+
		"printf '[GNUPG:] NEWSIG\\n[GNUPG:] GOODSIG 1 x\\n[GNUPG:] VALIDSIG 1 2026-01-01 1 0 4 0 22 8 00 1\\n[GNUPG:] TRUST_ULTIMATE 0 pgp\\n'\n"), 0o755))
	signed := map[string]string{}
	for _, name := range []string{signers.Good, signers.Unknown} {
		signed["ssh "+name], signed["pgp "+name] = b.commit(b.kit.SSH(name)...), b.commit(b.kit.PGP(name)...)
	}
	allowed := filepath.Join(t.TempDir(), "allowed")
	b.check(os.WriteFile(allowed, []byte("x "+b.kit.Public(signers.Unknown)+"\n"), 0o600))
	for _, c := range []string{"gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "gpg.x509.program", "gpg.ssh.defaultKeyCommand"} {
		b.do("config", c, evil)
	}
	b.do("config", "gpg.ssh.allowedSignersFile", allowed)
	b.do("config", "gpg.minTrustLevel", "ultimate")
	unknown := signed["pgp "+signers.Unknown]
	if out, err := b.git.Command(t.Context(), "verify-commit", "--raw", unknown).CombinedOutput(); err != nil {
		t.Errorf("git itself is not deceived: %v\n%s", err, out)
	}
	b.check(os.Remove(mark))
	v := b.mustLoad("head")
	for name, oid := range signed {
		err := v.Check(t.Context(), oid, "")
		if strings.HasSuffix(name, signers.Good) != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the repository's program ran")
	}
}

// One kind of key is enough; the other kind of signature is then refused with the way out.
func TestOneKindOfKey(t *testing.T) {
	b := newBench(t)
	bySSH, byPGP := b.commit(b.kit.SSH(signers.Good)...), b.commit(b.kit.PGP(signers.Good)...)
	away := filepath.Join(t.TempDir(), "away")
	for _, test := range []struct{ gone, good, bad, says string }{
		{AllowedSigners, byPGP, bySSH, "into " + filepath.Join(b.dir, AllowedSigners)},
		{Keyring, bySSH, byPGP, "--import"},
	} {
		path := filepath.Join(b.dir, test.gone)
		b.check(os.Rename(path, away))
		v := b.mustLoad("head")
		if err := v.Check(t.Context(), test.good, ""); err != nil {
			t.Errorf("without %s: %v", test.gone, err)
		}
		b.refused(v, test.bad, "", test.bad, test.says)
		b.check(os.Rename(away, path))
	}
}

// More commits than can be checked in time are refused with the way out, before any is checked.
func TestTooManyCommits(t *testing.T) {
	b := newBench(t)
	var stream strings.Builder
	for i := range MaxCommits + 1 {
		fmt.Fprintf(&stream, "commit refs/heads/long\ncommitter t <t@example.com> %d +0000\ndata 0\n", i)
	}
	_, err := b.git.Run(t.Context(), strings.NewReader(stream.String()), "fast-import", "--quiet")
	b.check(err)
	tip := b.do("rev-parse", "long")
	err = b.mustLoad("strict").Check(t.Context(), tip, "")
	if err == nil || !strings.Contains(err.Error(), "set troops.verifySince") {
		t.Errorf("%v", err)
	}
	b.refused(b.mustLoad("strict"), tip, b.do("rev-parse", "long~1"), tip, "not signed")
}
