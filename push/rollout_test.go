package push_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"troops/nodeside/sandbox"
	"troops/push"
	"troops/push/gitwire"
)

func TestDeploysThenIsCurrent(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b", "c"}})
	commit := f.commit("import troops, sys\nprint('out of', troops.hostname())\nprint('err', file=sys.stderr)\n")
	f.wantKinds(f.push(commit), push.KindDeployed)
	for _, n := range f.Nodes {
		if at := f.at(n); at != commit {
			t.Errorf("%s is at %q, want %s", n.Name, at, commit)
		}
		if want := "out of " + n.Name + "\n"; !strings.Contains(f.sink.text(n.Name), want) {
			t.Errorf("%s printed %q, want %q in it", n.Name, f.sink.text(n.Name), want)
		}
		if got := strings.Join(f.sink.phases[n.Name], " "); got != "connect push checkout venv deploy" {
			t.Errorf("%s went through %s", n.Name, got)
		}
	}
	if got := f.sink.streams[push.Stderr].String(); strings.Count(got, "err\n") != 3 {
		t.Errorf("standard error came as %q", got)
	}
	f.wantKinds(f.push(commit), push.KindCurrent)
}

func TestFailedRunIsTriedAgain(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	good := f.commit("print('fine')\n")
	f.wantKinds(f.push(good), push.KindDeployed)

	flag := filepath.Join(t.TempDir(), "mended")
	bad := f.commit("import os, sys\nprint('try')\nsys.exit(0 if os.path.exists(" + `"` + flag + `"` + ") else 7)\n")
	out := f.push(bad)["a"]
	if fail, ok := out.(push.Failed); !ok || fail.Phase != "deploy" || fail.ExitCode != 7 {
		t.Fatalf("outcome %#v, want exit code 7 in deploy", out)
	}
	if at := f.at(f.Nodes[0]); at != good {
		t.Errorf("the branch is at %s after a failed run, want %s", at, good)
	}
	if err := os.WriteFile(flag, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f.wantKinds(f.push(bad), push.KindDeployed)
	if at := f.at(f.Nodes[0]); at != bad {
		t.Errorf("the branch is at %s, want %s", at, bad)
	}
}

func TestOnlyFastForwards(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	base := f.commit("print(1)\n")
	later := f.commit("print(2)\n")
	f.wantKinds(f.push(later), push.KindDeployed)

	f.git("checkout", "-q", "-b", "side", string(base))
	side := f.commit("print(3)\n")
	for name, commit := range map[string]gitwire.OID{"ahead": base, "diverged": side} {
		out := f.push(commit)["a"]
		if r, ok := out.(push.Refused); !ok || !strings.Contains(r.Reason, string(later[:10])) {
			t.Errorf("%s: outcome %v, want refused naming %s", name, out, later[:10])
		}
	}
	other := newFleet(t, sandbox.Options{Names: []string{"unused"}})
	unknown := other.commit("print(4)\n")
	r := other.rollout(unknown)
	r.Targets = []push.Target{{Host: "a", Name: "a"}}
	r.Dial = push.SSH(f.client)
	if out, ok := other.run(r)["a"].(push.Refused); !ok || !strings.Contains(out.Reason, "does not have") {
		t.Errorf("unknown commit on the node: outcome %v", out)
	}
	if at := f.at(f.Nodes[0]); at != later {
		t.Errorf("the branch moved to %s", at)
	}
}

func TestPlainRepositoryStreamsItsHook(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"plain"}, Bare: true})
	g := newGate(t)
	hook := "#!/bin/sh\necho first line\n" + g.shell() + "i=0; while [ $i -lt 2000 ]; do echo number $i; i=$((i+1)); done\necho last line >&2\n"
	if err := os.WriteFile(filepath.Join(f.Nodes[0].Repo, "hooks", "post-receive"), []byte(hook), 0o755); err != nil {
		t.Fatal(err)
	}
	commit := f.commit("print('never run')\n")
	done := make(chan map[string]push.Outcome)
	go func() { done <- f.push(commit) }()
	f.sink.await(t, "plain", "first line\n") // live: the hook still waits
	g.open(t)
	out := (<-done)["plain"]
	if d, ok := out.(push.Deployed); !ok || !d.Plain {
		t.Errorf("outcome %#v, want deployed to a plain repository", out)
	}
	text := f.sink.text("plain")
	if !strings.Contains(text, "number 1999\n") || !strings.HasSuffix(text, "last line\n") {
		t.Errorf("the hook's output is not whole: ends with %q", text[max(0, len(text)-100):])
	}
	if at := f.at(f.Nodes[0]); at != commit {
		t.Errorf("the branch is at %q", at)
	}
	f.wantKinds(f.push(commit), push.KindCurrent)
}

