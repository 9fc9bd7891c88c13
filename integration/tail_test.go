package integration

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"troops/nodeside/sandbox"
)

const (
	tailNodes  = 50
	tailBlocks = 12 // of a run, with a pause after each
	tailLines  = 60 // of a block
)

// tailDeploy prints numbered lines on both streams for some seconds, in pieces that end anywhere.
const tailDeploy = `#!/usr/bin/env python3
import os, time
name = os.environ['TROOPS_HOSTNAME']
for block in range(%d):
    text = ''.join(f'%s line {block * %d + i} of {name}\n' for i in range(%d)).encode()
    for i in range(0, len(text), 701):
        os.write(1, text[i:i + 701])
    os.write(2, f'%s error {block} of {name}\n'.encode())
    time.sleep(0.25)
`

// cutter passes connections on to a node, and cuts each again and again: a second after it has
// begun to bring more than a handshake, or before, after so many bytes that it is anywhere.
type cutter struct {
	ln   net.Listener
	node string // address
	cuts *atomic.Int64
	wg   sync.WaitGroup
}

// cutHandshake is more than an SSH handshake takes: each connection brings something new.
const cutHandshake = 8 << 10

func newCutter(t *testing.T, port int, cuts *atomic.Int64) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{ln: ln, node: fmt.Sprintf("127.0.0.1:%d", port), cuts: cuts}
	c.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.pass(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); c.wg.Wait() })
	return c
}

func (c *cutter) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.node)
	if err != nil {
		return
	}
	defer server.Close()
	var up sync.WaitGroup
	defer up.Wait()
	up.Go(func() {
		io.Copy(server, client)
		server.Close()
	})
	if _, err := io.CopyN(client, server, cutHandshake); err != nil {
		client.Close()
		return
	}
	cut := time.AfterFunc(time.Second, func() { server.Close() })
	defer cut.Stop()
	io.CopyN(client, server, rand.Int64N(24<<10))
	c.cuts.Add(1)
	client.Close()
}

// TestTailOverCutConnections follows 50 nodes by connections that are cut all the time, while
// another process pushes to them twice.
func TestTailOverCutConnections(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	s := newTailStation(ctx, t)
	tail := exec.CommandContext(ctx, troopsBinary(t), "-F", s.cutConfig, "tail", "-n", "50")
	tail.Dir, tail.Env = s.repo, s.env
	var stderr strings.Builder
	tail.Stderr = &stderr
	out, err := tail.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tail.Start(); err != nil {
		t.Fatal(err)
	}
	pushed := make(chan error, 1)
	go func() {
		for _, text := range []string{"first", "second"} {
			if err := s.push(ctx, text); err != nil {
				pushed <- err
				cancel()
				return
			}
		}
		pushed <- nil
	}()

	var lines []string
	ended := 0
	for in := bufio.NewScanner(out); in.Scan(); {
		lines = append(lines, in.Text())
		if strings.Contains(in.Text(), ": deployed in ") {
			if ended++; ended == 2*tailNodes {
				tail.Process.Signal(os.Interrupt)
			}
		}
	}
	err = tail.Wait()
	if pushErr := <-pushed; pushErr != nil {
		t.Fatal(pushErr)
	}
	if code := tail.ProcessState.ExitCode(); code != 130 || stderr.String() != "troops: interrupted\n" {
		t.Errorf("tail ended with %v (exit code %d), %q", err, code, stderr.String())
	}
	s.check(t, lines)
	if n := s.cuts.Load(); n < tailNodes {
		t.Errorf("only %d connections were cut: this shows nothing", n)
	} else {
		t.Logf("%d lines over %d connections that were cut", len(lines), n)
	}
}

// tailStation is a repository whose nodes are reached by two ways.
type tailStation struct {
	troops, repo, cutConfig, config string
	env                             []string
	cuts                            atomic.Int64
}

