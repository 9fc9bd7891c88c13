package sshx

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// addKey adds a host's key to a file, as another process would.
func addTo(t testing.TB, home, path, name string, key ssh.PublicKey, hashed bool) {
	t.Helper()
	w, err := openKnown(newKnownFile(path), home)
	if err != nil {
		t.Error(err)
		return
	}
	defer w.close()
	if err := w.add(name, key, hashed); err != nil {
		t.Error(err)
	}
}

func TestAddToKnownHosts(t *testing.T) {
	a, b := newKey(t).PublicKey(), newKey(t).PublicKey()
	home := t.TempDir()
	path := filepath.Join(home, ".ssh", "known_hosts")
	addTo(t, home, path, "web", a, false)
	for name, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if st, err := os.Stat(name); err != nil || st.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	writeFile(t, path, "web "+keyText(a)) // no line feed at the end
	addTo(t, home, path, "[db]:2222", b, true)
	lines := strings.Split(string(readFile(t, path)), "\n")
	if len(lines) != 3 || lines[0] != "web "+keyText(a) || !strings.HasPrefix(lines[1], "|1|") || lines[2] != "" {
		t.Errorf("file:\n%s", strings.Join(lines, "\n"))
	}
	if out, err := exec.Command(needs(t, "ssh-keygen"), "-F", "[db]:2222", "-f", path).CombinedOutput(); err != nil {
		t.Errorf("ssh-keygen -F: %v\n%s", err, out)
	}
}

// TestKeysOfOthersAreSeen has the file change between two acceptances in each way there is.
func TestKeysOfOthersAreSeen(t *testing.T) {
	ours, theirs := newKey(t).PublicKey(), newKey(t).PublicKey()
	other := "db " + keyText(theirs) + "\n"
	for _, tt := range []struct {
		name, before, after string
		key                 ssh.PublicKey
		want                HostKeyKind // of ours for web
		line                int
		text                string
	}{
		{"nothing", other, other, ours, "", 2, other + "web " + keyText(ours) + "\n"},
		{"appended", other, other + "web " + keyText(theirs) + "\n", ours, KeyChanged, 2, ""},
		{"appended the same", other, other + "web " + keyText(ours) + "\n", ours, "", 2, other + "web " + keyText(ours) + "\n"},
		{"the last line went on", strings.TrimSpace(other), strings.TrimSpace(other) + " x\nweb " + keyText(theirs) + "\n", ours, KeyChanged, 2, ""},
		{"rewritten", other + "a " + keyText(theirs) + "\n", "web " + keyText(theirs) + "\n", ours, KeyChanged, 1, ""},
		{"rewritten, longer", other, "#\n\nweb " + keyText(theirs) + "\n" + other, ours, KeyChanged, 3, ""},
		{"appended hashed", other, other + hashed("web") + " " + keyText(theirs) + "\n", ours, KeyChanged, 2, ""},
		{"appended to hashed", hashed("db") + " " + keyText(theirs) + "\n", hashed("db") + " " + keyText(theirs) + "\n#\n" + hashed("web") + " " + keyText(theirs) + "\n", ours, KeyChanged, 3, ""},
		{"hashed lines replaced", hashed("web") + " " + keyText(theirs) + "\n", hashed("db") + " " + keyText(theirs) + "\n#\n", ours, "", 3,
			hashed("db") + " " + keyText(theirs) + "\n#\nweb " + keyText(ours) + "\n"},
		{"emptied", other, "", ours, "", 1, "web " + keyText(ours) + "\n"},
		{"no line feed at the end", other + "# c", other + "# c", ours, "", 3, other + "# c\nweb " + keyText(ours) + "\n"},
		{"made", "", other, ours, "", 2, other + "web " + keyText(ours) + "\n"},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "known_hosts")
			if tt.before != "" {
				writeFile(t, path, tt.before)
			}
			keys := newHostKeys(t.TempDir(), t.Logf)
			c := keys.newCheck(&settings{HostName: "web", Port: 22, UserKnownHosts: []string{path}}, "web", false)
			c.decide("web", ours) // what was found is kept
			writeFile(t, path, tt.after)
			changed, unsaved := c.accept(tt.key)
			if unsaved != nil {
				t.Fatal(unsaved)
			}
			v := c.decide("web", ours)
			if v.kind != tt.want || v.by.line != tt.line || (changed != nil) != (tt.want != "") {
				t.Errorf("%q by line %d, %v", v.kind, v.by.line, changed)
			}
			if tt.text == "" {
				tt.text = tt.after
			}
			if text := string(readFile(t, path)); text != tt.text {
				t.Errorf("the file is now:\n%s", text)
			}
		})
	}
}

