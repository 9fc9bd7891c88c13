// Package sandbox makes nodes in a directory: real bare repositories with real hooks
// and real runs, made by `troops node init --dir`, each behind an SSH server of this
// process on a loopback port. No root, no sshd, nothing left behind. `troops demo` and
// the tests of push stand on it.
package sandbox

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// LeaveTimeout is how long Close waits for runs that still work before it kills them.
const LeaveTimeout = 10 * time.Second

// RepoPath is the path of every node's repository as its commands see it: they start in the
// node's own directory.
const RepoPath = "repo/main.git"

// Options say which nodes to make.
type Options struct {
	Dir      string   // an existing directory; everything is made below it
	Names    []string // a node each; plain host names
	Binary   string   // absolute path of the troops program that the nodes run
	Sessions int      // most sessions at once on a connection, as sshd's MaxSessions; 0 is no limit
	Format   string   // of the repositories' object names: sha1, unless it says sha256
	Bare     bool     // plain bare repositories that troops never touched, at the same paths
}

// Fleet is a set of running nodes.
type Fleet struct {
	Nodes     []*Node
	SSHConfig string // path of an OpenSSH configuration that reaches all nodes by name
	KeyFile   string // path of the private key that they accept
	Known     string // path of the known_hosts file with their host keys
}

// Node is one node of a Fleet.
type Node struct {
	Name string
	Dir  string // its layout's directory (docs/protocol.md)
	Repo string // its bare repository
	Port int    // on 127.0.0.1

	srv *server
}

// Drop breaks all connections to the node, as a network does; its runs go on.
func (n *Node) Drop() { n.srv.drop() }

// Start makes and starts the nodes, in parallel. The Fleet's Close ends them.
func Start(ctx context.Context, opts Options) (*Fleet, error) {
	f := &Fleet{
		SSHConfig: filepath.Join(opts.Dir, "ssh_config"),
		KeyFile:   filepath.Join(opts.Dir, "id_ed25519"),
		Known:     filepath.Join(opts.Dir, "known_hosts"),
	}
	client, err := newKey(f.KeyFile)
	if err != nil {
		return nil, err
	}
	host, err := newKey(filepath.Join(opts.Dir, "host_ed25519"))
	if err != nil {
		return nil, err
	}
	f.Nodes = make([]*Node, len(opts.Names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, name := range opts.Names {
		g.Go(func() (err error) {
			f.Nodes[i], err = start(gctx, opts, name, client, host)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, f.writeConfig(host)
}

func start(ctx context.Context, opts Options, name string, client, host ssh.Signer) (*Node, error) {
	dir := filepath.Join(opts.Dir, "nodes", name)
	n := &Node{Name: name, Dir: dir, Repo: filepath.Join(dir, RepoPath)}
	home := filepath.Join(opts.Dir, "homes", name)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("sandbox: making node %s: %w", name, err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C.UTF-8", "SHELL=/bin/sh"}
	if opts.Format != "" {
		env = append(env, "GIT_DEFAULT_HASH="+opts.Format)
	}
	args := []string{opts.Binary, "node", "--dir", dir, "init"}
	if opts.Bare {
		args = []string{"git", "init", "-q", "--bare", n.Repo}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("sandbox: making node %s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	n.srv = &server{config: serverConfig(client, host), env: env, dir: dir, sessions: opts.Sessions}
	if err := n.srv.listen(ctx); err != nil {
		return nil, err
	}
	n.Port = n.srv.ln.Addr().(*net.TCPAddr).Port
	return n, nil
}

func serverConfig(client, host ssh.Signer) *ssh.ServerConfig {
	want := string(client.PublicKey().Marshal())
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) != want {
				return nil, errors.New("not the sandbox's key")
			}
			return nil, nil
		},
	}
	config.AddHostKey(host)
	return config
}

// newKey makes an ed25519 key pair and writes the private half to path, mode 0600.
func newKey(path string) (ssh.Signer, error) {
	_, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sandbox: making a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(priv, "troops sandbox")
	if err != nil {
		return nil, fmt.Errorf("sandbox: making a key: %w", err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, fmt.Errorf("sandbox: writing a key: %w", err)
	}
	return ssh.NewSignerFromKey(priv)
}

func (f *Fleet) writeConfig(host ssh.Signer) error {
	var conf, known strings.Builder
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))
	for _, n := range f.Nodes {
		fmt.Fprintf(&conf, "Host %s\n  HostName 127.0.0.1\n  Port %d\n\n", n.Name, n.Port)
		fmt.Fprintf(&known, "[127.0.0.1]:%d %s\n", n.Port, key)
	}
	fmt.Fprintf(&conf, "Host *\n  User troops\n  IdentityFile %s\n  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile %s\n  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n",
		f.KeyFile, f.Known)
	if err := os.WriteFile(f.Known, []byte(known.String()), 0o600); err != nil {
		return fmt.Errorf("sandbox: writing known_hosts: %w", err)
	}
	if err := os.WriteFile(f.SSHConfig, []byte(conf.String()), 0o600); err != nil {
		return fmt.Errorf("sandbox: writing ssh_config: %w", err)
	}
	return nil
}

// Close ends the servers, waits for runs that still work for at most [LeaveTimeout], and
// kills those that go on after that. The directory is the caller's to remove.
func (f *Fleet) Close() error {
	var errs []error
	deadline := time.Now().Add(LeaveTimeout)
	for _, n := range f.Nodes {
		if n == nil || n.srv == nil {
			continue
		}
		errs = append(errs, n.srv.Close(), endRuns(n.Dir, deadline))
	}
	return errors.Join(errs...)
}

// endRuns waits until no run of the node in dir lives: every run holds the lock of a file
// of its own (docs/protocol.md), so waiting for the lock is waiting for the run.
func endRuns(dir string, deadline time.Time) error {
	files, err := filepath.Glob(filepath.Join(dir, "runs", "*", "alive"))
	if err != nil {
		return err
	}
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			continue // pruned meanwhile
		}
		timer := time.AfterFunc(time.Until(deadline), func() { kill(filepath.Dir(path)) })
		err = flock(file)
		timer.Stop()
		file.Close()
		if err != nil {
			return fmt.Errorf("sandbox: waiting for the run of %s: %w", path, err)
		}
	}
	return nil
}

func flock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_SH)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
