package nodeside

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"troops/gitcli"
	"troops/nodeside/wire"
)

func TestInit(t *testing.T) {
	n := newTestNode(t)
	if !strings.Contains(n.out.String(), "made "+n.l.Repo()) {
		t.Errorf("said\n%s", &n.out)
	}
	config := func(key string) string { return n.git("--git-dir="+n.l.Repo(), "config", "--get-all", key) }
	for key, want := range map[string]string{
		"receive.procReceiveRefs": "refs/heads\nrefs/troops", "receive.advertisePushOptions": "true",
		"receive.autogc": "false", "uploadpack.hideRefs": "refs/troops",
	} {
		if got := config(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if out := n.git("ls-remote", "--upload-pack=git-upload-pack", n.l.Repo()); out != "" {
		t.Errorf("fetching shows %q", out)
	}
	if n.tip(wire.AdvertisedRef) == "" {
		t.Errorf("no %s", wire.AdvertisedRef)
	}
	checkKey(t, n.l.Key())
	if to, err := os.Readlink(usual(n.l)); err != nil || to != "id_ed25519.pub" {
		t.Errorf("%s leads to %q, %v", usual(n.l), to, err)
	}
	for path, want := range map[string]os.FileMode{n.l.Dir: 0o700, n.l.Repo(): 0o700, n.l.Runs(): 0o700, n.l.Key(): 0o600, n.l.Hook("proc-receive"): 0o755} {
		info, err := os.Stat(path)
		n.check(err)
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
}

func usual(l Layout) string { return filepath.Join(filepath.Dir(l.Key()), usualKey) }

func checkKey(t *testing.T, path string) {
	t.Helper()
	private, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	public, comment, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil || !bytes.Equal(public.Marshal(), signer.PublicKey().Marshal()) || !strings.HasPrefix(comment, "troops@") {
		t.Errorf("the key's halves: %q, %v", line, err)
	}
}

// A second init changes nothing, says so, and mends what was damaged.
func TestInitAgain(t *testing.T) {
	n := newTestNode(t)
	n.init()
	if got := n.out.String(); got != "nothing to change\n" {
		t.Errorf("a second init says\n%s", got)
	}
	n.check(os.Remove(n.l.Hook("proc-receive")))
	n.check(os.Chmod(n.l.Dir, 0o777))
	n.git("--git-dir="+n.l.Repo(), "config", "--add", "receive.procReceiveRefs", "refs/tags")
	n.git("--git-dir="+n.l.Repo(), "update-ref", "refs/troops/v0", wire.AdvertisedRef)
	n.check(os.Remove(usual(n.l))) // as on nodes that were made before there was one
	n.check(os.WriteFile(n.l.hostFile(), []byte("web-1\n"), 0o640))
	n.init()
	if refs := n.git("--git-dir="+n.l.Repo(), "for-each-ref", "--format=%(refname)", "refs/troops/v*"); refs != wire.AdvertisedRef {
		t.Errorf("it speaks %q", refs)
	}
	for _, want := range []string{"made " + usual(n.l), "changed the mode of " + n.l.hostFile(), "removed refs/troops/v0, of another troops", "wrote " + n.l.Hook("proc-receive"), "corrected owner and mode of " + n.l.Dir, "set receive.procReceiveRefs"} {
		if !strings.Contains(n.out.String(), want+"\n") && !strings.Contains(n.out.String(), want) {
			t.Errorf("no %q in\n%s", want, &n.out)
		}
	}
	n.init()
	if got := n.out.String(); got != "nothing to change\n" {
		t.Errorf("a last init says\n%s", got)
	}
	// A file of that name is somebody's own.
	n.check(os.Remove(usual(n.l)))
	n.check(os.WriteFile(usual(n.l), []byte("another key\n"), 0o600))
	n.init()
	if got, err := os.ReadFile(usual(n.l)); err != nil || string(got) != "another key\n" || n.out.String() != "nothing to change\n" {
		t.Errorf("%q in its place, %v, init says\n%s", got, err, &n.out)
	}
}

func TestInitRefuses(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		opts InitOptions
		want string
	}{
		{"the root node's directory", InitOptions{Dir: DefaultDir, Binary: exe}, "leave --dir out"},
		{"relative program", InitOptions{Dir: t.TempDir(), Binary: "troops"}, "not absolute"},
		{"missing program", InitOptions{Dir: t.TempDir(), Binary: "/nonexistent/troops"}, "no such file"},
	} {
		test.opts.Out = new(bytes.Buffer)
		if err := Init(t.Context(), test.opts); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestGitVersion(t *testing.T) {
	for line, want := range map[string]string{
		"git version 2.29.0":                  "",
		"git version 2.39.5 (Apple Git-154)":  "",
		"git version 3.0":                     "",
		"git version 2.28.1":                  "2.28.1, a node needs 2.29",
		"git version 1.99.9":                  "needs 2.29",
		"git version 2.55.0.rc1.windows.1":    "",
		"bash: git: command not found":        "not understood",
		"git version":                         "not understood",
		"git version 2.5.0-rc0-12-gdeadbeef0": "needs 2.29",
	} {
		err := CheckGitVersion(line)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v", line, err)
		}
	}
}

func TestShellQuote(t *testing.T) {
	for _, s := range []string{"", "/usr/local/bin/troops", "a b", "it's", "$(x) `y` \"z\" \\", "'"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q: %q, %v", s, out, err)
		}
	}
}

// The line must be one that sudo takes, with exactly these arguments.
func TestSudoers(t *testing.T) {
	dir := t.TempDir()
	var out bytes.Buffer
	n := &initer{out: &out, binary: "/usr/local/bin/troops", sudoers: filepath.Join(dir, "troops")}
	if err := n.makeSudoers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("visudo"); err != nil {
		if !strings.Contains(out.String(), "only root can push") {
			t.Errorf("without sudo it says %q", &out)
		}
		return
	}
	got, err := os.ReadFile(n.sudoers)
	if want := "%troops ALL=(root) NOPASSWD: /usr/local/bin/troops node start\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	info, err := os.Stat(n.sudoers)
	if err != nil || info.Mode().Perm() != 0o440 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if out, err := exec.Command("visudo", "-c", "-f", n.sudoers).CombinedOutput(); err != nil {
		t.Errorf("visudo: %v: %s", err, out)
	}
	n.binary, n.changed = "/bad path,\n", false
	if err := n.makeSudoers(t.Context()); err == nil || n.changed {
		t.Errorf("a line that sudo does not take: %v", err)
	}
	if again, _ := os.ReadFile(n.sudoers); !bytes.Equal(again, got) {
		t.Errorf("a bad line replaced the good one: %q", again)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// Who can replace the program is root by sudo's line.
func TestCheckBinary(t *testing.T) {
	dir := t.TempDir()
	exe := filepath.Join(dir, "troops")
	if err := os.WriteFile(exe, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ binary, want string }{
		{"/bin/sh", ""},
		{exe, "/usr/local/bin/troops"}, // below a directory that everybody writes
		{dir + "/a b", "no such file"},
		{"troops", "not absolute"},
	} {
		n := &initer{l: Layout{Root: true}, binary: test.binary}
		err := n.checkBinary()
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v", test.binary, err)
		}
	}
}

func TestTrustRepo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "gitconfig")
	n := &initer{l: LayoutAt("/srv/node"), out: new(bytes.Buffer), gitScope: []string{"--file", file}}
	for i, changed := range []bool{true, false} {
		n.changed = false
		if err := n.trustRepo(t.Context()); err != nil || n.changed != changed {
			t.Errorf("time %d: changed %v, %v", i, n.changed, err)
		}
	}
	out, err := gitcli.Repo{Dir: "/"}.Line(context.Background(), "config", "--file", file, "--get-all", "safe.directory")
	if err != nil || out != "/srv/node/repo/main.git" {
		t.Errorf("%q, %v", out, err)
	}
}

// Only the default directory is reached through sudo, and never by root.
func TestStartCommand(t *testing.T) {
	for dir, want := range map[string]string{"": "node start", DefaultDir: "node start", "/srv/x": "node --dir /srv/x start"} {
		args, err := LayoutAt(dir).startCommand()
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(args, " ")
		viaSudo := strings.HasPrefix(got, "sudo -n /")
		if !strings.HasSuffix(got, want) || viaSudo != (dir != "/srv/x" && os.Geteuid() != 0) {
			t.Errorf("%q: %q", dir, got)
		}
	}
}
