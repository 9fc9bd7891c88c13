package nodeside

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"

	"troops/nodeside/wire"
)

// checkUp runs the node's checks as a workstation does.
func (n *testNode) checkUp() (string, wire.Result) {
	n.Helper()
	var out bytes.Buffer
	n.check(Check(n.Context(), n.l, ulid.Make().String(), "ann@desk", &out))
	text, r := "", wire.Result{}
	frames := wire.NewReader(&out)
	_, err := frames.SkipPreface()
	n.check(err)
	for {
		f, err := frames.Next()
		n.check(err)
		if f.Kind == wire.Done {
			r, err = wire.ParseResult(f.Payload)
			n.check(err)
			return text, r
		}
		text += string(f.Payload)
	}
}

func TestCheck(t *testing.T) {
	n := newTestNode(t)
	var out bytes.Buffer
	if err := Check(t.Context(), n.l, ulid.Make().String(), "", &out); err == nil || !strings.Contains(err.Error(), "nothing is deployed") {
		t.Errorf("a new node: %v", err)
	}
	if err := Check(t.Context(), n.l, "../x", "", &out); err == nil || !strings.Contains(err.Error(), "is no run") {
		t.Errorf("a bad run: %v", err)
	}
	sick := n.l.Dir + ".sick"
	oid := n.commit("deploy.py", "import os, troops\n@troops.deployable()\ndef d(): print('deployed')\n@troops.check\ndef c(): print('checked'); assert not os.path.exists('"+sick+"'), 'sick'\n")
	n.mustPush("master")
	text, r := n.checkUp()
	if r.State != wire.OK || !r.Check || r.Commit != oid || r.Phase != "check" || !strings.Contains(text, "checked\n") || strings.Contains(text, "deployed\n") {
		t.Errorf("well: %+v, %q", r, text)
	}
	n.commit("x", "not deployed")
	n.check(writeEmpty(sick))
	text, r = n.checkUp()
	if r.State != wire.Failed || r.ExitCode != 1 || !strings.Contains(text, "AssertionError: sick") {
		t.Errorf("sick: %+v, %q", r, text)
	}
	if tip := n.tip("refs/heads/master"); tip != oid {
		t.Errorf("the branch is at %s", tip)
	}
	s, err := Status(t.Context(), n.l)
	if err != nil || s.Last == nil || s.Last.State != wire.OK || s.Last.Check || s.Check == nil || s.Check.State != wire.Failed {
		t.Errorf("%v, %+v", err, s)
	}
}

// An executable has no checks, and is not run instead.
func TestCheckOfExecutable(t *testing.T) {
	n := newTestNode(t)
	n.commit("deploy", "#!/bin/sh\necho deployed\n")
	n.mustPush("master")
	text, r := n.checkUp()
	if r.State != wire.OK || strings.Contains(text, "deployed\n") || !strings.Contains(text, "deploy has no @troops.check") {
		t.Errorf("%+v, %q", r, text)
	}
}

func writeEmpty(path string) error { return os.WriteFile(path, nil, 0o600) }
