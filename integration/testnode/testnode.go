// Package testnode starts real OpenSSH nodes for tests, without a container engine: each is
// an overlay of the machine's own root file system on a tmpfs, in namespaces of its own, with
// its own host name, users, /etc and /var, and an sshd on its own loopback address. A node
// costs about 0.3 s and goes away with the test without leaving a mount or a process.
//
// It needs Linux, root and the Debian packages that integration/setup.sh installs. Where they
// are missing a test is skipped, or fails if the environment has CI set.
package testnode

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Kit is a workstation's view of some nodes: a directory with an SSH configuration that knows
// them all, a key that they accept, and their host keys. Its methods may be used from several
// goroutines.
type Kit struct {
	Dir        string // everything below; of the test, removed with it
	SSHConfig  string // ssh_config with a Host entry for each node: full name, short name
	KnownHosts string // known_hosts with each node's key
	Key        string // private key that all users of all nodes accept
	Home       string // an empty home directory, for [Kit.Env]
	Bin        string // directory with an `ssh` that reads SSHConfig by itself

	authorized []byte

	mu   sync.Mutex
	next uint16 // low half of the next node's address
}

// New makes a kit. Where nodes cannot be started it skips the test, or fails it in CI.
func New(t testing.TB) *Kit {
	t.Helper()
	if err := Possible(); err != nil {
		if ci := os.Getenv("CI"); ci != "" && ci != "false" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	k, err := NewKit(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// NewKit is [New] for callers without a testing.TB: see [Possible] before. The directory is
// the caller's to remove.
func NewKit(dir string) (*Kit, error) {
	k := &Kit{
		Dir:        dir,
		SSHConfig:  filepath.Join(dir, "ssh_config"),
		KnownHosts: filepath.Join(dir, "known_hosts"),
		Key:        filepath.Join(dir, "id_ed25519"),
		Home:       filepath.Join(dir, "home"),
		Bin:        filepath.Join(dir, "bin"),
	}
	var seed [2]byte
	if _, err := rand.Read(seed[:]); err != nil {
		return nil, fmt.Errorf("testnode: choosing addresses: %w", err)
	}
	k.next = binary.BigEndian.Uint16(seed[:])
	private, public, err := newKey("workstation")
	if err != nil {
		return nil, err
	}
	k.authorized = public
	wrapper := fmt.Sprintf("#!/bin/sh\nexec /usr/bin/ssh -F '%s' \"$@\"\n", k.SSHConfig)
	for _, d := range []string{k.Home, k.Bin} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("testnode: making a workstation: %w", err)
		}
	}
	for _, f := range []file{
		{k.Key, private, 0o600},
		{k.KnownHosts, nil, 0o600},
		{k.SSHConfig, nil, 0o600},
		{filepath.Join(k.Bin, "ssh"), []byte(wrapper), 0o755},
		{filepath.Join(k.Home, ".gitconfig"), []byte(gitConfig), 0o600},
	} {
		if err := f.write(); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// gitConfig makes git on the workstation behave the same whatever its version.
const gitConfig = `[user]
	name = Tester
	email = tester@example.com
[init]
	defaultBranch = master
[advice]
	detachedHead = false
`

// Env is the environment of a workstation: nothing of the test's own but the path to its
// programs, with the kit's home directory and with the kit's ssh found first.
func (k *Kit) Env() []string {
	return []string{
		"PATH=" + k.Bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + k.Home,
		"USER=tester",
		"LOGNAME=tester",
		"LANG=C.UTF-8",
		"TERM=dumb",
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"TMPDIR=" + os.TempDir(),
	}
}

// Possible says why no node can be started here and what to do about it, or nil.
func Possible() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("testnode: nodes need Linux namespaces, this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("testnode: nodes need root (overlay mounts, namespaces): run the tests with sudo, or in a container with --privileged")
	}
	var missing []string
	for _, program := range []string{
		"/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/sudo", "/usr/bin/git", "/usr/bin/python3", "/bin/bash", "mount", "pivot_root", "nsenter",
	} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("testnode: missing on this machine: %s: run integration/setup.sh as root", strings.Join(missing, ", "))
	}
	return nil
}

// Names returns n host names, pattern having one verb for the number, which begins at 1.
func Names(pattern string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(pattern, i+1)
	}
	return names
}

// address returns a loopback address that no other node of this kit has had, and that with
// great likelihood no other kit has.
func (k *Kit) address() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		k.next++
		if low := k.next & 0xff; low != 0 && low != 0xff {
			return fmt.Sprintf("127.1.%d.%d", k.next>>8, low)
		}
	}
}

// know adds a started node to the SSH configuration and to the known host keys.
func (k *Kit) know(n *Node, hostKey []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	short, _, _ := strings.Cut(n.Name, ".")
	names := n.Name
	if short != n.Name {
		names += " " + short
	}
	entry := fmt.Sprintf(`Host %s
	HostName %s
	Port %d
	User %s
	IdentityFile %s
	IdentitiesOnly yes
	IdentityAgent none
	UserKnownHostsFile %s
	GlobalKnownHostsFile /dev/null
	StrictHostKeyChecking yes
`, names, n.Addr, Port, n.users[0], k.Key, k.KnownHosts)
	if err := appendFile(k.SSHConfig, entry); err != nil {
		return err
	}
	return appendFile(k.KnownHosts, fmt.Sprintf("[%s]:%d %s", n.Addr, Port, hostKey))
}
