package testnode

import (
	"archive/zip"
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// ssh runs the kit's ssh with args as the workstation does.
func (k *Kit) ssh(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(k.Bin, "ssh"), args...)
	cmd.Env = k.Env()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func TestNodeIsAMachineOfItsOwn(t *testing.T) {
	k := New(t)
	t.Setenv("PIP_INDEX_URL", "http://leaked.invalid")
	begin := time.Now()
	nodes := k.Start(t, Options{
		Names:     []string{"shellbox-1.example.com", "web-1.example.com"},
		Users:     []string{"ubuntu", "nobody-special"},
		DiskLimit: "4m",
		Files:     map[string][]byte{"/srv/hello": []byte("hello")},
	})
	t.Logf("%d nodes started in %v", len(nodes), time.Since(begin))
	n := nodes[0]

	for _, tt := range []struct{ name, script, want string }{
		{"host name", "hostname", "shellbox-1"},
		{"full host name", "hostname --fqdn", "shellbox-1.example.com"},
		{"process 1 is its own", "cat /proc/1/comm", "bash"},
		{"files", "cat /srv/hello", "hello"},
		{"home", "ls -A /root /home", "/home:\nnobody-special\nubuntu\n\n/root:\n.ssh"},
		{"devices", "head -c 3 /dev/zero | wc -c; : >/dev/null; test -c /dev/ptmx; test -e /dev/fd/0", "3"},
		{"environment", "env | grep -c -i PIP || true", "0"},
		{"disk limit", "stat -f -c %b /var/lib/troops", "1024"},
		{"no troops", "ls -A /var/lib/troops /usr/local/bin", "/usr/local/bin:\n\n/var/lib/troops:"},
		{"machine's temporary files are hidden", "ls -A /tmp", ""},
	} {
		if got := n.Run(t, tt.script); got != tt.want {
			t.Errorf("%s: %s: got %q, want %q", tt.name, tt.script, got, tt.want)
		}
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"short name", []string{"shellbox-1", "hostname; id -un"}, "shellbox-1\nubuntu"},
		{"other user", []string{"nobody-special@web-1.example.com", "hostname; id -un"}, "web-1\nnobody-special"},
		{"root", []string{"root@web-1", "id -un"}, "root"},
		{"sudo", []string{"ubuntu@shellbox-1", "sudo id -un"}, "root"},
		{"environment", []string{"shellbox-1", "env | grep -c -i -e PIP_ -e NODE_ || true"}, "0"},
		{"exit code", []string{"shellbox-1", "sudo true && ! sudo sh -c 'exit 3'; echo $?"}, "0"},
	} {
		if got, err := k.ssh(t, tt.args...); err != nil || got != tt.want {
			t.Errorf("ssh, %s: got %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}

	if got := n.ReadFile(t, "/etc/hostname"); string(got) != "shellbox-1\n" {
		t.Errorf("ReadFile: %q", got)
	}
	n.Run(t, "echo gone >/etc/testnode-was-here; rm /usr/bin/git; hostname changed")
	if _, err := os.Stat("/etc/testnode-was-here"); err == nil {
		t.Error("a file written on the node is on the machine")
	}
	if _, err := os.Stat("/usr/bin/git"); err != nil {
		t.Error("a file removed on the node is gone from the machine")
	}
	if out, err := n.Exec(t.Context(), "head -c 5m /dev/zero >/var/lib/troops/big"); err == nil || !strings.Contains(string(out), "No space left") {
		t.Errorf("a disk of 4m takes 5m: %s %v", out, err)
	}
	if _, err := n.Exec(t.Context(), "sleep 1000 & exit 7"); err == nil || err.Error() != "exit status 7" {
		t.Errorf("exit code of a script: %v", err)
	}
	if got := nodes[1].Run(t, "test -x /usr/bin/git && hostname"); got != "web-1" {
		t.Errorf("one node's changes are on another: %q", got)
	}
}

func TestNodeReapsOrphans(t *testing.T) {
	n := New(t).Start(t, Options{Names: []string{"a"}})[0]
	// A process whose parent has gone is process 1's; when it ends nothing must be left of it.
	n.Run(t, `mkfifo /tmp/gate; (setsid bash -c 'echo $$ >/tmp/pid; : >/tmp/gate; read -r _ </tmp/gate' >/dev/null 2>&1 &) ; : </tmp/gate; echo go >/tmp/gate`)
	n.Run(t, `pid=$(cat /tmp/pid); while [ -e /proc/$pid ]; do :; done`)
}

func TestNothingIsLeft(t *testing.T) {
	k := New(t)
	before := mounts(t)
	nodes, err := k.StartAll(t.Context(), Options{Names: []string{"a", "b"}})
	if err != nil {
		t.Fatal(err)
	}
	if mounts(t) != before {
		t.Error("a node's mounts are seen on the machine")
	}
	pid := nodes[0].Run(t, "setsid sleep 1000 >/dev/null 2>&1 & read -r pid _ </proc/self/stat; echo $pid")
	if pid == "" {
		t.Error("no pid")
	}
	for _, n := range nodes {
		ns, err := os.Readlink("/proc/" + strconv.Itoa(n.cmd.Process.Pid) + "/ns/pid")
		if err != nil {
			t.Fatal(err)
		}
		n.Kill()
		n.Kill()
		if c, err := net.Dial("tcp", net.JoinHostPort(n.Addr, strconv.Itoa(Port))); err == nil {
			c.Close()
			t.Errorf("%s still listens", n.Name)
		}
		procs, err := filepath.Glob("/proc/[0-9]*/ns/pid")
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range procs {
			if l, _ := os.Readlink(p); l == ns {
				t.Errorf("%s is a process of the dead node %s", p, n.Name)
			}
		}
	}
	if mounts(t) != before {
		t.Error("mounts are left")
	}
}

func TestStartTakesAnotherAddress(t *testing.T) {
	k := New(t)
	l, err := net.Listen("tcp", net.JoinHostPort(k.address(), strconv.Itoa(Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	k.next--
	n := k.Start(t, Options{Names: []string{"a"}})[0]
	if host, _, _ := net.SplitHostPort(l.Addr().String()); n.Addr == host {
		t.Errorf("the node has the address %s, which is taken", n.Addr)
	}
	if out, err := k.ssh(t, "a", "echo here"); err != nil || out != "here" {
		t.Errorf("ssh: %q, %v", out, err)
	}
}

func TestStartFails(t *testing.T) {
	k := New(t)
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"no binary", Options{Binary: "/does/not/exist"}, "no troops to install on nodes"},
		{"binary that fails", Options{Binary: "/bin/false"}, "troops node init on a"},
		{"bad disk", Options{DiskLimit: "much"}, "boot failed"},
	} {
		tt.o.Names = []string{"a", "b"}
		nodes, err := k.StartAll(t.Context(), tt.o)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %d nodes, error %v, want one with %q", tt.name, len(nodes), err, tt.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := k.StartAll(ctx, Options{Names: []string{"a"}}); err == nil {
		t.Error("started after its context ended")
	}
}

func TestApt(t *testing.T) {
	n := New(t).Start(t, Options{Names: []string{"a"}, Apt: true})[0]
	if out, err := n.Exec(t.Context(), "command -v tmux || dpkg-query -W tmux"); err == nil {
		t.Errorf("tmux is there: %s", out)
	}
	begin := time.Now()
	n.Run(t, "apt-get install -y --no-install-recommends tmux")
	t.Logf("apt-get install: %v", time.Since(begin))
	if got := n.Run(t, "dpkg-query -W -f '${db:Status-Status}' tmux; tmux -V | cut -c1-4"); got != "installedtmux" {
		t.Errorf("after apt-get install: %q", got)
	}
	if out, err := n.Exec(t.Context(), "apt-get install -y --no-install-recommends cowsay"); err == nil {
		t.Errorf("a package that is not in the repository can be installed: %s", out)
	}
}

func TestWheel(t *testing.T) {
	src := fstest.MapFS{
		"hello/__init__.py": {Data: []byte("word = 'hello'\n")},
		"hello/notes.txt":   {Data: []byte("not Python")},
	}
	name, data, err := Wheel(src, "Hello", "1.2")
	if err != nil || name != "hello-1.2-py3-none-any.whl" {
		t.Fatalf("Wheel: %q, %v", name, err)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range z.File {
		got = append(got, f.Name)
	}
	want := "hello/__init__.py hello-1.2.dist-info/METADATA hello-1.2.dist-info/WHEEL hello-1.2.dist-info/RECORD"
	if strings.Join(got, " ") != want {
		t.Errorf("files: %v, want %s", got, want)
	}
	n := New(t).Start(t, Options{Names: []string{"a"}, Files: map[string][]byte{"/srv/" + name: data}})[0]
	n.Run(t, "python3 -m venv /tmp/v && /tmp/v/bin/pip install --no-index /srv/"+name)
	if got := n.Run(t, "/tmp/v/bin/python -c 'import hello; print(hello.word)'"); got != "hello" {
		t.Errorf("import hello: %q", got)
	}
	if _, _, err := Wheel(fstest.MapFS{}, "Empty", "1"); err == nil {
		t.Error("a wheel without files")
	}
}

func TestNames(t *testing.T) {
	if got := strings.Join(Names("node-%02d.example.com", 2), " "); got != "node-01.example.com node-02.example.com" {
		t.Errorf("Names: %q", got)
	}
}

func mounts(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
