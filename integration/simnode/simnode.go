// Package simnode simulates troops nodes by the thousand: one process listens on an address
// of 127.0.0.0/8 for each, speaks SSH there, and answers git-receive-pack and troops' attach
// as a node does, without a repository or a process behind it. The measurements of
// integration/bench stand on it; what it leaves out of a node is whatever costs the node, not
// the workstation.
package simnode

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// Port is where every node listens, on an address of its own.
const Port = 2223

// MaxNodes is how many addresses there are for nodes.
const MaxNodes = 1 << 16

// Options say which nodes to simulate.
type Options struct {
	Dir   string        // an existing directory for keys, known_hosts and ssh_config
	Nodes int           // how many
	At    string        // object name of the commit that they are at, empty before the first deployment
	Work  Work          // what a run does on each
	Delay time.Duration // each connection is taken up after a time between 0 and this, chosen by chance
}

// Fleet is a set of nodes that listen.
type Fleet struct {
	o         Options
	net       int // second byte of the nodes' addresses
	config    *ssh.ServerConfig
	listeners []net.Listener
	wg        sync.WaitGroup // everything that goes on
	calm      chan struct{}  // closed when all nodes that do not flood have ended

	mu     sync.Mutex // guards all below
	conns  map[net.Conn]struct{}
	closed bool
	ended  map[int]bool // nodes that do not flood and have printed everything
}

// Name is the name of a node, which counts from 0.
func Name(node int) string { return fmt.Sprintf("node-%05d", node+1) }

func (f *Fleet) address(node int) string {
	return fmt.Sprintf("127.%d.%d.%d", f.net, node>>8, node&0xff)
}

// SSHConfig is the path of the OpenSSH configuration that reaches the nodes of a directory.
func SSHConfig(dir string) string { return filepath.Join(dir, "ssh_config") }

// Start lets the nodes listen, and writes the configuration that reaches them by name.
func Start(ctx context.Context, o Options) (*Fleet, error) {
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return nil, fmt.Errorf("simnode: %d nodes: between 1 and %d are possible", o.Nodes, MaxNodes)
	}
	f := &Fleet{o: o, calm: make(chan struct{}), conns: make(map[net.Conn]struct{}), ended: make(map[int]bool)}
	client, err := newKey(filepath.Join(o.Dir, "id_ed25519"))
	if err != nil {
		return nil, err
	}
	host, err := newKey(filepath.Join(o.Dir, "host_ed25519"))
	if err != nil {
		return nil, err
	}
	want := string(client.PublicKey().Marshal())
	f.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != want {
			return nil, errors.New("not the fleet's key")
		}
		return nil, nil
	}}
	f.config.AddHostKey(host)
	if err := f.listen(ctx); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := f.writeConfig(host); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// listen takes an address for each node, in a network that no other fleet of the machine has:
// most likely one chosen by chance, certainly one that is found free.
func (f *Fleet) listen(ctx context.Context) error {
	const first, networks = 64, 64
	f.net = first + mathrand.IntN(networks)
	var lc net.ListenConfig
	for i, tries := 0, 0; i < f.o.Nodes; i++ {
		ln, err := lc.Listen(ctx, "tcp", fmt.Sprintf("%s:%d", f.address(i), Port))
		if i == 0 && errors.Is(err, syscall.EADDRINUSE) && tries < networks {
			f.net = first + (f.net-first+1)%networks
			i, tries = i-1, tries+1
			continue
		}
		if err != nil {
			return fmt.Errorf("simnode: listening as %s: %w", Name(i), err)
		}
		f.listeners = append(f.listeners, ln)
		f.wg.Go(func() { f.accept(i, ln) })
	}
	return nil
}

// accept serves the connections of one node until its listener is closed.
func (f *Fleet) accept(node int, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		closed := f.closed
		if !closed {
			f.conns[c] = struct{}{}
		}
		f.mu.Unlock()
		if closed {
			c.Close()
			return
		}
		f.wg.Go(func() {
			f.delay()
			f.serve(node, c)
			c.Close()
			f.mu.Lock()
			delete(f.conns, c)
			f.mu.Unlock()
		})
	}
}

// delay is how much further away than a loopback address a node is.
func (f *Fleet) delay() {
	if f.o.Delay > 0 {
		<-time.After(mathrand.N(f.o.Delay))
	}
}

// Close ends the nodes and waits for everything that goes on there.
func (f *Fleet) Close() error {
	var errs []error
	for _, ln := range f.listeners {
		errs = append(errs, ln.Close())
	}
	f.mu.Lock()
	f.closed = true
	for c := range f.conns {
		c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
	return errors.Join(errs...)
}

// newKey makes an ed25519 key pair and writes the private half to path, mode 0600.
func newKey(path string) (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("simnode: making a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "simnode")
	if err != nil {
		return nil, fmt.Errorf("simnode: making a key: %w", err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, fmt.Errorf("simnode: writing a key: %w", err)
	}
	return ssh.NewSignerFromKey(private)
}

// writeConfig gives each node a Host block and a line in known_hosts, as a fleet has them.
func (f *Fleet) writeConfig(host ssh.Signer) error {
	var conf, known strings.Builder
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host.PublicKey())))
	for i := range f.o.Nodes {
		fmt.Fprintf(&conf, "Host %s\n\tHostName %s\n", Name(i), f.address(i))
		fmt.Fprintf(&known, "[%s]:%d %s\n", f.address(i), Port, key)
	}
	knownPath := filepath.Join(f.o.Dir, "known_hosts")
	fmt.Fprintf(&conf, `Host *
	Port %d
	User troops
	IdentityFile %s
	IdentitiesOnly yes
	IdentityAgent none
	UserKnownHostsFile %s
	GlobalKnownHostsFile none
	StrictHostKeyChecking yes
`, Port, filepath.Join(f.o.Dir, "id_ed25519"), knownPath)
	if err := os.WriteFile(knownPath, []byte(known.String()), 0o600); err != nil {
		return fmt.Errorf("simnode: writing known_hosts: %w", err)
	}
	if err := os.WriteFile(SSHConfig(f.o.Dir), []byte(conf.String()), 0o600); err != nil {
		return fmt.Errorf("simnode: writing ssh_config: %w", err)
	}
	return nil
}
