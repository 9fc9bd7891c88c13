package integration

import (
	"strings"
	"testing"

	"troops/integration/testnode"
	"troops/nodeside/trust/signers"
)

// TestTrust has a node that deploys as root demand signatures: what is not signed as it wants does
// nothing there, whoever brings it, and a member of group troops cannot change that.
func TestTrust(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	nodes := s.nodes(testnode.Options{Names: []string{"vault.example.com"}})
	n := nodes[0]
	kit := signers.New(t)
	deploy := hosts(nodes, "open('/run/deployed', 'a').write('x')\n")
	// The test's commits differ by what they say, so that none of them is another.
	sign := func(with ...string) string {
		s.must(s.repo, "env", append(append([]string{"GNUPGHOME=" + kit.Home(), "git"}, with...), "commit", "-q", "--allow-empty", "-m", "by "+strings.Join(with, " "))...)
		return s.must(s.repo, "git", "rev-parse", "HEAD")
	}
	s.commit(map[string]string{"deploy.py": deploy})
	s.must(s.repo, "git", "config", "user.signingKey", "none") // nothing is signed by accident
	n.Run(t, "git init -q --bare /srv/deploy.git; chown -R ubuntu: /srv/deploy.git; git --git-dir="+repoPath+" remote add origin file:///srv/deploy.git; git config --system --add safe.directory '*'")
	n.Run(t, "git config --system troops.verify head")

	s.troops("push").exits(1).shows(`refused`, `there are no keys to trust: put the signers' SSH keys into /var/lib/troops/trust/allowed_signers`)
	n.Run(t, "cat >/var/lib/troops/trust/allowed_signers <<'END'\n"+kit.AllowedSigners()+"END")
	n.Run(t, "echo '"+kit.Public(signers.Revoked)+"' >/var/lib/troops/trust/revoked_keys; mkdir -m 0700 /var/lib/troops/trust/gnupg")
	for _, keys := range kit.Keyring() {
		n.Run(t, "gpg --homedir /var/lib/troops/trust/gnupg --batch --quiet --no-autostart --import <<'END'\n"+keys+"\nEND")
	}

	// Objects that nothing names come with a push, whatever becomes of it.
	const state = "cd /var/lib/troops; find runs checkouts venvs | sort; git --git-dir=repo/main.git for-each-ref; cat repo/main.git/HEAD"
	before := n.Run(t, state)
	refused := func(what string, oid string) {
		t.Helper()
		says := "commit " + oid[:12] + " "
		s.troops("push").exits(1).shows(`refused`, says)
		if out := s.start("git", "push", n.Name+":"+repoPath, "master").exits(1).said(); !strings.Contains(out, "remote rejected") || !strings.Contains(out, says) {
			t.Errorf("%s: git push said\n%s", what, out)
		}
		s.must(s.repo, "git", "push", "-q", "--force", n.Name+":/srv/deploy.git", "master")
		s.troops("pull").exits(1).shows(says)
		if out := n.Run(t, "troops node pull 2>&1; echo exit $?"); !strings.Contains(out, says) || !strings.Contains(out, "\nexit 1") {
			t.Errorf("%s: node pull: %s", what, out)
		}
		if after := n.Run(t, state); after != before {
			t.Errorf("%s: the node was\n%s\nand is\n%s", what, before, after)
		}
		s.must(s.repo, "git", "reset", "-q", "--hard", "HEAD~1")
	}
	refused("unsigned", sign())
	refused("ssh", sign(kit.SSH(signers.Revoked)...)) // nodeside has the whole table
	refused("pgp", sign(kit.PGP(signers.Unknown)...))
	n.Run(t, "! test -e /run/deployed")

	// The first commit is not signed; what is new with the next one is all of it.
	sign(kit.SSH(signers.Good)...)
	n.Run(t, "git config --system troops.verify strict")
	s.troops("push").exits(1).shows(`is not signed, and is new with`, `git rebase -f -S --root`)
	n.Run(t, "git config --system troops.verifySince "+s.must(s.repo, "git", "rev-parse", "HEAD~1"))
	s.troops("push").exits(0)
	pulled := sign(kit.PGP(signers.Good)...)
	s.must(s.repo, "git", "push", "-q", "--force", n.Name+":/srv/deploy.git", "master")
	s.troops("pull").exits(0)
	if at := s.deployed(n); at != pulled {
		t.Errorf("%s is deployed, not %s", at, pulled)
	}

	// What a member of the group may write does not weaken what root has set.
	for _, key := range []string{"troops.verify off", "gpg.program /bin/true", "gpg.ssh.program /bin/true", "gpg.ssh.allowedSignersFile /tmp/mine"} {
		s.must(s.repo, "ssh", "ubuntu@vault", "git", "--git-dir="+repoPath, "config", key)
	}
	for _, path := range []string{"/var/lib/troops/trust/allowed_signers", "/var/lib/troops/trust/new", "/var/lib/troops/trust/gnupg/new", "/etc/gitconfig"} {
		if out := n.Run(t, "su ubuntu -c 'echo >>"+path+"' 2>&1; echo exit $?"); strings.Contains(out, "exit 0") {
			t.Errorf("a member can write %s: %s", path, out)
		}
	}
	oid := sign()
	s.troops("push").exits(1).shows(`commit ` + oid[:12] + ` is not signed`)
	s.troops("push", "--rerun", "HEAD").exits(1)
	s.must(s.repo, "git", "reset", "-q", "--hard", "HEAD~1")

	// Where the repository alone asks for signatures, the run says who could change that.
	n.Run(t, "git config --system --unset troops.verify; git --git-dir="+repoPath+" config troops.verify head")
	sign(kit.SSH(signers.Good)...)
	s.troops("push").exits(0).shows(`which members of group troops can change: git config --system troops\.verify head`)
	idle(t, n)
}
