package push_test

import (
	"strings"
	"testing"

	"troops/nodeside/sandbox"
	"troops/push"
	"troops/push/gitwire"
)

// A node that was at one commit when the user agreed, and is at another one now, refuses.
func TestForceTakesWhatWasNamed(t *testing.T) {
	for name, opts := range map[string]sandbox.Options{
		"troops node": {}, "no second channel": {Sessions: 1}, "plain repository": {Bare: true},
	} {
		t.Run(name, func(t *testing.T) {
			opts.Names = []string{"a", "b"}
			f := newFleet(t, opts)
			base := f.commit("print('base')\n")
			bad := f.commit("print('bad')\n")
			f.wantKinds(f.push(bad), push.KindDeployed)
			r := f.rollout(base)
			plans, err := r.Plan(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !r.AllowForce(plans) || r.Force["a"] != bad || r.Force["b"] != bad || plans[0].Outcome != nil {
				t.Fatalf("allowed %v", r.Force)
			}
			later := f.rollout(f.commit("print('later')\n"))
			later.Targets = later.Targets[1:]
			f.run(later)
			out := f.run(r)
			if out["a"].Kind() != push.KindDeployed || out["b"].Kind() != push.KindRefused {
				t.Errorf("outcomes %v", out)
			}
			for i, want := range []gitwire.OID{base, later.Commit} {
				if at := f.at(f.Nodes[i]); at != want {
					t.Errorf("%s is at %s, want %s", f.Nodes[i].Name, at, want)
				}
			}
			for _, n := range f.Nodes {
				f.git("--git-dir="+n.Repo, "fsck", "--strict")
			}
			if out := f.push(later.Commit); out["a"].Kind() != push.KindDeployed || out["b"].Kind() != push.KindCurrent {
				t.Errorf("the next push: %v", out)
			}
		})
	}
}

func TestRerun(t *testing.T) {
	for name, sessions := range map[string]int{"troops node": 0, "no second channel": 1} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, sandbox.Options{Names: []string{"a"}, Sessions: sessions})
			commit := f.commit("print('ran')\n")
			r := f.rollout(commit)
			r.Rerun = true
			for i := range 3 {
				f.wantKinds(f.run(r), push.KindDeployed)
				if text := f.sink.text("a"); strings.Count(text, "ran\n") != i+1 {
					t.Errorf("after %d runs: %q", i+1, text)
				}
			}
			f.wantKinds(f.push(commit), push.KindCurrent)
		})
	}
	plain := newFleet(t, sandbox.Options{Names: []string{"a"}, Bare: true})
	r := plain.rollout(plain.commit(""))
	r.Rerun = true
	plain.wantKinds(plain.run(r), push.KindDeployed)
	plain.wantKinds(plain.run(r), push.KindRefused)
}
