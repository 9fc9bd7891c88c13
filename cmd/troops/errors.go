package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"troops/nodeside/deployment"
)

// commandError is a mistake in how a command was called.
type commandError struct{ text string }

func (e *commandError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &commandError{fmt.Sprintf(format, args...)} }

// deployFailed carries the exit code of a local deployment to exitCode.
type deployFailed struct{ *deployment.ExitError }

func (e deployFailed) exitStatus() int {
	if e.Code > 0 {
		return e.Code
	}
	return exitNodes // ended by a signal
}

func (e deployFailed) Unwrap() error { return e.ExitError }

func deployError(err error) error {
	var ee *deployment.ExitError
	if errors.As(err, &ee) && slices.Contains([]string{"deploy.py", "deploy"}, filepath.Base(ee.Command)) {
		return deployFailed{ee} // not pip's, which was before it
	}
	return err
}
