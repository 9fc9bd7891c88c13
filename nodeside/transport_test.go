package nodeside

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// config configures the node's repository.
func (n *testNode) config(args ...string) {
	n.Helper()
	n.git(append([]string{"--git-dir=" + n.l.Repo(), "config"}, args...)...)
}

// believe has the node take the certificate of a server for https.
func (n *testNode) believe(server *httptest.Server) {
	n.Helper()
	path := filepath.Join(filepath.Dir(n.l.Dir), "ca.pem")
	n.check(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644))
	n.config("http.sslCAInfo", path)
}

// Remotes that ask for a name or a password, by whatever way, are done with at once.
func TestPullPrompts(t *testing.T) {
	n := newTestNode(t)
	asks := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	plain, tls := httptest.NewServer(asks), httptest.NewTLSServer(asks)
	defer plain.Close()
	defer tls.Close()
	n.believe(tls)
	n.addRemote("plain", plain.URL+"/x.git")
	n.config("remote.plain.troopsInsecure", "true")
	n.addRemote("tls", tls.URL+"/x.git")
	n.addRemote("named", strings.Replace(tls.URL, "//", "//ann@", 1)+"/x.git")
	server := newGitServer(t, n.l.Key()+".pub")
	server.onlyPasswords()
	n.addRemote("password", "ssh://git@"+server.addr+"/x.git")
	n.refused(
		"remote plain: fatal: could not read Username", "remote tls: fatal: could not read Username", "remote named: fatal: could not read Password",
		"config credential.helper", "remote password: git@127.0.0.1: Permission denied (password,keyboard-interactive)", "troops node --dir "+n.l.Dir+" key",
	)
}

// By https a remote has to have a certificate that counts.
func TestPullHTTPS(t *testing.T) {
	n := newTestNode(t)
	origin := n.remote("origin")
	oid := n.commit("deploy", deployHello)
	n.git("push", "-q", origin, "master")
	server := httptest.NewTLSServer(n.gitHTTP(func(b []byte) []byte { return b }))
	defer server.Close()
	n.git("--git-dir="+n.l.Repo(), "remote", "set-url", "origin", server.URL+"/origin.git")
	n.refused("remote origin", "certificate")
	n.believe(server)
	n.mustPull()
	n.deployed(oid)
}

// What nothing protects on its way is not fetched unless somebody has said so for this remote, and
// an address cannot lead there: nothing is even asked for.
func TestPullInsecure(t *testing.T) {
	n := newTestNode(t)
	origin := n.remote("origin")
	oid := n.commit("deploy", deployHello)
	n.git("push", "-q", origin, "master")
	n.git("--git-dir="+n.l.Repo(), "remote", "remove", "origin")
	plain := httptest.NewServer(n.gitHTTP(func(b []byte) []byte { return b }))
	defer plain.Close()
	untouched := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("somebody asks for %s", r.URL) }))
	defer untouched.Close()
	sends := httptest.NewTLSServer(http.RedirectHandler(untouched.URL+"/origin.git/info/refs?service=git-upload-pack", http.StatusFound))
	defer sends.Close()
	n.believe(sends)

	n.addRemote("http", untouched.URL+"/origin.git")
	n.addRemote("git", "git://"+untouched.Listener.Addr().String()+"/origin.git")
	n.addRemote("redirected", sends.URL+"/origin.git")
	n.config("url."+untouched.URL+"/.insteadOf", "short:")
	n.addRemote("rewritten", "short:origin.git")
	for _, name := range []string{"http", "git", "rewritten"} {
		n.refused("remote " + name + ": fatal: transport '")
		n.refused("use https or ssh, or allow it for this remote: git --git-dir=" + n.l.Repo() + " config remote." + name + ".troopsInsecure true")
	}
	n.refused("remote redirected: fatal: ", "http", "not supported or disabled")
	// A setting of git's own does not count, nor one for another remote.
	n.config("protocol.allow", "always")
	n.config("protocol.http.allow", "always")
	n.config("remote.other.troopsInsecure", "true")
	n.config("remote.http.troopsInsecure", "no")
	n.refused("remote http: fatal: transport 'http' not allowed", "remote git: fatal: transport 'git' not allowed")

	n.addRemote("allowed", plain.URL+"/origin.git")
	n.config("remote.allowed.troopsInsecure", "true")
	n.mustPull()
	n.deployed(oid)
}

// Commands in the place of an address are none.
func TestPullRunsNoCommands(t *testing.T) {
	n := newTestNode(t)
	mark := n.l.Dir + ".ran"
	n.config("protocol.ext.allow", "always")
	n.addRemote("ext", "ext::touch "+mark)
	n.addRemote("dash", "ssh://-oProxyCommand=touch%20"+mark+"/x")
	n.addRemote("vcs", mark)
	n.config("remote.vcs.vcs", "ext")
	n.addRemote("upload", "file://"+n.work)
	n.config("remote.upload.uploadpack", "touch "+mark+"; git-upload-pack")
	n.config("remote.option.url", "--upload-pack=touch "+mark)
	n.addRemote("fd", "fd::0")
	n.config("core.sshCommand", "touch "+mark+";")
	n.config("core.askPass", "touch")
	n.addRemote("ssh", "ssh://git@"+closedPort(t)+"/x")
	n.refused("remote ext: fatal: transport 'ext' not allowed", "remote dash: fatal: strange hostname", "remote vcs: fatal: transport 'ext' not allowed",
		"remote upload: ", "remote option: ", "remote fd: fatal: transport 'fd' not allowed", "remote ssh: ssh: connect to host")
	if _, err := os.Stat(mark); err == nil {
		t.Error("a command ran")
	}
}

// A remote whose own repository is damaged is left out, by name, and another one goes on to be followed;
// whatever the way to it.
func TestPullDamagedRemote(t *testing.T) {
	n := newTestNode(t)
	origin := n.remote("files")
	server := httptest.NewTLSServer(n.gitHTTP(func(b []byte) []byte { return b }))
	defer server.Close()
	n.believe(server)
	n.addRemote("https", server.URL+"/files.git")
	n.addRemote("ssh", "ssh://git@"+newGitServer(t, n.l.Key()+".pub").addr+origin)
	good := n.remote("good")
	oid := n.commit("deploy", deployHello)
	n.git("push", "-q", origin, "master")
	n.git("push", "-q", good, "master")
	n.mustPull()
	damaged := n.commit("x", "what the file has")
	n.git("push", "-q", origin, "master")
	// The content of another object in its place: whole, but not what its name says.
	object := func(rev string) string {
		name := n.git("--git-dir="+origin, "rev-parse", rev)
		return filepath.Join(origin, "objects", name[:2], name[2:])
	}
	text, err := os.ReadFile(object(oid + ":deploy"))
	n.check(err)
	n.check(os.Remove(object(damaged + ":x")))
	n.check(os.WriteFile(object(damaged+":x"), text, 0o444))
	out := n.mustPull() // the good remote has nothing new
	for _, name := range []string{"files", "https", "ssh"} {
		if !strings.Contains(out, "remote "+name+" is left out: ") {
			t.Errorf("nothing is said of remote %s:\n%s", name, out)
		}
		if at := n.tip((&remote{name: name}).ref()); at != oid {
			t.Errorf("the ref of remote %s is at %s", name, at)
		}
	}
	n.deployed(oid)
	n.git("--git-dir="+n.l.Repo(), "fsck")
	n.nothingLeft()
	next := n.commit("y", "z")
	n.git("push", "-q", good, "master")
	n.mustPull()
	n.deployed(next)
}
