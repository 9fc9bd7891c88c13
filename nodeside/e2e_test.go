package nodeside

import (
	"strings"
	"testing"

	"troops/nodeside/wire"
)

func TestPushDeploys(t *testing.T) {
	n := newTestNode(t)
	oid := n.commit("deploy", "#!/bin/sh\necho out of $TROOPS_COMMIT\necho err >&2\nls\n", "a/b", "x")
	out := n.mustPush("master")
	for _, want := range []string{"remote: out of " + oid, "remote: err", "troops: phase checkout", "troops: phase deploy", "remote: deploy", oid[:12] + " deployed", "master -> master"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if got := n.tip("refs/heads/master"); got != oid {
		t.Errorf("branch is at %q, want %q", got, oid)
	}
	if got := n.tip(wire.DeployedRef); got != oid {
		t.Errorf("%s is at %q, want %q", wire.DeployedRef, got, oid)
	}
	r := n.runs()[oid]
	if r.State != wire.OK || r.Phase != "deploy" || r.By != "tester" || r.Branch != "refs/heads/master" || r.LogBytes == 0 || r.Ended.IsZero() {
		t.Errorf("record %+v", r)
	}
}
