package integration

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"troops/integration/testnode"
)

// TestScripts runs testdata/script/*.txtar. Beside testscript's own commands they have
//
//	node [-bare] [-apt] NAME...   start nodes: with troops, unless -bare; tmux to be had from apt
//	on NAME COMMAND               run a shell command on a node as root, outside of ssh; ! for failure
//	exits CODE PROGRAM ARG...     run a program that has to end with that code
//	contacts NAME no|yes          has anybody connected to the node's sshd so far?
//
// and ssh and git that know the nodes, as $SSH_CONFIG does.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	wheels := pydebianadmin(t)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			sc := &script{kit: testnode.New(t), binary: troopsBinary(t), files: wheels, nodes: map[string]*testnode.Node{}}
			t.Cleanup(func() { sc.end(t) })
			testscript.Run(t, testscript.Params{
				Files:               []string{file},
				RequireExplicitExec: true,
				Setup:               sc.setup,
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"node": sc.node, "on": sc.on, "exits": exits, "contacts": sc.contacts,
				},
			})
		})
	}
}

// script is what one script has: a workstation and nodes.
type script struct {
	kit    *testnode.Kit
	binary string            // troops
	files  map[string][]byte // on every node

	mu    sync.Mutex
	nodes map[string]*testnode.Node
}

func (s *script) setup(env *testscript.Env) error {
	for _, kv := range s.kit.Env() {
		k, v, _ := strings.Cut(kv, "=")
		env.Setenv(k, v)
	}
	env.Setenv("PATH", filepath.Dir(s.binary)+string(os.PathListSeparator)+env.Getenv("PATH"))
	env.Setenv("SSH_CONFIG", s.kit.SSHConfig)
	env.Setenv("KNOWN_HOSTS", s.kit.KnownHosts)
	env.Setenv("KEY", s.kit.Key)
	env.Setenv("TROOPS", s.binary)
	return nil
}

// end ends the nodes, and shows their logs where the script has failed.
func (s *script) end(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes {
		n.Kill()
		if t.Failed() {
			t.Logf("log of %s:\n%s", n.Name, n.Log())
		}
	}
}

func (s *script) find(ts *testscript.TestScript, name string) *testnode.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	for full, n := range s.nodes {
		if short, _, _ := strings.Cut(full, "."); name == full || name == short {
			return n
		}
	}
	ts.Fatalf("there is no node %s", name)
	return nil
}

func (s *script) node(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("node", flag.ContinueOnError)
	bare := flags.Bool("bare", false, "")
	apt := flags.Bool("apt", false, "")
	if err := flags.Parse(args); err != nil || neg || flags.NArg() == 0 {
		ts.Fatalf("usage: node [-bare] [-apt] NAME...")
	}
	o := testnode.Options{Names: flags.Args(), Apt: *apt, Binary: s.binary, Files: s.files}
	if *bare {
		o.Binary = ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), testnode.BootTimeout)
	defer cancel()
	nodes, err := s.kit.StartAll(ctx, o)
	ts.Check(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range nodes {
		s.nodes[n.Name] = n
	}
}

func (s *script) on(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: on NAME COMMAND")
	}
	ctx, cancel := context.WithTimeout(context.Background(), testnode.RunTimeout)
	defer cancel()
	out, err := s.find(ts, args[0]).Exec(ctx, strings.Join(args[1:], " "))
	ts.Logf("%s", out)
	switch {
	case err != nil && !neg:
		ts.Fatalf("on %s: %v", args[0], err)
	case err == nil && neg:
		ts.Fatalf("on %s: it succeeded", args[0])
	}
}

func (s *script) contacts(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || neg {
		ts.Fatalf("usage: contacts NAME no|yes")
	}
	has := "no"
	if strings.Contains(s.find(ts, args[0]).Log(), "Connection from ") {
		has = "yes"
	}
	if has != args[1] {
		ts.Fatalf("%s was contacted: %s", args[0], has)
	}
}

// exits is testscript's exec with an exact exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		code, ok := strings.CutPrefix(err.Error(), "exit status ")
		if got, err = strconv.Atoi(code); !ok || err != nil {
			got = -1
		}
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// pydebianadmin is what a node needs to have PyDebianAdmin from pip without network.
func pydebianadmin(t *testing.T) map[string][]byte {
	t.Helper()
	name, wheel, err := testnode.Wheel(os.DirFS("testdata/pydebianadmin"), "PyDebianAdmin", "0.1")
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{
		"/srv/wheels/" + name: wheel,
		"/etc/pip.conf":       []byte("[global]\nno-index = true\nfind-links = /srv/wheels\n"),
	}
}