func TestPlainRepositoryThatDeclines(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"plain"}, Bare: true})
	if err := os.WriteFile(filepath.Join(f.Nodes[0].Repo, "hooks", "pre-receive"), []byte("#!/bin/sh\necho not on fridays\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.wantKinds(f.push(f.commit("")), push.KindRefused)
	if !strings.Contains(f.sink.text("plain"), "not on fridays\n") {
		t.Errorf("the hook's words are missing: %q", f.sink.text("plain"))
	}
}

func TestNoSecondChannel(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}, Sessions: 1})
	commit := f.commit("print('seen through git')\n")
	out := f.push(commit)["a"]
	if d, ok := out.(push.Deployed); !ok || d.Plain {
		t.Errorf("outcome %#v, want deployed by a troops node", out)
	}
	if !strings.Contains(f.sink.text("a"), "seen through git\n") {
		t.Errorf("output %q", f.sink.text("a"))
	}
	if at := f.at(f.Nodes[0]); at != commit {
		t.Errorf("the branch is at %q", at)
	}
	if out, ok := f.push(f.commit("raise SystemExit(7)\n"))["a"].(push.Failed); !ok || !strings.Contains(out.String(), "exited 7") {
		t.Errorf("outcome %v, want the run's exit code", out)
	}
}

func TestLostConnectionIsFoundAgain(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	g := newGate(t)
	commit := f.commit("for i in range(2000): print('before', i)\n" + g.python() + "for i in range(2000): print('after', i)\n")
	done := make(chan map[string]push.Outcome)
	go func() { done <- f.push(commit) }()
	f.sink.await(t, "a", "before 1999\n")
	f.Nodes[0].Drop()
	f.sink.await(t, "a", "found again")
	g.open(t)
	f.wantKinds(<-done, push.KindDeployed)
	if n := strings.Count(f.sink.text("a"), "found again"); n != 1 {
		t.Errorf("the node was found again %d times after one loss", n)
	}
	got := f.sink.streams[push.Stdout].String()
	if n := strings.Count(got, "\n"); n != 4000 || !strings.HasSuffix(got, "after 1999\n") {
		t.Errorf("%d lines of output, want each of 4000 once", n)
	}
}

func TestLeavingDoesNotEndTheRun(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	g := newGate(t)
	commit := f.commit("print('begun')\n" + g.python() + "print('ended')\n")
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan []push.NodeResult)
	go func() {
		results, err := f.rollout(commit).Run(ctx)
		if err != nil {
			t.Error(err)
		}
		done <- results
	}()
	f.sink.await(t, "a", "begun\n")
	leave()
	results := <-done
	if _, ok := results[0].Outcome.(push.Unknown); !ok {
		t.Fatalf("outcome %v, want unknown", results[0].Outcome)
	}
	f.sink = newRecorder()
	again := make(chan map[string]push.Outcome)
	go func() { again <- f.push(commit) }() // joins the run that goes on
	f.sink.await(t, "a", "begun\n")
	g.open(t)
	f.wantKinds(<-again, push.KindDeployed)
	if got := f.sink.text("a"); !strings.Contains(got, "begun\n") || !strings.Contains(got, "ended\n") {
		t.Errorf("the second push followed %q", got)
	}
}

