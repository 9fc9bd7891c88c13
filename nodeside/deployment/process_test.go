package deployment

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDeployLeavesProcesses starts a daemon that keeps its output open.
func TestDeployLeavesProcesses(t *testing.T) {
	t.Parallel()
	n, venv := scriptNode(t, `
import os, subprocess
p = subprocess.Popen(['cat', os.path.expanduser('~/gate')], start_new_session=True)
print(p.pid)
`)
	gate := fifo(t, filepath.Join(n.dir, "home", "gate"))
	n.Spec.drainDelay = 10 * time.Millisecond
	if _, _, err := Deploy(t.Context(), n.Spec, venv); err != nil {
		t.Fatal(err)
	}
	if !n.noted("deploy.py left processes behind") {
		t.Errorf("notes %q", n.notes)
	}
	// The daemon is still there to take what it is sent.
	if err := os.WriteFile(gate, []byte("x"), 0); err != nil {
		t.Error(err)
	}
}

// TestDeployCancelled ends a deploy.py that cleans up, one that does not listen, and a
// child of one that has more to finish than itself.
func TestDeployCancelled(t *testing.T) {
	t.Parallel()
	const tell = "open(os.path.expanduser('~/started'), 'w').close()\nopen(os.path.expanduser('~/gate')).read()\n"
	for _, test := range []struct {
		name, deploy, said string
		want               ExitError
	}{
		{"cleans up", "import os, signal, sys\nsignal.signal(15, lambda *a: (print('cleaned up'), sys.exit(4)))\n" + tell, "cleaned up\n", ExitError{"deploy.py", 4, ""}},
		{"does not listen", "import os, signal\nsignal.signal(15, signal.SIG_IGN)\n" + tell, "", ExitError{"deploy.py", 0, "killed"}},
		{"child", "import os, subprocess\nsubprocess.Popen(['sh', '-c', \"trap 'echo finished; exit' TERM; : >$HOME/started; read x <$HOME/gate\"]).wait()\n", "finished\n", ExitError{"deploy.py", 0, "terminated"}},
	} {
		n, venv := scriptNode(t, test.deploy)
		fifo(t, filepath.Join(n.dir, "home", "gate"))
		started := fifo(t, filepath.Join(n.dir, "home", "started"))
		if test.want.Signal == "killed" {
			n.Spec.killDelay = 10 * time.Millisecond
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() {
			_, _, err := Deploy(ctx, n.Spec, venv)
			done <- err
		}()
		receive(t, started, done)
		reason := errors.New("run cancelled")
		cancel(reason)
		err := <-done
		var exit *ExitError
		if !errors.Is(err, reason) || !errors.As(err, &exit) || *exit != test.want {
			t.Errorf("%s: %v (%+v), want %+v", test.name, err, exit, test.want)
		}
		if got := n.stdout.String(); got != test.said {
			t.Errorf("%s: said %q, want %q", test.name, got, test.said)
		}
	}
	n, venv := scriptNode(t, "print('started')")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Deploy(ctx, n.Spec, venv); !errors.Is(err, context.Canceled) || n.stdout.String() != "" {
		t.Errorf("cancelled before: %v, said %q", err, n.said())
	}
}
