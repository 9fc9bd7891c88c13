package nodeside

import (
	"bytes"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"troops/nodeside/wire"
)

// entry is one of a tree that only git plumbing makes.
type entry struct{ mode, name, content string }

// hostile makes a remote with a commit of these entries, and returns that commit. Content is the entry's
// blob; that of a tree (40000) is in its file x.
func (n *testNode) hostile(remote string, entries ...entry) string {
	n.Helper()
	in := func(stdin string, args ...string) string {
		n.Helper()
		cmd := n.command(append([]string{"git", "--git-dir=" + remote}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.Output()
		n.check(err)
		return strings.TrimSpace(string(out))
	}
	tree := func(mode, name, object string) string {
		raw, err := hex.DecodeString(object)
		n.check(err)
		return mode + " " + name + "\x00" + string(raw)
	}
	write := func(kind, content string) string {
		return in(content, "hash-object", "-w", "-t", kind, "--literally", "--stdin")
	}
	var all string
	for _, e := range entries {
		object := write("blob", e.content)
		if e.mode == "40000" {
			object = write("tree", tree("100644", "x", object))
		}
		all += tree(e.mode, e.name, object)
	}
	parent := in("", "rev-parse", "master")
	commit := in("", "commit-tree", "-m", "hostile", "-p", parent, write("tree", all))
	in("", "update-ref", "refs/heads/master", commit)
	return commit
}

// Objects that were made to do harm where they are checked out do not get in.
func TestPullChecksObjects(t *testing.T) {
	modules := func(text string) []entry {
		return []entry{{"100644", ".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = u\n" + text}}
	}
	file := func(name string) []entry { return []entry{{"100644", name, "x"}} }
	for _, test := range []struct {
		name    string
		entries []entry
		want    string
	}{
		{"submodule's address is an option", modules("\turl = -u./payload\n"), "gitmodulesUrl"},
		{"submodule's address has a line feed", modules("\turl = \"https://example.com/%0ahost=evil\"\n"), "gitmodulesUrl"},
		{"submodule's path is an option", modules("\tpath = -x\n"), "gitmodulesPath"},
		{"submodule's update is a command", modules("\tupdate = !touch /tmp/x\n"), "gitmodulesUpdate"},
		{"submodule's name leaves its directory", modules("[submodule \"../x\"]\n\tpath = y\n\turl = u\n"), "gitmodulesName"},
		{"submodule's name leaves it in the middle", modules("[submodule \"a/../../x\"]\n\tpath = y\n\turl = u\n"), "gitmodulesName"},
		{".git", file(".git"), "hasDotgit"},
		{".GIT", file(".GIT"), "hasDotgit"},
		{".git for NTFS", file("git~1"), "hasDotgit"},
		{".git for HFS", file(".g\u200cit"), "hasDotgit"},
		{".git is a directory", []entry{{"40000", ".git", "x"}}, "hasDotgit"},
		{".git is a link", []entry{{"120000", ".git", "/etc"}}, "hasDotgit"},
		{"..", file(".."), "hasDotdot"},
		{".. is a directory", []entry{{"40000", "..", "x"}}, "hasDotdot"},
		{"a path", file("../../etc/x"), "fullPathname"},
		{".gitmodules is a link", []entry{{"120000", ".gitmodules", "/etc/passwd"}}, "gitmodulesSymlink"},
		{"a link that is a directory", []entry{{"120000", "d", "/tmp"}, {"40000", "d", "x"}}, "duplicateEntries"},
	} {
		for way, served := range map[string]func(*testNode, string){"": func(*testNode, string) {}, ", file by file": (*testNode).dumb} {
			t.Run(test.name+way, func(t *testing.T) {
				t.Parallel()
				n := newTestNode(t)
				origin := n.remote("origin")
				oid := n.commit("deploy", deployHello)
				n.git("push", "-q", origin, "master")
				served(n, origin)
				n.mustPull()
				bad := n.hostile(origin, test.entries...)
				served(n, origin)
				n.refused("remote origin", test.want)
				n.deployed(oid)
				if at := n.tip(wire.RemoteRefPrefix + "origin/head"); at == bad {
					t.Error("the remote's ref names the hostile commit")
				}
				n.nothingLeft()
				n.git("--git-dir="+n.l.Repo(), "fsck")
			})
		}
	}
}

// dumb has remote origin served as it is, by a server that knows nothing of git.
func (n *testNode) dumb(repo string) {
	n.Helper()
	n.git("--git-dir="+repo, "update-server-info")
	server := httptest.NewTLSServer(http.FileServer(http.Dir(filepath.Dir(repo))))
	n.Cleanup(server.Close)
	n.believe(server)
	n.git("--git-dir="+n.l.Repo(), "remote", "set-url", "origin", server.URL+"/"+filepath.Base(repo))
}

// Links that leave the checkout are left as they are, and nothing is written through them: neither
// in their own commit nor where a later one has a directory of that name, in whatever case.
func TestPullLinksOutside(t *testing.T) {
	n := newTestNode(t)
	outside := t.TempDir()
	origin := n.remote("origin")
	n.check(os.Symlink(outside, filepath.Join(n.work, "link")))
	n.check(os.Symlink("../../../../../../../../.."+outside, filepath.Join(n.work, "LINK")))
	n.check(os.Symlink(filepath.Join(outside, "new"), filepath.Join(n.work, "dangling")))
	oid := n.commit("deploy", deployHello, "Link/x", "written")
	n.git("push", "-q", origin, "master")
	n.mustPull()
	in := n.l.checkout(n.runs()[oid].Run)
	if to, err := os.Readlink(filepath.Join(in, "link")); err != nil || to != outside {
		t.Errorf("the link is %q, %v", to, err)
	}
	n.git("rm", "-q", "link", "LINK", "dangling")
	oid = n.commit("link/x", "written", "LINK/x", "written", "dangling", "written")
	n.git("push", "-q", origin, "master")
	n.mustPull()
	n.deployed(oid)
	if text, err := os.ReadFile(filepath.Join(n.l.checkout(n.runs()[oid].Run), "link", "x")); err != nil || string(text) != "written" {
		t.Errorf("the file in the link's place: %q, %v", text, err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("outside there is %v, %v", left, err)
	}
}

// A pack that breaks on the way, at its end and in between, changes nothing; the whole one
// is taken by the next pull.
func TestPullCorruptPack(t *testing.T) {
	n := newTestNode(t)
	origin := n.remote("origin")
	n.git("--git-dir="+n.l.Repo(), "remote", "remove", "origin")
	oid := n.commit("deploy", deployHello, "noise", strings.Repeat("no compression makes this short: 0123456789\n", 50))
	n.git("push", "-q", origin, "master")
	var spoil func([]byte) []byte
	server := httptest.NewServer(n.gitHTTP(func(body []byte) []byte {
		if spoil == nil || !bytes.Contains(body, []byte("PACK")) {
			return body
		}
		return spoil(body)
	}))
	defer server.Close()
	n.addRemote("origin", server.URL+"/origin.git")
	n.git("--git-dir="+n.l.Repo(), "config", "remote.origin.troopsInsecure", "true")
	for name, s := range map[string]func([]byte) []byte{
		"a bit flipped": func(b []byte) []byte { b[bytes.Index(b, []byte("PACK"))+20] ^= 1; return b },
		"cut":           func(b []byte) []byte { return b[:bytes.Index(b, []byte("PACK"))+30] },
		"checksum":      func(b []byte) []byte { b[bytes.LastIndex(b, []byte("0000"))-1] ^= 1; return b },
	} {
		spoil = s
		out, err := n.pull()
		if err == nil || !strings.Contains(err.Error(), "remote origin") || len(n.runs()) > 0 || n.tip(wire.RemoteRefPrefix+"origin/head") != "" {
			t.Errorf("%s: %v, %q", name, err, out)
		}
		n.git("--git-dir="+n.l.Repo(), "fsck")
	}
	spoil = nil
	n.mustPull()
	n.deployed(oid)
}

// gitHTTP serves the repositories beside the node as git does, answers changed on their way.
func (n *testNode) gitHTTP(change func([]byte) []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		path, err := exec.LookPath("git")
		if err != nil {
			n.Error(err)
		}
		env := append(n.env(), "GIT_PROJECT_ROOT="+filepath.Dir(n.l.Dir), "GIT_HTTP_EXPORT_ALL=1")
		(&cgi.Handler{Path: path, Args: []string{"http-backend"}, Env: env}).ServeHTTP(rec, r)
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.WriteHeader(rec.Code)
		w.Write(change(rec.Body.Bytes()))
	})
}

// A remote that takes the connection and says nothing is left after a while, with all its processes.
func TestFetchSilent(t *testing.T) {
	n := newTestNode(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	n.check(err)
	defer ln.Close()
	n.addRemote("silent", "git://"+ln.Addr().String()+"/x")
	n.git("--git-dir="+n.l.Repo(), "config", "remote.silent.troopsInsecure", "true")
	hungUp := make(chan error, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			_, err = io.Copy(io.Discard, conn) // ends when git has
			conn.Close()
		}
		hungUp <- err
	}()
	f := n.l.fetcher()
	f.limit = 500 * time.Millisecond
	r := &remote{name: "silent"}
	f.fetch(t.Context(), []*remote{r}, "refs/heads/master")
	if r.err == nil || !strings.Contains(r.err.Error(), "longer than 500ms") {
		t.Errorf("%v", r.err)
	}
	n.await("git's end", func() error { return <-hungUp })
}

// A remote by ssh gets the node's key, and its host key is kept: a changed one is refused.
func TestPullSSH(t *testing.T) {
	n := newTestNode(t)
	origin := n.remote("origin")
	n.git("--git-dir="+n.l.Repo(), "remote", "remove", "origin")
	oid := n.commit("deploy", deployHello)
	n.git("push", "-q", origin, "master")
	server := newGitServer(t, n.l.Key()+".pub")
	n.addRemote("origin", "ssh://git@"+server.addr+origin)
	n.mustPull()
	n.deployed(oid)
	known, err := os.ReadFile(n.l.knownHosts())
	if err != nil || !strings.Contains(string(known), "ssh-ed25519") {
		t.Errorf("known hosts: %q, %v", known, err)
	}
	server.rekey()
	n.commit("x", "y")
	n.git("push", "-q", origin, "master")
	n.refused("remote origin", "its host key is not the one in "+n.l.knownHosts())
	n.check(os.Remove(n.l.knownHosts()))
	server.forget()
	n.refused("remote origin", "Permission denied")
}

func TestParseListing(t *testing.T) {
	const oid = "0123456789012345678901234567890123456789"
	for _, test := range []struct {
		name, in string
		has      bool
		head     string
	}{
		{"empty", "", false, ""},
		{"both", "ref: refs/heads/main\tHEAD\n" + oid + "\tHEAD\n" + oid + "\trefs/heads/master\n", true, "refs/heads/main"},
		{"detached", oid + "\tHEAD\n", false, ""},
		{"a longer name", oid + "\trefs/heads/master/x\n" + oid + "\trefs/x/refs/heads/master\n", false, ""},
		{"a symbolic branch", "ref: refs/heads/x\trefs/heads/master\n" + oid + "\trefs/heads/master\n", true, ""},
	} {
		if has, head := parseListing(test.in, "refs/heads/master"); has != test.has || head != test.head {
			t.Errorf("%s: %v, %q", test.name, has, head)
		}
	}
}

func FuzzParseListing(f *testing.F) {
	f.Add("ref: refs/heads/main\tHEAD\n0123\trefs/heads/master\n")
	f.Add("ref: \tHEAD")
	f.Fuzz(func(t *testing.T, in string) {
		if has, head := parseListing(in, "refs/heads/master"); strings.ContainsAny(head, "\t\n") || has && !strings.Contains(in, "\trefs/heads/master") {
			t.Errorf("%v, %q", has, head)
		}
	})
}