func TestInterruptedBeforeTheirTurn(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b"}})
	r := f.rollout(f.commit("print(1)\n"))
	stopped, stop := context.WithCancel(t.Context())
	stop()
	r.Starting = stopped
	f.wantKinds(f.run(r), push.KindNotStarted)
}

func TestRolesThatDiffer(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	r := f.rollout(f.commit("import troops\ntroops.activate_role('web')\ntroops.activate_role('db')\n"))
	r.Targets[0].Roles, r.Targets[0].Complete = []string{"web"}, true
	out, ok := f.run(r)["a"].(push.Failed)
	if !ok || out.Phase != "roles" || out.Err.Error() != "roles differ: here {web}, node {db, web}" {
		t.Errorf("outcome %#v", out)
	}
}

func TestOneNodesFailureIsItsOwn(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a", "b"}})
	r := f.rollout(f.commit("print(1)\n"))
	dial := r.Dial
	dead := errors.New("no route to host")
	r.Dial = func(ctx context.Context, host string) (push.Conn, error) {
		if host == "b" {
			return nil, dead
		}
		return dial(ctx, host)
	}
	out := f.run(r)
	if out["a"].Kind() != push.KindDeployed {
		t.Errorf("a: %v", out["a"])
	}
	if u, ok := out["b"].(push.Unreachable); !ok || !errors.Is(u.Err, dead) {
		t.Errorf("b: %v", out["b"])
	}
}

func TestNoRepositoryThere(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	r := f.rollout(f.commit("print(1)\n"))
	r.RepoPath = "nowhere.git"
	out := f.run(r)["a"]
	var re *push.RepoError
	if fail, ok := out.(push.Failed); !ok || !errors.As(fail.Err, &re) || !strings.Contains(re.Hint, "node init") {
		t.Errorf("outcome %v, want a way out", out)
	}
}

func TestUsageErrorsContactNothing(t *testing.T) {
	for name, r := range map[string]*push.Rollout{
		"twice":  {Targets: []push.Target{{Host: "a"}, {Host: "a"}}},
		"option": {RepoPath: "--upload-pack=x"},
		"line":   {RepoPath: "a\nb"},
	} {
		if _, err := r.Run(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNodeThatLacksABaseGetsAWholePack(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"plain"}, Bare: true})
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "# line %d\n", i)
	}
	f.wantKinds(f.push(f.commit(text.String())), push.KindDeployed)
	blob := f.git("rev-parse", "HEAD:deploy.py")
	if err := os.Remove(filepath.Join(f.Nodes[0].Repo, "objects", blob[:2], blob[2:])); err != nil {
		t.Fatal(err)
	}
	commit := f.commit(text.String() + "# one more\n")
	f.wantKinds(f.push(commit), push.KindDeployed)
	if !strings.Contains(f.sink.text("plain"), "sending a whole one") {
		t.Errorf("the thin pack was enough: %q", f.sink.text("plain"))
	}
	if at := f.at(f.Nodes[0]); at != commit {
		t.Errorf("the branch is at %q", at)
	}
}

// The real program must not take a closed terminal for the end of a run.
func TestHangupDoesNotEndTheRun(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	g := newGate(t)
	commit := f.commit("import os\nprint('run is', os.getppid(), 'so')\n" + g.python())
	done := make(chan map[string]push.Outcome)
	go func() { done <- f.push(commit) }()
	f.sink.await(t, "a", " so\n")
	var pid int
	text := f.sink.text("a")
	if _, err := fmt.Sscanf(text[strings.Index(text, "run is"):], "run is %d so", &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	g.open(t)
	f.wantKinds(<-done, push.KindDeployed)
}

// TestMuchOutput: a run may print many times what a node may send before it is taken.
func TestMuchOutput(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	f.wantKinds(f.push(f.commit("for i in range(40000):\n    print('a line of some length, number', i)\n")), push.KindDeployed)
	text := f.sink.text("a")
	if n := strings.Count(text, "a line of some length"); n != 40000 || strings.Contains(text, "lost contact") {
		t.Errorf("%d lines are shown", n)
	}
}