func newTailStation(ctx context.Context, t *testing.T) *tailStation {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for i := range tailNodes {
		names = append(names, fmt.Sprintf("node-%02d", i))
	}
	fleet, err := sandbox.Start(ctx, sandbox.Options{Dir: dir, Names: names, Binary: troopsBinary(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fleet.Close(); err != nil {
			t.Error(err)
		}
	})
	s := &tailStation{troops: troopsBinary(t), repo: filepath.Join(dir, "deploy"), config: fleet.SSHConfig, cutConfig: filepath.Join(dir, "cut_config")}
	s.env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@example.com",
		"GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@example.com")
	var conf strings.Builder
	for _, n := range fleet.Nodes {
		c := newCutter(t, n.Port, &s.cuts)
		fmt.Fprintf(&conf, "Host %s\n  Port %d\n  HostKeyAlias [127.0.0.1]:%d\n", n.Name, c.ln.Addr().(*net.TCPAddr).Port, n.Port)
	}
	plain, err := os.ReadFile(fleet.SSHConfig)
	if err != nil {
		t.Fatal(err)
	}
	roles := "[all]\nhosts = [\"" + strings.Join(names, `", "`) + "\"]\n"
	for path, text := range map[string]string{s.cutConfig: conf.String() + string(plain), filepath.Join(s.repo, "roles.toml"): roles} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "master"}, {"config", "troops.nodePath", sandbox.RepoPath}, {"add", "."}, {"commit", "-q", "-m", "Name the nodes."}} {
		if err := s.run(ctx, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *tailStation) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = s.repo, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w\n%.4000s", name, args, err, out)
	}
	return nil
}

// push deploys a commit whose lines begin with a word.
func (s *tailStation) push(ctx context.Context, word string) error {
	text := fmt.Sprintf(tailDeploy, tailBlocks, word, tailLines, tailLines, word)
	if err := os.WriteFile(filepath.Join(s.repo, "deploy"), []byte(text), 0o755); err != nil {
		return err
	}
	for _, args := range [][]string{{"git", "add", "."}, {"git", "commit", "-q", "-m", word}, {s.troops, "-F", s.config, "push"}} {
		if err := s.run(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// check compares what was printed with what the nodes ran: every line of theirs once, in order,
// between the beginning and the end of its run.
func (s *tailStation) check(t *testing.T, lines []string) {
	t.Helper()
	var want []string // of a node, without its name; "?" stands for what differs
	streams := map[string][]string{}
	for _, word := range []string{"first", "second"} {
		want = append(want, "* run began", "* checkout", "* venv", "* deploy")
		for i := range tailBlocks * tailLines {
			streams["|"] = append(streams["|"], fmt.Sprintf("%s line %d", word, i))
		}
		for i := range tailBlocks {
			streams["!"] = append(streams["!"], fmt.Sprintf("%s error %d", word, i))
		}
		want = append(want, "* run ended")
	}
	got := map[string]map[string][]string{} // by node and mark
	shape := regexp.MustCompile(`^(node-\d\d) ([|!*]) (.*)$`)
	own := regexp.MustCompile(`^(\w+ (?:line|error) \d+) of (node-\d\d)$`)
	found := 0
	for _, line := range lines {
		m := shape.FindStringSubmatch(line)
		if m == nil {
			if !strings.HasPrefix(line, "troops: ") {
				t.Fatalf("torn: %q", line)
			}
			continue
		}
		node, mark, text := m[1], m[2], m[3]
		if got[node] == nil {
			got[node] = map[string][]string{}
		}
		switch {
		case mark != "*":
			o := own.FindStringSubmatch(text)
			if o == nil || o[2] != node {
				t.Fatalf("torn, or under another node's name: %q", line)
			}
			text = o[1]
		case strings.Contains(text, ", began "):
			text = "* run began"
		case strings.Contains(text, ": deployed in "):
			text = "* run ended"
		case strings.HasPrefix(text, "lost contact"), strings.HasPrefix(text, "not there yet"):
			continue
		case strings.HasPrefix(text, "found"):
			found++
			continue
		default:
			text = "* " + text
		}
		got[node][mark] = append(got[node][mark], text)
	}
	if found == 0 {
		t.Error("no node was found again")
	}
	streams["*"] = want
	for i := range tailNodes {
		node := fmt.Sprintf("node-%02d", i)
		for mark, want := range streams {
			compareLines(t, node+" "+mark, got[node][mark], want)
		}
	}
}

func compareLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("%s: ends before %q", what, want[i])
		case i >= len(want):
			t.Errorf("%s: %q is too much", what, got[i])
		case got[i] != want[i]:
			t.Errorf("%s: line %d is %q, want %q", what, i, got[i], want[i])
		default:
			continue
		}
		return
	}
}
