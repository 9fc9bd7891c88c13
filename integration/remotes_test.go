package integration

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// puller is a node that pulls by ssh from repositories on another machine.
type puller struct {
	*station
	n     *testnode.Node
	hosts *testnode.Node // the other machine
	refs  string         // what may not change by pulling
}

// TestRemotes is what a node does about its remotes, as a timer has it and as troops pull shows it.
func TestRemotes(t *testing.T) { eachKind(t, testRemotes) }

func testRemotes(t *testing.T, k kind) {
	s := newStation(t)
	s.kind = k
	p := &puller{station: s, n: s.nodes(testnode.Options{Names: []string{"shellbox-1.example.com"}})[0]}
	others := s.Start(t, testnode.Options{Names: []string{"repos.example.com", "gone.example.com"}})
	p.hosts = others[0]
	others[1].Kill()
	for _, name := range []string{"near", "far"} {
		s.must(s.repo, "ssh", "repos", "git", "init", "-q", "--bare", name+".git")
		p.remote(name, p.url(testnode.Port, name))
	}
	key := s.must(s.repo, "ssh", "shellbox-1", k.command("key"))
	p.hosts.Run(t, "echo '"+key+"' >>/home/ubuntu/.ssh/authorized_keys")
	// Other refs than the deployed branch, here and there.
	s.commit(map[string]string{"deploy.py": p.script("zero")})
	s.must(s.repo, "git", "push", p.n.Name+":"+s.repoPath(), "master")
	s.must(s.repo, "git", "push", "-q", p.n.Name+":"+s.repoPath(), "master:refs/heads/other")
	k.run(t, p.n, "git --git-dir="+k.repo()+" tag kept; git --git-dir="+k.repo()+" config remote.near.fetch '+refs/*:refs/*'")
	s.must(s.repo, "git", "tag", "-a", "-m", "x", "theirs")
	p.refs = p.others()

	p.furthest(others[1])
	p.diverging()
	p.forcePushed()
	p.failing()
	p.prompts()
	v := &invariants{commits: []string{s.deployed(p.n)}, checked: map[string]bool{}}
	v.hold(t, s, p.n)
}

func (p *puller) url(port int, name string) string {
	return fmt.Sprintf("ssh://ubuntu@%s:%d/home/ubuntu/%s.git", p.hosts.Addr, port, name)
}

// remote adds a remote as the documentation has it.
func (p *puller) remote(name, url string) {
	p.t.Helper()
	p.must(p.repo, "ssh", "shellbox-1", "git", "--git-dir="+p.repoPath(), "remote", "add", name, url)
}

func (p *puller) script(says string) string {
	return hosts([]*testnode.Node{p.n}, "import os\nprint('"+says+"')\nif os.path.exists('/tmp/sick'):\n    raise SystemExit(7)\n")
}

// give makes a commit and brings it to remotes, with whatever else a remote may have.
func (p *puller) give(says string, remotes ...string) string {
	p.t.Helper()
	oid := p.commit(map[string]string{"deploy.py": p.script(says)})
	for _, r := range remotes {
		p.must(p.repo, "git", "push", "-q", "--follow-tags", "--force", "repos:"+r+".git", "HEAD:master", "HEAD:refs/heads/other", "HEAD:refs/heads/new")
	}
	return oid
}

// others are the refs of the node that a pull may not touch, with what they name.
func (p *puller) others() string {
	p.t.Helper()
	return p.kind.run(p.t, p.n, "git --git-dir="+p.kind.repo()+" for-each-ref | grep -v -e refs/heads/master -e refs/troops/")
}

// timer has the node pull as its timer does: it ends with this exit code and says all of this, in
// words. Nothing but the deployed branch, now at oid, has moved.
func (p *puller) timer(oid string, code int, says ...string) {
	p.t.Helper()
	out := p.kind.run(p.t, p.n, p.kind.command("pull")+" 2>&1; echo exit $?")
	for _, w := range append(says, fmt.Sprintf("exit %d", code)) {
		if !strings.Contains(out, w) {
			p.t.Errorf("node pull: no %q in\n%s", w, out)
		}
	}
	p.at(oid)
}

// at checks what is deployed, and that nothing else has moved.
func (p *puller) at(oid string) {
	p.t.Helper()
	if at := p.deployed(p.n); at != oid {
		p.t.Errorf("%s is deployed, not %s", at, oid)
	}
	if refs := p.others(); refs != p.refs {
		p.t.Errorf("other refs were\n%s\nand are\n%s", p.refs, refs)
	}
}

// pulls is timer, and then the same by troops pull, to which what was deployed is no longer news.
func (p *puller) pulls(oid string, code int, says ...string) {
	p.t.Helper()
	p.timer(oid, code, says...)
	shown := p.troops("pull").exits(code).stdout.String()
	for _, w := range says {
		if !strings.HasPrefix(w, "pulled ") && !strings.Contains(shown, w) {
			p.t.Errorf("troops pull: no %q in\n%s", w, shown)
		}
	}
	p.at(oid)
}

// furthest has three remotes, of which one is down and one lags.
func (p *puller) furthest(gone *testnode.Node) {
	p.t.Helper()
	p.remote("down", fmt.Sprintf("ssh://ubuntu@%s:%d/home/ubuntu/deploy.git", gone.Addr, testnode.Port))
	first := p.give("one", "near", "far")
	second := p.give("two", "far")
	p.pulls(second, 0, "remote down is left out: ssh: connect to host "+gone.Addr, "Connection refused", "pulled "+second[:12]+" from far")
	p.troops("pull").exits(0).shows(`^shellbox-1\S* \* remote near lags behind, at `+first[:12]+`$`, `^troops: 1 node: 1 current in `)
	p.kind.run(p.t, p.n, "git --git-dir="+p.kind.repo()+" remote remove down")
}