// The test binary runs as a second process that adds hosts to the file in helperVar.
const (
	helperVar   = "SSHX_TEST_ADD_TO"
	helperHosts = 100
)

func TestHelperAddsHosts(t *testing.T) {
	path := os.Getenv(helperVar)
	if path == "" {
		return // not started by TestAcceptNewFromManyAtOnce
	}
	for i := range helperHosts {
		addTo(t, "/nonexistent", path, "process-"+strconv.Itoa(i), newKey(t).PublicKey(), i%2 == 0)
	}
}

// TestAcceptNewFromManyAtOnce has 100 connections of two Clients, a second process and some
// of ssh add to one file.
func TestAcceptNewFromManyAtOnce(t *testing.T) {
	const hosts, sshes = 25, 4
	h := newHome(t)
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	h.config("StrictHostKeyChecking accept-new\nUser " + u.Username + "\n")
	writeFile(t, h.path("known_hosts"), "# without a line feed")
	clients := []*Client{h.client(Options{}), h.client(Options{})}
	var servers []*server
	for range hosts + sshes {
		servers = append(servers, (&server{onExec: echo}).start(t))
	}
	helper := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelperAddsHosts$")
	helper.Env = append(os.Environ(), helperVar+"="+h.path("known_hosts"))
	var wg sync.WaitGroup
	wg.Go(func() {
		if out, err := helper.CombinedOutput(); err != nil {
			t.Errorf("second process: %v\n%s", err, out)
		}
	})
	for i := range 100 {
		wg.Go(func() {
			conn, err := clients[i%2].Dial(t.Context(), servers[i%hosts].addr)
			if err != nil {
				t.Error(err)
				return
			}
			conn.Close()
		})
	}
	for _, s := range servers[hosts:] {
		wg.Go(func() {
			cmd := exec.CommandContext(t.Context(), needs(t, "ssh"), "-F", h.path("config"), "-oBatchMode=yes", "-p", s.port(), "127.0.0.1", "x")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("ssh: %v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	count := make(map[string]int)
	for i, line := range strings.Split(strings.TrimSuffix(string(readFile(t, h.path("known_hosts"))), "\n"), "\n") {
		k, err := parseKnownLine(line)
		switch {
		case i == 0 && line == "# without a line feed":
		case err != nil:
			t.Errorf("line %d is torn: %q", i+1, line)
		case k.hashed != nil:
			count["hashed"]++
		default:
			count[k.names[0]]++
		}
	}
	want := map[string]int{"hashed": helperHosts / 2}
	for _, s := range servers {
		want[s.name()] = 1
	}
	for i := 1; i < helperHosts; i += 2 {
		want["process-"+strconv.Itoa(i)] = 1
	}
	for name, n := range want {
		if count[name] != n {
			t.Errorf("%s is there %d times, want %d", name, count[name], n)
		}
	}
	if len(count) != len(want) {
		t.Errorf("%d names, want %d", len(count), len(want))
	}
}

// TestKnownHostsFilesOfAllSorts compares what accept-new makes of odd files with what ssh does.
func TestKnownHostsFilesOfAllSorts(t *testing.T) {
	s := startSSHD(t, "")
	h := realHome(t, "StrictHostKeyChecking accept-new\n", s)
	for _, tt := range []struct {
		name string
		make func(dir string) error
		says string // in the log, where the key could not be added
	}{
		{"missing", func(string) error { return nil }, ""},
		{"symlink", func(d string) error {
			writeFile(t, d+"/real", "# there\n")
			return os.Symlink("real", d+"/kh")
		}, ""},
		{"dangling symlink", func(d string) error { return os.Symlink("real", d+"/kh") }, ""},
		{"loop of symlinks", func(d string) error { return os.Symlink("kh", d+"/kh") }, "too many levels of symbolic links"},
		{"directory", func(d string) error { return os.Mkdir(d+"/kh", 0o700) }, "is a directory"},
		{"below a file", func(d string) error { return os.Symlink(h.path("config")+"/x", d+"/kh") }, "not a directory"},
		{"in a missing directory", func(d string) error { return os.Symlink(d+"/none/x", d+"/kh") }, "no such file"},
		{"null device", func(d string) error { return os.Symlink("/dev/null", d+"/kh") }, ""},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			var texts []string
			for _, who := range []string{"ssh", "sshx"} {
				dir := t.TempDir()
				if err := tt.make(dir); err != nil {
					t.Fatal(err)
				}
				h.config("StrictHostKeyChecking accept-new\nUserKnownHostsFile " + dir + "/kh\nUser " + localUser(t) + "\n")
				if who == "ssh" {
					if out, err := exec.Command(needs(t, "ssh"), "-F", h.path("config"), "-oBatchMode=yes", "-p", s.port, "127.0.0.1", "true").CombinedOutput(); err != nil {
						t.Errorf("ssh: %v\n%s", err, out)
					} else if failed := strings.Contains(string(out), "Failed to add"); failed != (tt.says != "") {
						t.Errorf("ssh said:\n%s", out)
					}
				} else {
					var said strings.Builder
					c := h.client(Options{Logf: func(f string, a ...any) { fmt.Fprintf(&said, f+"\n", a...) }})
					h.dial(c, s.addr)
					if !strings.Contains(said.String(), tt.says) || tt.says != "" && !strings.Contains(said.String(), "adding the host key of [127.0.0.1]:"+s.port+" to "+dir+"/kh") {
						t.Errorf("sshx said:\n%s", said.String())
					}
				}
				var all strings.Builder
				for _, name := range []string{"kh", "real"} {
					st, err := os.Lstat(filepath.Join(dir, name))
					if err != nil {
						continue
					}
					fmt.Fprintf(&all, "%s %v\n", name, st.Mode().Type())
					if st.Mode().IsRegular() {
						all.Write(readFile(t, filepath.Join(dir, name)))
					}
				}
				texts = append(texts, all.String())
			}
			if texts[0] != texts[1] {
				t.Errorf("ssh left\n%s\nsshx left\n%s", texts[0], texts[1])
			}
		})
	}
	// What cannot be read is said where it matters: the host is unknown.
	h.config("UserKnownHostsFile " + h.dir + "\n")
	if e := hostKeyError(t, h.client(Options{}), s.addr); e.Kind != KeyUnknown || !strings.Contains(e.Error(), h.dir+" cannot be read: is a directory") {
		t.Errorf("%v", e)
	}
}

func localUser(t testing.TB) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// TestOneKeyIsAcceptedForAHost has connections to one name that each show another key, with
// and without a file, of one Client or of several, as processes have: the lock of a file does
// not know whose it is. The first key to be accepted makes changed ones of the others.
func TestOneKeyIsAcceptedForAHost(t *testing.T) {
	const names, connections = 300, 4
	var shown []ssh.PublicKey
	for range connections {
		shown = append(shown, newKey(t).PublicKey())
	}
	dir := t.TempDir()
	for _, tt := range []struct {
		name    string
		files   []string
		clients int
	}{
		{"file", []string{dir + "/one"}, 1},
		{"file of several Clients", []string{dir + "/several"}, connections},
		{"memory", nil, 1},
		{"null device", []string{os.DevNull}, 1},
	} {
		t.Run(strings.ReplaceAll(tt.name, " ", "-"), func(t *testing.T) {
			var clients []*hostKeys
			for range tt.clients {
				clients = append(clients, newHostKeys(dir, t.Logf))
			}
			for i := range names {
				s := &settings{HostName: fmt.Sprintf("web-%d", i), Port: 22, UserKnownHosts: tt.files}
				var accepted atomic.Int32
				var wg sync.WaitGroup
				begin := make(chan struct{})
				for j, key := range shown {
					c := clients[j%len(clients)].newCheck(s, s.HostName, true)
					wg.Go(func() {
						<-begin
						switch changed, unsaved := c.accept(key); {
						case unsaved != nil:
							t.Error(unsaved)
						case changed == nil:
							accepted.Add(1)
						}
					})
				}
				close(begin)
				wg.Wait()
				if n := accepted.Load(); n != 1 {
					t.Errorf("%s has %d keys", s.HostName, n)
				}
			}
		})
	}
}
