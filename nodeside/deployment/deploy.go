package deployment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// maxReport is the longest report of roles that is read, in bytes.
const maxReport = 64 << 10

// Deploy runs the checkout's deploy.py with the Python of venv, or its executable
// deploy, and waits for its end. The working directory is the checkout, standard
// input is empty, and the program has a process group of its own, which gets SIGTERM
// and [KillDelay] later SIGKILL when ctx ends. Processes that it leaves behind are let be.
//
// roles are those active when it ended, sorted: for deploy.py as the Python module
// reported them (reported is false where it did not: never imported, or killed), for
// an executable deploy those that roles.toml gives to the host.
// Where the program failed, the error wraps an *[ExitError].
func Deploy(ctx context.Context, s Spec, venv string) (roles []string, reported bool, err error) {
	program, err := s.program()
	if err != nil {
		return nil, false, err
	}
	if lock := inUse(venv); lock != nil {
		defer lock.Close()
	}
	env := activate(s.env(), venv)
	for name, value := range map[string]string{"TROOPS_HOSTNAME": s.Hostname, "TROOPS_COMMIT": s.Commit, "TROOPS_RUN": s.Run} {
		if value != "" {
			env = setEnv(env, name, value)
		}
	}
	if s.Check {
		if program == executable || !s.hasChecks() {
			s.note("%s has no @troops.check: nothing to do", program)
			return nil, false, nil
		}
		env = setEnv(env, "TROOPS_CHECK", "1")
	}
	if program == executable {
		roles, err = s.runExecutable(ctx, env)
		return roles, false, err
	}
	return s.runScript(ctx, env, venv)
}

func (s Spec) runScript(ctx context.Context, env []string, venv string) (roles []string, reported bool, err error) {
	if venv == "" {
		return nil, false, errors.New("deployment: deploy.py needs a virtualenv")
	}
	if s.ReportFile != "" {
		if err := os.Remove(s.ReportFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, false, fmt.Errorf("deployment: removing an old report: %w", err)
		}
		env = setEnv(env, "TROOPS_REPORT", s.ReportFile)
		// By its parent the module tells deploy.py from the Pythons that deploy.py starts.
		env = setEnv(env, "TROOPS_REPORT_PARENT", strconv.Itoa(os.Getpid()))
	}
	cmd := exec.Command(filepath.Join(venv, "bin", "python"), "-u", script)
	cmd.Env, cmd.Dir = env, s.Checkout
	err = s.run(ctx, script, cmd)
	if s.ReportFile == "" {
		return nil, false, err
	}
	roles, reported, reportErr := readReport(s.ReportFile)
	if reportErr != nil {
		s.note("%v", reportErr)
	}
	return roles, reported, err
}

func (s Spec) runExecutable(ctx context.Context, env []string) ([]string, error) {
	host := s.Hostname
	if host == "" {
		host = machineName(ctx, env)
	}
	roles, err := fileRoles(s.Checkout, host)
	if err != nil {
		return nil, err
	}
	env = setEnv(env, "TROOPS_HOSTNAME", host)
	env = setEnv(env, "TROOPS_ROLES", strings.Join(roles, " "))
	dir, err := filepath.Abs(s.Checkout)
	if err != nil {
		return nil, fmt.Errorf("deployment: %w", err)
	}
	cmd := exec.Command(filepath.Join(dir, executable))
	cmd.Env, cmd.Dir = env, dir
	return roles, s.run(ctx, executable, cmd)
}

// readReport reads the roles that the Python module left. The file was writable for
// deploy.py, so it may hold anything.
func readReport(name string) (roles []string, reported bool, err error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("the report of roles cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxReport+1))
	if err != nil {
		return nil, false, fmt.Errorf("the report of roles cannot be read: %w", err)
	}
	return parseReport(data)
}

func parseReport(data []byte) (roles []string, reported bool, err error) {
	if len(data) > maxReport {
		return nil, false, fmt.Errorf("the report of roles is longer than %d bytes", maxReport)
	}
	if err := json.Unmarshal(data, &roles); err != nil {
		return nil, false, fmt.Errorf("the report of roles is malformed: %w", err)
	}
	for _, role := range roles {
		if !validRole(role) {
			return nil, false, fmt.Errorf("the report of roles has %.80q, which is no name for a role", role)
		}
	}
	slices.Sort(roles)
	return slices.Compact(roles), true, nil
}
