package testnode

import (
	"bytes"
	"context"
	_ "embed" // boot.sh
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// Port is the port of every node's sshd: not 22, which the machine's own sshd may have
	// taken on all addresses.
	Port = 2222

	// BootTimeout is how long a node may take to start, on a machine that is busy.
	BootTimeout = 2 * time.Minute

	// RunTimeout is how long a command of [Node.Run] may take.
	RunTimeout = 3 * time.Minute

	// maxLog is how much of a node's log is kept, in bytes: the end.
	maxLog = 256 << 10

	// bootTries is how many addresses are tried where one is taken.
	bootTries = 5
)

//go:embed boot.sh
var bootScript string

// Options says what nodes to start.
type Options struct {
	Names     []string          // full host names; the part before the first dot is the node's own name
	Users     []string          // log in with the kit's key and may sudo without password; default: ubuntu
	Binary    string            // troops, put at /usr/local/bin/troops; `troops node init` is run. Empty: a bare machine
	DiskLimit string            // size of a file system of its own at /var/lib/troops, as mount has it: 16m
	Apt       bool              // tmux is not installed, and apt-get can install it without network
	Files     map[string][]byte // more files, by absolute path; root's, mode 0644
}

// Node is a running machine.
type Node struct {
	Name string // full host name
	Addr string // loopback address of its sshd; the port is [Port]

	users []string
	cmd   *exec.Cmd
	stdin io.Closer
	log   *Transcript
	done  chan struct{} // closed when the node is gone
	stop  sync.Once
}

