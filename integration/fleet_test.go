package integration

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"troops/integration/testnode"
)

const (
	fleetNodes = 20
	fleetLines = 10_000
)

// TestFleet pushes to 20 nodes, again and again: what one push leaves the next one finds.
func TestFleet(t *testing.T) {
	s := newStation(t)
	begin := time.Now()
	nodes := s.nodes(testnode.Options{Names: testnode.Names("node-%02d.example.com", fleetNodes), DiskLimit: "256m"})
	t.Logf("%d nodes in %v", len(nodes), time.Since(begin))

	t.Run("no line is torn or lost", func(t *testing.T) { s.t = t; fleetOutput(t, s, nodes) })
	t.Run("current nodes are left alone", func(t *testing.T) {
		s.t = t
		p := s.troops("push").exits(0)
		p.shows(`^troops: 20 nodes: 20 current in `)
		p.lacks(` \| `)
	})
	t.Run("four broken nodes", func(t *testing.T) { s.t = t; fleetFaults(t, s, nodes) })
}

// chatter writes numbered lines to both streams in pieces that end anywhere in a line.
const chatter = `
import os, socket

def pieces(fd, text, size):
    data = text.encode()
    for i in range(0, len(data), size):
        piece = data[i:i + size]
        while piece:
            piece = piece[os.write(fd, piece):]

name = socket.gethostname()
for begin in range(0, %d, 100):
    numbers = range(begin, begin + 100)
    pieces(1, ''.join(f'line {n} of {name}\n' for n in numbers), 777)
    pieces(2, f'error {begin} of {name}\n', 5)
`

func fleetOutput(t *testing.T, s *station, nodes []*testnode.Node) {
	s.commit(map[string]string{"deploy.py": hosts(nodes, fmt.Sprintf(chatter, fleetLines))})
	begin := time.Now()
	p := s.troops("push").exits(0)
	t.Logf("%d nodes x %d lines in %v", len(nodes), fleetLines, time.Since(begin))
	p.shows(`^troops: 20 nodes: 20 deployed in `)

	line := regexp.MustCompile(`^(\S+) ([|!]) (?:line|error) (\d+) of (\S+)$`)
	next := map[string]int{}
	for _, text := range strings.Split(p.stdout.String(), "\n") {
		if !strings.Contains(text, " | ") && !strings.Contains(text, " ! ") {
			continue
		}
		m := line.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("torn: %q", text)
		}
		host, stream, number, who := m[1], m[2], m[3], m[4]
		if host != who+".example.com" {
			t.Fatalf("under another node's name: %q", text)
		}
		step := 1
		if stream == "!" {
			step = 100
		}
		if want := next[host+stream]; number != fmt.Sprint(want) {
			t.Fatalf("lost or out of order: %q, want number %d", text, want)
		}
		next[host+stream] += step
	}
	for _, n := range nodes {
		for _, stream := range []string{"|", "!"} {
			if got := next[n.Name+stream]; got != fleetLines {
				t.Errorf("%s: output %q ends before line %d", n.Name, stream, got)
			}
		}
	}
}

// fleetFaults breaks four nodes in four ways, deploys, repairs them and deploys again.
func fleetFaults(t *testing.T, s *station, nodes []*testnode.Node) {
	dead, stranger, refusing, full := nodes[3], nodes[8], nodes[13], nodes[18]
	knownHosts, err := os.ReadFile(s.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	before := s.deployed(full)
	head := s.commit(map[string]string{
		"deploy.py": hosts(nodes, "print('deployed')\n"),
		"big":       strings.Repeat("a commit that needs some room\n", 1000),
	})

	dead.Run(t, "kill $(cat /run/sshd.pid)")
	swapped := strings.ReplaceAll(string(knownHosts), hostKeyOf(t, string(knownHosts), stranger), hostKeyOf(t, string(knownHosts), nodes[0]))
	if err := os.WriteFile(s.KnownHosts, []byte(swapped), 0o600); err != nil {
		t.Fatal(err)
	}
	refusing.Run(t, "mv /home/ubuntu/.ssh/authorized_keys /root/")
	full.Run(t, "! cat /dev/zero >/var/lib/troops/filler")

	p := s.troops("push").exits(1)
	p.shows(`^troops: 20 nodes: 16 deployed, 3 unreachable, 1 failed in `)
	// The summary, after the counts, names the four with what is wrong and what to do.
	_, summary, _ := strings.Cut(p.stdout.String(), "\ntroops: 20 nodes: ")
	for _, pattern := range []string{
		dead.Name + ` \* unreachable: .*connection refused: .*sshd.*$`,
		stranger.Name + ` \* unreachable: .*host key .* has CHANGED.*/known_hosts:\d+; .*ssh-keygen -R`,
		refusing.Name + ` \* unreachable: .*ubuntu@.*/id_ed25519; .*authorized_keys`,
		full.Name + ` \* failed in push: .*disk is full`,
		full.Name + ` \| .*No space left on device`,
	} {
		if !regexp.MustCompile(`(?m)^` + pattern).MatchString(summary) {
			t.Errorf("no line of the summary matches %s\n%s", pattern, summary)
		}
	}
	broken := map[*testnode.Node]bool{dead: true, stranger: true, refusing: true, full: true}
	for _, n := range nodes {
		if broken[n] {
			p.lacks(`^` + n.Name + ` +\| deployed`)
		} else {
			p.shows(`^` + n.Name + ` +\| deployed$`)
		}
	}
	if got := s.deployed(full); got != before {
		t.Errorf("the full node's branch is at %s, was at %s", got, before)
	}
	full.Run(t, "git --git-dir="+repoPath+" fsck")

	// No manual step but the repair itself may be needed.
	full.Run(t, "rm /var/lib/troops/filler")
	refusing.Run(t, "mv /root/authorized_keys /home/ubuntu/.ssh/")
	if err := os.WriteFile(s.KnownHosts, knownHosts, 0o600); err != nil {
		t.Fatal(err)
	}
	p = s.troops("push", "--exclude", dead.Name).exits(0)
	p.shows(`^troops: 19 nodes: 3 deployed, 16 current in `)
	if got := s.deployed(full); got != head {
		t.Errorf("the repaired node's branch is at %s, want %s", got, head)
	}
}

// hostKeyOf is the base64 key of a node in known_hosts.
func hostKeyOf(t *testing.T, knownHosts string, n *testnode.Node) string {
	t.Helper()
	for line := range strings.Lines(knownHosts) {
		if f := strings.Fields(line); strings.HasPrefix(line, fmt.Sprintf("[%s]:", n.Addr)) && len(f) >= 3 {
			return f[2]
		}
	}
	t.Fatalf("%s is not in known_hosts", n.Name)
	return ""
}
