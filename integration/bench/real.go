package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"troops/integration/testnode"
)

const (
	// lines is how many lines the hook of a node prints.
	lines = 20
	// bootTime is how long all real nodes may take to start.
	bootTime = 10 * time.Minute
	// rounds is how often each program is measured, all in turn; shown is the run in the middle.
	rounds = 3
	// setUps is how many nodes are prepared at once.
	setUps = 8
)

// plainHook makes the plain repository of a node.
const plainHook = `set -e
gpasswd -a ubuntu troops
git init -q --bare -b master ` + plainRepo + `
cat >` + plainRepo + `/hooks/post-receive <<'END'
#!/bin/sh
i=1
while [ $i -le %d ]; do
	echo "` + marker + `$i"
	i=$((i + 1))
done
END
chmod 0755 ` + plainRepo + `/hooks/post-receive
chown -R ubuntu:ubuntu ` + plainRepo + "\n"

// fleet is a workstation with real nodes.
type fleet struct {
	*machine
	kit   *testnode.Kit
	nodes []*testnode.Node
	repo  *repository
	env   []string
	turn  int
}

// real measures on real OpenSSH servers.
func (m *machine) real(ctx context.Context, n int) error {
	kit, err := testnode.NewKit(m.dir)
	if err != nil {
		return err
	}
	f := &fleet{machine: m, kit: kit, env: append(kit.Env(), peerEnv...)}
	if f.repo, err = newRepository(ctx, filepath.Join(m.dir, "deploy"), f.env); err != nil {
		return err
	}
	booting, cancel := context.WithTimeout(ctx, bootTime)
	defer cancel()
	f.nodes, err = kit.StartAll(booting, testnode.Options{Names: testnode.Names("node-%03d.example.com", n), Binary: m.troops})
	if err != nil {
		return err
	}
	defer f.kill()
	var g errgroup.Group
	g.SetLimit(setUps)
	for _, node := range f.nodes {
		g.Go(func() error {
			if out, err := node.Exec(booting, fmt.Sprintf(plainHook, lines)); err != nil {
				return fmt.Errorf("preparing %s: %w: %s", node.Name, err, out)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := f.repo.write("deploy.py", deployPy(f.names(), lines)); err != nil {
		return err
	}
	if err := f.plain(ctx); err != nil {
		return err
	}
	return f.troopsNodes(ctx)
}

func (f *fleet) kill() {
	var g errgroup.Group
	for _, n := range f.nodes {
		g.Go(func() error { n.Kill(); return nil })
	}
	_ = g.Wait() // there is no error
}

func (f *fleet) names() (names []string) {
	for _, n := range f.nodes {
		names = append(names, n.Name)
	}
	return names
}

// push is troops push to the nodes.
func (f *fleet) push(args ...string) command {
	return command{args: append([]string{f.troops, "-F", f.kit.SSHConfig, "push"}, args...)}
}

// deploy measures a command that deploys one new commit to all nodes.
func (f *fleet) deploy(ctx context.Context, c command) (*usage, error) {
	f.turn++
	if _, err := f.repo.commit(ctx, fmt.Sprintf("Commit %d.", f.turn)); err != nil {
		return nil, err
	}
	if err := settle(ctx); err != nil {
		return nil, err
	}
	c.dir, c.env = f.repo.dir, f.env
	u, out, err := f.measure(ctx, c)
	if err == nil && u.Exit != 0 {
		err = fmt.Errorf("%s: exit code %d: %s", c.args[0], u.Exit, tail(out))
	}
	return u, err
}

// warm deploys twice and measures the second time: what the program before left in the caches is
// nobody's cost.
func (f *fleet) warm(ctx context.Context, c command) (*usage, error) {
	if u, err := f.deploy(ctx, c); err != nil {
		return u, err
	}
	return f.deploy(ctx, c)
}

// plain compares all programs on bare repositories with a hook.
func (f *fleet) plain(ctx context.Context) error {
	daemon, address, err := gitDaemon(f.machine.dir)
	if err != nil {
		return err
	}
	defer daemon()
	hostFile, fabric := filepath.Join(f.machine.dir, "hosts"), filepath.Join(f.machine.dir, "threads.py")
	if err := writeLines(hostFile, f.names()); err != nil {
		return err
	}
	if err := os.WriteFile(fabric, []byte(fabricProgram), 0o600); err != nil {
		return err
	}
	troops := f.push("--repo-path", plainRepo)
	if _, err := f.deploy(ctx, troops); err != nil { // the nodes' first commit, and everything is in the cache
		return err
	}
	all := append([]peer{{"troops", nil, troops}}, peers(f.names(), hostFile, f.kit.SSHConfig, fabric, address+"/deploy")...)
	f.printf("\n%d real nodes, one new commit, a post-receive hook that prints %d lines:\n\n", len(f.nodes), lines)
	return f.compare(ctx, all)
}

// troopsNodes compares with git push on troops nodes, which check out and run deploy.py.
func (f *fleet) troopsNodes(ctx context.Context) error {
	troops := f.push()
	if _, err := f.deploy(ctx, troops); err != nil {
		return err
	}
	hostFile := filepath.Join(f.machine.dir, "hosts")
	git := command{stdin: hostFile, args: []string{"xargs", "-P", fmt.Sprint(width), "-I{}", "git", "push", "-q", "{}:/var/lib/troops/repo/main.git", "HEAD:master"}}
	f.printf("\nThe same on troops nodes, each with a checkout, a virtualenv and deploy.py:\n\n")
	return f.compare(ctx, []peer{{"troops", nil, troops}, {"xargs -P32 git push", nil, git}})
}

// compare measures programs one after the other, and prints them beside the first.
func (f *fleet) compare(ctx context.Context, all []peer) error {
	runs, failed := make([][]*usage, len(all)), make([]bool, len(all))
	for range rounds {
		for i, p := range all {
			if p.missing() != "" || failed[i] {
				continue
			}
			u, err := f.warm(ctx, p.command)
			switch {
			case err != nil && i == 0:
				return err
			case err != nil: // not troops' fault: the others can be compared all the same
				f.printf("%v\n", err)
				failed[i] = true
			default:
				runs[i] = append(runs[i], u)
			}
		}
	}
	t := &table{}
	t.row("", "wall", "CPU a node", "x troops", "memory", "first line", "lines shown", "wall x troops")
	first := middle(runs[0])
	for i, p := range all {
		if lacks := p.missing(); lacks != "" || failed[i] {
			t.row(p.name, cmp.Or(lacks, "failed"), "", "", "", "", "", "")
			continue
		}
		u := middle(runs[i])
		t.row(p.name, seconds(u.Wall), millis(u.CPU/time.Duration(len(f.nodes))), ratio(u.CPU, first.CPU), megabytes(max(u.RSS, u.Private)),
			seconds(u.First), u.Lines, ratio(u.Wall, first.Wall))
	}
	f.printf("%s", t)
	return nil
}

// middle is the run with the median of CPU time.
func middle(runs []*usage) *usage {
	slices.SortFunc(runs, func(a, b *usage) int { return cmp.Compare(a.CPU, b.CPU) })
	return runs[len(runs)/2]
}

// gitDaemon serves the repositories of a directory on loopback, and returns what ends it.
func gitDaemon(dir string) (stop func(), address string, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	programs, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return nil, "", err
	}
	// Not by way of git, which starts it as a child that would outlive it.
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(programs)), "git-daemon"), "--export-all", "--max-connections=0", "--reuseaddr", "--base-path="+dir, "--listen=127.0.0.1", "--port="+port, dir)
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	stop = func() {
		_ = cmd.Process.Kill() // it may be gone already
		_ = cmd.Wait()         // how it was killed says nothing
	}
	return stop, "git://127.0.0.1:" + port, nil
}