// Start starts nodes, several at once, in the order of the names. They end with the test.
// When the test has failed, their logs are shown.
func (k *Kit) Start(t testing.TB, o Options) []*Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), BootTimeout)
	defer cancel()
	nodes, err := k.StartAll(ctx, o)
	t.Cleanup(func() {
		for _, n := range nodes {
			n.Kill()
			if t.Failed() {
				t.Logf("log of %s:\n%s", n.Name, n.Log())
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return nodes
}

// StartAll is [Kit.Start] for callers without a testing.TB. The caller kills the nodes; after
// an error there is none.
func (k *Kit) StartAll(ctx context.Context, o Options) ([]*Node, error) {
	if len(o.Users) == 0 {
		o.Users = []string{"ubuntu"}
	}
	if o.Binary != "" {
		path, err := filepath.Abs(o.Binary)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return nil, fmt.Errorf("testnode: no troops to install on nodes: %w", err)
		}
		o.Binary = path
	}
	if o.Apt {
		repo, err := aptRepository(ctx)
		if err != nil {
			return nil, err
		}
		files := map[string][]byte{}
		for name, data := range repo {
			files["/srv/apt/"+name] = data
		}
		for name, data := range o.Files {
			files[name] = data
		}
		o.Files = files
	}
	nodes := make([]*Node, len(o.Names))
	errs := make([]error, len(o.Names))
	var wg sync.WaitGroup
	for i, name := range o.Names {
		wg.Go(func() { nodes[i], errs[i] = k.start(ctx, name, o) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		for _, n := range nodes {
			if n != nil {
				n.Kill()
			}
		}
		return nil, err
	}
	return nodes, nil
}

// start starts one node and sets it up.
func (k *Kit) start(ctx context.Context, name string, o Options) (*Node, error) {
	private, public, err := newKey(name)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		n, err := k.boot(ctx, name, o, private)
		if errors.Is(err, errAddressTaken) && try < bootTries {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := k.know(n, public); err != nil {
			n.Kill()
			return nil, err
		}
		if o.Binary != "" {
			if out, err := n.Exec(ctx, "troops node init"); err != nil {
				n.Kill()
				return nil, fmt.Errorf("testnode: troops node init on %s: %w\n%s", name, err, out)
			}
		}
		return n, nil
	}
}

var errAddressTaken = errors.New("address in use")

// boot starts a node at a new address and waits for its sshd to listen.
func (k *Kit) boot(ctx context.Context, name string, o Options, hostKey []byte) (*Node, error) {
	n := &Node{Name: name, Addr: k.address(), users: o.Users, log: &Transcript{Limit: maxLog}, done: make(chan struct{})}
	dir, err := os.MkdirTemp(k.Dir, "node-")
	if err != nil {
		return nil, fmt.Errorf("testnode: starting %s: %w", name, err)
	}
	if err := k.fill(dir, n, o, hostKey); err != nil {
		return nil, err
	}
	apt := ""
	if o.Apt {
		apt = "yes"
	}
	n.cmd = exec.Command("/bin/bash", "-c", bootScript)
	n.cmd.SysProcAttr = isolated()
	n.cmd.Stdout = n.log
	n.cmd.Stderr = n.log
	n.cmd.Env = []string{
		nodePath, "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		"NODE_DIR=" + dir, "NODE_NAME=" + name, "NODE_USERS=" + strings.Join(o.Users, " "),
		"NODE_SIZE=2g", "NODE_DISK=" + o.DiskLimit, "NODE_APT=" + apt,
		"NODE_BINARY=" + o.Binary,
	}
	if n.stdin, err = n.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("testnode: starting %s: %w", name, err)
	}
	if err := n.cmd.Start(); err != nil {
		return nil, fmt.Errorf("testnode: starting %s (namespaces need CAP_SYS_ADMIN): %w", name, err)
	}
	go func() {
		defer close(n.done)
		_ = n.cmd.Wait() // how a killed node ends says nothing
	}()
	if err := n.awaitSSHD(ctx); err != nil {
		n.Kill()
		return nil, fmt.Errorf("testnode: starting %s: %w\n%s", name, err, n.Log())
	}
	return n, nil
}

// nodePath is the PATH of a node's root, as Debian has it.
const nodePath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// awaitSSHD waits until sshd listens or cannot.
func (n *Node) awaitSSHD(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-n.done:
			cancel(errors.New("it ended"))
		case <-ctx.Done():
		}
	}()
	switch word, err := n.log.Wait(ctx, "Cannot bind", "boot failed", "Server listening on"); {
	case err != nil:
		return err
	case word == "Cannot bind":
		return errAddressTaken
	case word == "boot failed":
		return errors.New("boot failed")
	}
	return nil
}

// fill writes the files that a node has and the machine has not.
func (k *Kit) fill(dir string, n *Node, o Options, hostKey []byte) error {
	short, _, _ := strings.Cut(n.Name, ".")
	hosts := fmt.Sprintf("127.0.0.1 localhost\n%s %s %s\n", n.Addr, n.Name, short)
	root := filepath.Join(dir, "files")
	files := []file{
		{"/etc/hosts", []byte(hosts), 0o644},
		{"/etc/hostname", []byte(short + "\n"), 0o644},
		{"/etc/ssh-node/sshd_config", []byte(sshdConfig(n.Addr)), 0o600},
		{"/etc/ssh-node/host_key", hostKey, 0o600},
		{"/etc/ssh-node/authorized_keys", k.authorized, 0o644},
	}
	for name, data := range o.Files {
		files = append(files, file{name, data, 0o644})
	}
	if err := os.Mkdir(filepath.Join(dir, "mnt"), 0o755); err != nil {
		return fmt.Errorf("testnode: starting %s: %w", n.Name, err)
	}
	for _, f := range files {
		f.path = filepath.Join(root, f.path)
		if err := f.write(); err != nil {
			return err
		}
	}
	return nil
}

// Exec runs a bash script on the node as root, outside of SSH, in a clean environment.
// It returns standard output and error in one.
func (n *Node) Exec(ctx context.Context, script string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "nsenter", "--target", fmt.Sprint(n.cmd.Process.Pid),
		"--mount", "--uts", "--ipc", "--pid", "--root", "--wd", "--",
		"/usr/bin/env", "-i", nodePath, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "LANG=C.UTF-8",
		"/bin/bash", "-c", script)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // for what the script leaves behind with its output open
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	return out.Bytes(), err
}

// Run runs a bash script on the node as root, outside of SSH, and returns what it printed
// without the last line feed. The test fails if the script does.
func (n *Node) Run(t testing.TB, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), RunTimeout)
	defer cancel()
	out, err := n.Exec(ctx, script)
	if err != nil {
		t.Fatalf("on %s: %v\n%s\n%s", n.Name, err, script, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// ReadFile returns a file of the node.
func (n *Node) ReadFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := n.Exec(t.Context(), "cat -- '"+path+"'")
	if err != nil {
		t.Fatalf("on %s: reading %s: %v\n%s", n.Name, path, err, data)
	}
	return data
}

// Log is the end of what the node's boot and its sshd said.
func (n *Node) Log() string { return n.log.String() }

// Kill ends the node as a power cut does, and returns when all of its processes are gone.
func (n *Node) Kill() {
	n.stop.Do(func() {
		_ = n.cmd.Process.Kill() // it may be gone already
		_ = n.stdin.Close()
	})
	<-n.done
}
