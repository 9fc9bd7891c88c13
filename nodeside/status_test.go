package nodeside

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"troops/nodeside/wire"
)

func TestStatus(t *testing.T) {
	n := newTestNode(t)
	status := func() wire.NodeStatus {
		t.Helper()
		var b bytes.Buffer
		if err := WriteStatus(t.Context(), n.l, &b); err != nil {
			t.Fatal(err)
		}
		body, ok := strings.CutPrefix(b.String(), wire.StatusPreface)
		if !ok || strings.Count(body, "\n") != 1 {
			t.Fatalf("status %q", b.String())
		}
		s, err := wire.ParseStatus([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := status(); s.Commit != "" || s.Branch != "" || s.Last != nil || s.Active != nil || s.Troops == "" || s.Now.IsZero() {
		t.Errorf("a new node: %+v", s)
	}
	good := n.commit("deploy", "#!/bin/sh\nexit 0\n")
	n.mustPush("master")
	if s := status(); s.Commit != good || s.Branch != "refs/heads/master" || s.Since.IsZero() || s.Last == nil || s.Last.State != wire.OK {
		t.Errorf("after a run: %+v", s)
	}

	// One works, one waits.
	gate, reached := n.fifo("gate"), n.fifo("reached")
	bad := n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\nexit 3\n")
	first := n.pushRun(bad)
	n.reached(reached)
	second := n.pushRun(n.commit("deploy", "#!/bin/sh\nexit 0\n"))
	s := status()
	if len(s.Active) != 2 || s.Active[0].Run != first || s.Active[0].State != wire.Running || s.Active[1].Run != second || s.Active[1].State != wire.Queued {
		t.Errorf("while one works: %+v", s.Active)
	}
	if s.Commit != good || s.Last.Commit != good {
		t.Errorf("while one works: %+v", s)
	}
	n.open(gate)
	n.follow(first)
	n.awaitEnd(second)
	if s := status(); s.Active != nil || s.Last.Run != second || s.Commit != s.Last.Commit {
		t.Errorf("in the end: %+v", s)
	}
}

// A run whose process was killed is not said to work for ever.
func TestStatusInterrupted(t *testing.T) {
	n := newTestNode(t)
	gate, reached := n.fifo("gate"), n.fifo("reached")
	id := n.pushRun(n.commit("deploy", "#!/bin/sh\necho > "+reached+"\nread go < "+gate+"\n"))
	n.reached(reached)
	n.check(unix.Kill(n.runs()[n.git("rev-parse", "HEAD")].Pid, unix.SIGKILL))
	n.lockFree()
	n.follow(id)
	s, err := Status(t.Context(), n.l)
	if err != nil || s.Active != nil || s.Last == nil || s.Last.State != wire.Interrupted {
		t.Errorf("%v, %+v", err, s)
	}
	n.open(gate) // lets the deployment end, which was not killed
}
