package nodeside

import (
	"bytes"
	"fmt"
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

// hostile makes a remote with a commit of one tree entry that only git plumbing makes, and
// returns that commit. Content is the entry's blob.
func (n *testNode) hostile(remote, mode, name, content string) string {
	n.Helper()
	in := func(stdin string, args ...string) string {
		n.Helper()
		cmd := n.command(append([]string{"git", "--git-dir=" + remote}, args...)...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.Output()
		n.check(err)
		return strings.TrimSpace(string(out))
	}
	blob := in(content, "hash-object", "-w", "--stdin")
	raw := make([]byte, len(blob)/2)
	_, err := fmt.Sscanf(blob, "%x", &raw)
	n.check(err)
	tree := in(mode+" "+name+"\x00"+string(raw), "hash-object", "-w", "-t", "tree", "--literally", "--stdin")
	parent := in("", "rev-parse", "master")
	commit := in("", "commit-tree", "-m", "hostile", "-p", parent, tree)
	in("", "update-ref", "refs/heads/master", commit)
	return commit
}

// Objects that were made to do harm where they are checked out do not get in.
func TestPullChecksObjects(t *testing.T) {
	for _, test := range []struct{ name, mode, entry, content, want string }{
		{"submodule's address is an option", "100644", ".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = -u./payload\n", "gitmodulesUrl"},
		{"submodule's name leaves its directory", "100644", ".gitmodules", "[submodule \"../../x\"]\n\tpath = x\n\turl = u\n", "gitmodulesName"},
		{".git", "100644", ".git", "x", "hasDotgit"},
		{".GIT", "100644", ".GIT", "x", "hasDotgit"},
		{"..", "100644", "..", "x", "hasDotdot"},
		{"a path", "100644", "../../etc/x", "x", "fullPathname"},
		{".gitmodules is a link", "120000", ".gitmodules", "/etc/passwd", "gitmodulesSymlink"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := newTestNode(t)
			origin := n.remote("origin")
			oid := n.commit("deploy", deployHello)
			n.git("push", "-q", origin, "master")
			n.mustPull()
			bad := n.hostile(origin, test.mode, test.entry, test.content)
			n.refused("remote origin", test.want)
			n.deployed(oid)
			if at := n.tip(wire.RemoteRefPrefix + "origin/head"); at == bad {
				t.Error("the remote's ref names the hostile commit")
			}
			n.git("--git-dir="+n.l.Repo(), "fsck")
		})
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
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		path, err := exec.LookPath("git")
		if err != nil {
			t.Error(err)
		}
		(&cgi.Handler{Path: path, Args: []string{"http-backend"}, Env: append(n.env(), "GIT_PROJECT_ROOT="+filepath.Dir(origin), "GIT_HTTP_EXPORT_ALL=1")}).ServeHTTP(rec, r)
		body := rec.Body.Bytes()
		if bytes.Contains(body, []byte("PACK")) && spoil != nil {
			body = spoil(body)
		}
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.WriteHeader(rec.Code)
		w.Write(body)
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
