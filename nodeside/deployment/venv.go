package deployment

import (
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"troops/nodeside/python"
)

// VenvTimeout is how long making a virtualenv may take, pip's downloads and
// compilations included, where a [Spec] does not say.
const VenvTimeout = 30 * time.Minute

// ErrVenvTimeout is wrapped by the error about a virtualenv that was not made in time.
var ErrVenvTimeout = errors.New("no virtualenv")

// keyLength is how much of a key's SHA-256 is in names, in hexadecimal digits. With
// all of it the #! lines of the virtualenv's commands would be too long for the kernel.
const keyLength = 32

//go:embed build_venv.py
var buildVenv string

// EnsureVenv returns the directory of a virtualenv with what the checkout's
// requirements.txt asks for and the Python module troops in it. It is <key>-<run>
// below s.Venvs, where key stands for requirements.txt and all it includes, the
// interpreter and the module. One that an earlier run has made is used as it is,
// without running pip; a damaged one is made again.
//
// A checkout without deploy.py and requirements.txt needs none: the result is empty.
// Where pip or another program failed, the error wraps an *[ExitError].
func EnsureVenv(ctx context.Context, s Spec) (string, error) {
	program, err := s.program()
	if err != nil {
		return "", err
	}
	req, err := readRequirements(s.Checkout, s.env())
	if err != nil {
		return "", err
	}
	if program == executable && !req.found {
		return "", nil
	}
	py, err := findPython(ctx, s.env())
	if err != nil {
		return "", err
	}
	if req.any && !py.Ensurepip {
		return "", fmt.Errorf("deployment: Python %s on this machine has no pip for virtualenvs (module ensurepip): apt-get install python3-venv", py.Version)
	}
	st, err := openStore(s.Venvs)
	if err != nil {
		return "", err
	}
	key := venvKey(py, req, s.Run)
	if venv, ok := st.reuse(key, py.Executable); ok {
		s.note("virtualenv: unchanged")
		return venv, nil
	}
	if len(req.local) > 0 {
		s.note("virtualenv: %s is built from the checkout, so every run makes a virtualenv anew", req.local[0])
	}
	limit := cmp.Or(s.VenvTimeout, VenvTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w within %v", ErrVenvTimeout, limit))
	defer cancel()
	return s.make(ctx, st, key, py, req)
}

// venvKey is a digest of all that a virtualenv's content follows from. What is built
// from the checkout itself follows from the run.
func venvKey(py interpreter, req requirements, run string) string {
	about := struct {
		Format  int
		Python  interpreter
		Module  string
		Content map[string]string
		Run     string
	}{1, py, python.Digest(), req.content, ""}
	if len(req.local) > 0 {
		about.Run = run
	}
	b, err := json.Marshal(about) // maps are sorted by key
	if err != nil {
		panic(err) // plain strings
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))[:keyLength]
}

// make builds a virtualenv aside and publishes it when it is whole.
func (s Spec) make(ctx context.Context, st store, key string, py interpreter, req requirements) (string, error) {
	s.note("virtualenv: making one with Python %s", py.Version)
	venv, release, err := st.begin(key, s.Run)
	if err != nil {
		return "", err
	}
	defer release()
	if err := s.fill(ctx, venv, py, req); err != nil {
		return "", errors.Join(err, os.RemoveAll(venv))
	}
	if err := st.publish(key, venv); err != nil {
		return "", errors.Join(err, os.RemoveAll(venv))
	}
	return venv, nil
}

// fill makes the virtualenv in the directory venv, which exists, down to the disk.
func (s Spec) fill(ctx context.Context, venv string, py interpreter, req requirements) error {
	args := []string{"-I", "-", venv}
	if py.Ensurepip {
		args = append(args, "pip")
	} else {
		s.note("virtualenv: without pip; to have it: apt-get install python3-venv")
	}
	cmd := exec.Command(py.Executable, args...)
	cmd.Env, cmd.Dir, cmd.Stdin = s.env(), venv, strings.NewReader(buildVenv)
	if err := s.run(ctx, "python3 -m venv", cmd); err != nil {
		return err
	}
	site, err := sitePackages(venv)
	if err != nil {
		return err
	}
	if err := python.Install(site); err != nil {
		return fmt.Errorf("deployment: %w", err)
	}
	if req.any {
		if err := s.pip(ctx, venv, req); err != nil {
			return err
		}
	}
	if err := syncTree(venv); err != nil {
		return fmt.Errorf("deployment: writing the virtualenv: %w", err)
	}
	return nil
}

// pip installs requirements.txt. -I keeps modules of the checkout from taking the
// place of Python's own; the constraint keeps pip from replacing the module troops
// by whatever an index has under that name.
func (s Spec) pip(ctx context.Context, venv string, req requirements) error {
	constraint := filepath.Join(venv, "troops-constraint.txt")
	if err := os.WriteFile(constraint, []byte("troops=="+python.Version()+"\n"), 0o644); err != nil {
		return fmt.Errorf("deployment: writing the virtualenv: %w", err)
	}
	cmd := exec.Command(filepath.Join(venv, "bin", "python"), "-I", "-m", "pip", "install",
		"--disable-pip-version-check", "--no-input", "--progress-bar", "off",
		"-c", constraint, "-r", requirementsFile)
	cmd.Env, cmd.Dir = activate(s.env(), venv), s.Checkout
	err := s.run(ctx, "pip install", cmd)
	if err != nil {
		for _, asked := range req.troops {
			s.note("%s; this machine has troops %s", asked, python.Version())
		}
	}
	return err
}

// sitePackages finds the directory of a virtualenv's modules.
func sitePackages(venv string) (string, error) {
	lib := filepath.Join(venv, "lib")
	entries, err := os.ReadDir(lib)
	if err != nil {
		return "", fmt.Errorf("deployment: reading the virtualenv: %w", err)
	}
	for _, e := range entries {
		site := filepath.Join(lib, e.Name(), "site-packages")
		if fi, err := os.Stat(site); err == nil && fi.IsDir() {
			return site, nil
		}
	}
	return "", fmt.Errorf("deployment: no site-packages below %s", lib)
}
