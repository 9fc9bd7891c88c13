package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"troops/integration/testnode"
)

// fault is something that goes wrong on one of two nodes while both are deployed to.
type fault struct {
	name     string
	harm     string            // script on the node, before the commit comes
	heal     string            // takes it back: the only thing that anybody has to do
	files    map[string]string // of the commit, beside deploy.py
	deploy   string            // of deploy.py on that node
	deployed bool              // in spite of it
	early    bool              // by a pull it fails before there is a run
	cut      bool              // the log may end early
	shows    []string          // lines of the push
	pulls    []string          // lines of the pull, where they are others
	next     []string          // lines of the deployment after it
}

// faulty are the two nodes, which go through all faults.
type faulty struct {
	*station
	victim, other *testnode.Node
	pulls         bool // the nodes fetch the commits from a third machine, else they are pushed
	invariants    invariants
}

// TestFaults lets things go wrong on a node, and looks after each whether anything is lost,
// damaged or left, and whether the next deployment works once the fault itself is gone.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"push", "pull"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			f := newFaulty(t, way == "pull")
			for _, fault := range append(append(diskFaults(), venvFaults()...), endFaults()...) {
				t.Run(fault.name, func(t *testing.T) { f.t = t; fault.try(t, f) })
			}
		})
	}
}

// newFaulty starts the nodes and deploys a commit.
func newFaulty(t *testing.T, pulls bool) *faulty {
	s := newStation(t)
	names := []string{"victim.example.com", "other.example.com"}
	nodes := s.nodes(testnode.Options{Names: names, DiskLimit: "256m", Files: pydebianadmin(t)})
	f := &faulty{station: s, victim: nodes[0], other: nodes[1], pulls: pulls, invariants: invariants{checked: map[string]bool{}}}
	if pulls {
		repos := s.Start(t, testnode.Options{Names: []string{"repos.example.com"}})[0]
		s.must(s.repo, "ssh", "repos", "git", "init", "-q", "--bare", "deploy.git")
		url := fmt.Sprintf("ssh://ubuntu@%s:%d/home/ubuntu/deploy.git", repos.Addr, testnode.Port)
		for _, n := range nodes {
			key := n.Run(t, "git --git-dir="+repoPath+" remote add origin "+url+" && troops node key")
			repos.Run(t, "echo '"+key+"' >>/home/ubuntu/.ssh/authorized_keys")
		}
	}
	f.invariants.commits = []string{f.healthy()}
	f.deliver().exits(0)
	return f
}

// deliver begins to bring the last commit to both nodes.
func (f *faulty) deliver() *process {
	if !f.pulls {
		return f.troops("push")
	}
	f.publish()
	return f.troops("pull")
}

// publish brings the last commit to the machine from which the nodes pull.
func (f *faulty) publish() { f.must(f.repo, "git", "push", "-q", "repos:deploy.git", "master") }

// healthy makes a commit that deploys well everywhere.
func (f *faulty) healthy() string {
	return f.commit(map[string]string{"deploy.py": f.script("pass"), "requirements.txt": "PyDebianAdmin\n", "big": ""})
}

// script is a deploy.py that does something on the victim only.
func (f *faulty) script(deploy string) string {
	return hosts([]*testnode.Node{f.victim, f.other}, "if troops.hostname() == '"+f.victim.Name+"':\n    "+deploy+"\n")
}

// try does the fault and checks all eight invariants.
func (fault fault) try(t *testing.T, f *faulty) {
	old := f.deployed(f.victim)
	if fault.deploy == "" {
		fault.deploy = "pass"
	}
	files := map[string]string{"deploy.py": f.script(fault.deploy), "requirements.txt": "PyDebianAdmin\n", "big": ""}
	for name, text := range fault.files {
		files[name] = text
	}
	head := f.commit(files)
	if fault.harm != "" {
		f.victim.Run(t, fault.harm)
	}
	p := f.deliver()
	code, want, counts := p.wait(), 1, `1 deployed, 1 failed`
	if fault.deployed {
		want, counts = 0, `2 deployed`
	}
	if code != want {
		t.Errorf("exit code %d, want %d\n%s", code, want, p.said())
	}
	shows := fault.shows
	if f.pulls && fault.pulls != nil {
		shows = fault.pulls
	}
	p.shows(append(shows, `^troops: 2 nodes: `+counts+` in `)...)
	if fault.heal != "" {
		f.victim.Run(t, fault.heal)
	}
	v := &f.invariants
	v.cut = fault.cut
	v.commits = []string{old}
	if fault.deployed {
		v.commits = []string{head}
	}
	v.hold(t, f.station, f.victim)
	v.commits = []string{head}
	v.hold(t, f.station, f.other)
	v.cut = false
	v.commits = []string{fault.again(t, f, head)}
	v.hold(t, f.station, f.victim)
	v.hold(t, f.station, f.other)
}

// again deploys once more, with nothing done by hand, and returns what is deployed then: the same
// commit where the node alone was at fault, else a new one.
func (fault fault) again(t *testing.T, f *faulty, head string) string {
	counts := `1 deployed, 1 current`
	same := fault.harm != "" && !fault.deployed
	if !same {
		head, counts = f.healthy(), `2 deployed`
	}
	out := ""
	if f.pulls {
		out, counts = fault.byTimer(t, f, head, same), `1 deployed, 1 current`
		if same && fault.early {
			counts = `2 current`
		}
	}
	p := f.deliver().exits(0)
	p.shows(`^troops: 2 nodes: ` + counts + ` in `)
	out += p.stdout.String()
	for _, pattern := range fault.next {
		if !regexp.MustCompile(`(?m)` + pattern).MatchString(out) {
			t.Errorf("no line matches %s\n%s", pattern, out)
		}
	}
	return head
}

// byTimer has the victim pull as its timer has it, and returns the output. A commit whose run
// failed waits, any other is deployed.
func (fault fault) byTimer(t *testing.T, f *faulty, head string, same bool) string {
	f.publish()
	out := f.victim.Run(t, "troops node pull 2>&1")
	waits := same && !fault.early
	if waits != (f.deployed(f.victim) != head) || waits != strings.Contains(out, "has failed once, last at ") {
		t.Errorf("a pull by timer (waits: %t) says\n%s", waits, out)
	}
	return out
}
