package push_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"troops/nodeside/sandbox"
	"troops/nodeside/wire"
	"troops/push"
)

// newer is a launcher as that of a node whose troops has the next version of the protocol.
const newer = "echo $1 >>\"$0.asked\"\ncase $1 in attach|tail|pull|cancel|check) echo troops-attach 2; exit 0;; status) echo troops-status 2; exit 0;; esac\n"

// wayUp is what a workstation says of such a node.
const wayUp = "its troops is newer than this one (protocol 2, here 1); upgrade troops here"

// TestOtherVersion: a node of another version is left as it was, by whatever it is asked.
func TestOtherVersion(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	oid := f.commit("print(1)\n")
	impostor(t, f.Nodes[0], newer)
	// Its refs are still the old ones: it is upgraded just now.
	refused := func(when string) {
		t.Helper()
		if out := f.push(oid)["a"]; out.String() != "refused: "+wayUp {
			t.Errorf("%s: %v", when, out)
		}
	}
	refused("upgraded before the second channel")
	f.git("--git-dir="+f.Nodes[0].Repo, "update-ref", "refs/troops/v2", wire.AdvertisedRef)
	f.git("--git-dir="+f.Nodes[0].Repo, "update-ref", "-d", wire.AdvertisedRef)
	refused("upgraded")
	r := f.rollout(oid)
	if plans, err := r.Plan(t.Context()); err != nil || plans[0].Outcome == nil || plans[0].Outcome.String() != "refused: "+wayUp {
		t.Errorf("plan: %+v, %v", plans, err)
	}
	if states, err := r.Status(t.Context()); err != nil || states[0].Err == nil || !strings.Contains(states[0].Err.Error(), wayUp) {
		t.Errorf("status: %+v, %v", states, err)
	}
	if out := f.pull()["a"]; out.String() != "refused: "+wayUp {
		t.Errorf("pull: %v", out)
	}
	if res := f.tail(r, push.TailOptions{})["a"]; res.Err == nil || !strings.Contains(res.Err.Error(), wayUp) {
		t.Errorf("tail: %+v", res)
	}
	if res, err := r.Cancel(t.Context(), "01ARZ3NDEKTSV4RRFFQ69G5FAV"); err != nil || res[0].Err == nil || !strings.Contains(res[0].Err.Error(), wayUp) {
		t.Errorf("cancel: %+v, %v", res, err)
	}
	asked, err := os.ReadFile(filepath.Join(f.Nodes[0].Repo, wire.Launcher) + ".asked")
	if got := strings.Fields(string(asked)); err != nil || strings.Join(got, " ") != "attach status tail" {
		t.Errorf("it was asked for %q, %v: more than looking", got, err)
	}
	if refs := f.git("--git-dir="+f.Nodes[0].Repo, "for-each-ref", "--format=%(refname)"); refs != "refs/troops/v2" {
		t.Errorf("it has got %q", refs)
	}
}

// TestUpgradedInTheMiddle: whoever loses a run there cannot go on following it, and is told so
// without looking for the node for long.
func TestUpgradedInTheMiddle(t *testing.T) {
	f := newFleet(t, sandbox.Options{Names: []string{"a"}})
	gate := newGate(t)
	oid := f.commit("print('begun')\n" + gate.python())
	done := make(chan map[string]push.Outcome)
	go func() { done <- f.push(oid) }()
	f.sink.await(t, "a", "begun\n")
	tailed := make(chan map[string]push.TailResult)
	r := f.rollout(oid)
	sink := newRecorder()
	r.Sink = sink
	go func() { tailed <- f.tail(r, push.TailOptions{}) }()
	sink.await(t, "a", "begun\n")
	impostor(t, f.Nodes[0], newer)
	f.Nodes[0].Drop()
	if out, ok := (<-done)["a"].(push.Unknown); !ok || out.Run == "" || !strings.Contains(out.String(), wayUp) {
		t.Errorf("push: %v", out)
	}
	if res := (<-tailed)["a"]; res.Err == nil || !strings.Contains(res.Err.Error(), wayUp) {
		t.Errorf("tail: %+v", res)
	}
	gate.open(t)
}