// diverging has two remotes that have gone different ways, until they are merged.
func (p *puller) diverging() {
	p.t.Helper()
	base := p.deployed(p.n)
	left := p.give("left", "near")
	p.must(p.repo, "git", "reset", "-q", "--hard", base)
	right := p.give("right", "far")
	p.pulls(base, 1, "these remotes have diverged from each other, so none is deployed: ", "near (at "+left[:12]+")", "far (at "+right[:12]+")")
	p.must(p.repo, "git", "merge", "-q", "-s", "ours", "-m", "merged", left)
	merged := p.give("merged", "near")
	p.pulls(merged, 0, "pulled "+merged[:12]+" from near")
}

// forcePushed has a remote whose branch was taken back, and another that goes on.
func (p *puller) forcePushed() {
	p.t.Helper()
	base := p.deployed(p.n)
	p.must(p.repo, "git", "push", "-q", "--force", "repos:far.git", base+":master")
	p.pulls(base, 0)
	p.must(p.repo, "git", "reset", "-q", "--hard", base+"~1")
	forced := p.give("forced", "far")
	where := "what is deployed here: its refs/heads/master is at " + forced[:12] + ", which is no descendant of " + base[:12]
	p.timer(base, 1, "remote far was force-pushed: it has left "+where)
	p.pulls(base, 1, "remote far has diverged from "+where)
	p.troops("pull").exits(1).shows(`^shellbox-1\S* \* refused: remote far has diverged from `, `^troops: 1 node: 1 refused in `)
	p.must(p.repo, "git", "reset", "-q", "--hard", base)
	next := p.give("next", "near")
	p.timer(next, 0, "pulled "+next[:12]+" from near", "refused: remote far has diverged from "+where)
	p.must(p.repo, "git", "push", "-q", "--force", "repos:far.git", next+":master")
}

// failing has a deployment that fails for a while: it is tried again later and later, then deployed.
func (p *puller) failing() {
	p.t.Helper()
	base := p.deployed(p.n)
	p.n.Run(p.t, "touch /tmp/sick")
	bad := p.give("sick", "near")
	// later has all failures be so many minutes older.
	later := func(minutes int) {
		p.t.Helper()
		p.idle(p.n)
		p.kind.run(p.t, p.n, fmt.Sprintf(`python3 - %s/runs/*/record.json <<'END'
import datetime, json, sys
for path in sys.argv[1:]:
    record = json.load(open(path))
    if record['state'] == 'failed':
        ended = datetime.datetime.fromisoformat(record['ended'][:19] + '+00:00') - datetime.timedelta(minutes=%d)
        record['ended'] = ended.isoformat()
        json.dump(record, open(path, 'w'))
END`, p.kind.dir, minutes))
	}
	p.timer(base, 1, "exited 7")
	p.timer(base, 0, bad[:12]+" has failed once, last at ")
	later(5)
	p.timer(base, 1, "exited 7")
	p.timer(base, 0, bad[:12]+" has failed 2 times, last at ")
	later(5)
	p.timer(base, 0, bad[:12]+" has failed 2 times, last at ")
	p.troops("pull").exits(1).shows(`^shellbox-1\S* \* failed in deploy: exit code 7`, `^troops: 1 node: 1 failed in `) // does not wait
	p.n.Run(p.t, "rm /tmp/sick")
	p.timer(base, 0, bad[:12]+" has failed 3 times, last at ")
	later(20)
	p.pulls(bad, 0, "pulled "+bad[:12]+" from near")
}

// prompts has remotes that ask for names and passwords, while somebody sits at a terminal of the node.
func (p *puller) prompts() {
	p.t.Helper()
	base := p.deployed(p.n)
	asks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer asks.Close()
	p.remote("web", asks.URL+"/x.git")
	p.remote("password", p.url(testnode.Port+1, "near"))
	p.hosts.Run(p.t, fmt.Sprintf("sed 's/^\\(Port\\|ListenAddress\\|PubkeyAuth\\|PasswordAuth\\|Kbd\\).*//' /etc/ssh-node/sshd_config >/run/passwords; /usr/sbin/sshd -f /run/passwords "+
		"-o ListenAddress=%s:%d -o PubkeyAuthentication=no -o PasswordAuthentication=yes -o AuthenticationMethods=any -o PidFile=none", p.hosts.Addr, testnode.Port+1))
	git := "git --git-dir=" + p.kind.repo()
	p.kind.run(p.t, p.n, git+" config remote.web.troopsInsecure true; "+git+" remote remove near; "+git+" remote remove far")

	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(p.Bin, "ssh"), "-tt", "shellbox-1", "tty; "+p.kind.command("pull"))
	cmd.Env = p.Env()
	keyboard, hands, err := os.Pipe() // nobody types
	if err != nil {
		p.t.Fatal(err)
	}
	defer keyboard.Close()
	defer hands.Close()
	cmd.Stdin = keyboard
	b, err := cmd.CombinedOutput()
	out := string(b)
	if cmd.ProcessState.ExitCode() != 1 || ctx.Err() != nil {
		p.t.Errorf("at a terminal: %v\n%s", err, out)
	}
	for _, want := range []string{"/dev/pts/", "remote web: fatal: could not read Username", "remote password: ubuntu@" + p.hosts.Addr + ": Permission denied (password"} {
		if !strings.Contains(out, want) {
			p.t.Errorf("at a terminal: no %q in\n%s", want, out)
		}
	}
	p.pulls(base, 1, "remote web: fatal: could not read Username", "remote password: ")
}
