package push_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"troops/nodeside/sandbox"
	"troops/push"
	"troops/push/gitwire"
)

// TestSHA256 deploys a repository with long object names to troops nodes and to a plain one: as
// the first commit, as a change, and once more for nothing.
func TestSHA256(t *testing.T) {
	t.Setenv("GIT_DEFAULT_HASH", gitwire.SHA256) // of the workstation's repository
	for name, bare := range map[string]bool{"troops": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, sandbox.Options{Names: []string{"a", "b"}, Bare: bare, Format: gitwire.SHA256})
			commit := f.commit("print('one')\n")
			for _, want := range []push.Kind{push.KindDeployed, push.KindCurrent} {
				f.wantKinds(f.push(commit), want)
			}
			next := f.commit("print('two')\n")
			f.wantKinds(f.push(next), push.KindDeployed)
			if at := f.at(f.Nodes[1]); at != next || at.Format() != gitwire.SHA256 {
				t.Errorf("the branch is at %q", at)
			}
			f.newClient()
			f.wantKinds(f.push(commit), push.KindRefused) // histories are compared, too
		})
	}
}

// TestFormatsThatDiffer: neither kind of object names can be sent to the other.
func TestFormatsThatDiffer(t *testing.T) {
	for here, there := range map[string]string{gitwire.SHA1: gitwire.SHA256, gitwire.SHA256: gitwire.SHA1} {
		t.Run(here, func(t *testing.T) {
			t.Setenv("GIT_DEFAULT_HASH", here)
			f := newFleet(t, sandbox.Options{Names: []string{"a"}, Format: there})
			r := f.rollout(f.commit("print(1)\n"))
			out, ok := f.run(r)["a"].(push.Refused)
			if want := "names its objects by " + there + ", this one by " + here; !ok || !strings.Contains(out.Reason, want) ||
				!strings.Contains(out.Hint, "GIT_DEFAULT_HASH="+here+" troops node init") {
				t.Errorf("outcome %v, want %q and a way out", out, want)
			}
			plans, err := r.Plan(t.Context())
			if err != nil || plans[0].Outcome != out {
				t.Errorf("the plan says %v, %v", plans, err)
			}
		})
	}
}

// TestGitAloneOnPath: a node's login shell may find git, and not git-receive-pack beside it.
func TestGitAloneOnPath(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	path := os.Getenv("PATH")
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.Symlink(git, filepath.Join(dir, "git")); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, sandbox.Options{Names: []string{"plain"}, Bare: true})
	t.Setenv("PATH", path)
	f.wantKinds(f.push(f.commit("print(1)\n")), push.KindDeployed)

	if err := os.Remove(filepath.Join(dir, "git")); err != nil {
		t.Fatal(err)
	}
	f.newClient()
	out := f.push(f.commit("print(2)\n"))["plain"]
	var re *push.RepoError
	if fail, ok := out.(push.Failed); !ok || !errors.As(fail.Err, &re) || !strings.Contains(re.Hint, "install git") {
		t.Errorf("without git: %v", out)
	}
}

// TestRepositoryStates: what a node's repository does not take ends in git's words and a way out.
func TestRepositoryStates(t *testing.T) {
	for _, tt := range []struct {
		name   string
		setup  string // a shell script in the repository, after a first push
		rewind bool   // push a commit that is no descendant
		want   push.Kind
		hint   string
	}{
		{"work tree", "git config core.bare false; git symbolic-ref HEAD refs/heads/master", false, push.KindRefused, "denyCurrentBranch"},
		{"fast-forwards only", "git config receive.denyNonFastForwards true", true, push.KindRefused, "receive.denyNonFastForwards"},
		{"hidden", "git config receive.hideRefs refs/heads", false, push.KindRefused, "hideRefs"},
		{"directory", "git update-ref refs/heads/master/x HEAD || { o=$(git rev-parse HEAD); git update-ref -d refs/heads/master; git update-ref refs/heads/master/x $o; }", false, push.KindRefused, "needs for a directory"},
		{"stale lock", "touch refs/heads/master.lock", false, push.KindRefused, "remove the lock"},
		{"too small", "git config receive.maxInputSize 10", false, push.KindFailed, "receive.maxInputSize"},
		{"silent hook", "printf '#!/no/such/interpreter\\n' >hooks/pre-receive; chmod +x hooks/pre-receive", false, push.KindRefused, "can it be run"},
		{"emptied", "find objects -type f -delete", false, push.KindDeployed, "deployed"}, // gets a whole pack
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFleet(t, sandbox.Options{Names: []string{"plain"}, Bare: true})
			first := f.commit("print(1)\n")
			f.wantKinds(f.push(first), push.KindDeployed)
			cmd := exec.Command("sh", "-c", tt.setup)
			cmd.Dir = f.Nodes[0].Repo
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if tt.rewind {
				f.git("commit", "-q", "--amend", "-m", "another")
			}
			r := f.rollout(f.commit("print(2)\n"))
			if tt.rewind {
				r.Force = map[string]gitwire.OID{"plain": first}
			}
			out := f.run(r)["plain"]
			if out.Kind() != tt.want || !strings.Contains(out.String(), tt.hint) {
				t.Errorf("outcome %v, want %s with %q\n%s", out, tt.want, tt.hint, f.sink.text("plain"))
			}
		})
	}
}
