package deployment

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/oklog/ulid/v2"
)

// Local deploys the directory dir on this machine, as the user that runs it: what
// `troops deploy` does. It differs from a node's run in three ways: PATH, HOME, USER,
// LOGNAME and SHELL are the user's own; the host's name is the machine's own; and the
// program stays in the terminal's process group, so that sudo can ask for a password.
// Virtualenvs are kept in $XDG_CACHE_HOME/troops/venvs. Notes go to stderr as "troops: ...".
// Where a program failed, the error wraps an *[ExitError].
func Local(ctx context.Context, dir string, stdout, stderr io.Writer) error {
	checkout, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	if fi, err := os.Stat(checkout); err != nil {
		return fmt.Errorf("deployment: %w", err)
	} else if !fi.IsDir() {
		return fmt.Errorf("deployment: %s is no directory: name the one that deploy.py is in", checkout)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return fmt.Errorf("deployment: finding a place for virtualenvs: %w", err)
	}
	s := Spec{
		Checkout:   checkout,
		Venvs:      filepath.Join(cache, "troops", "venvs"),
		Run:        ulid.Make().String(),
		Env:        ownEnv(),
		Stdout:     stdout,
		Stderr:     stderr,
		Note:       func(line string) { fmt.Fprintf(stderr, "troops: %s\n", line) },
		foreground: true,
	}
	venv, err := EnsureVenv(ctx, s)
	if err != nil {
		return err
	}
	_, _, err = Deploy(ctx, s, venv)
	return err
}
