package deployment

import (
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestExecutable(t *testing.T) {
	t.Parallel()
	const show = "#!/bin/sh\necho \"$TROOPS_HOSTNAME|$TROOPS_ROLES|$TROOPS_COMMIT|$TROOPS_RUN|$VIRTUAL_ENV|$(pwd)\"\n"
	n := newNode(t, map[string]string{
		"deploy":     show,
		"roles.toml": "[web]\nhosts = [\"root@shellbox-1.example.com:22\"]\n[db]\nhosts = [\"db-1\"]\n[all]\nhosts = [\"db-1\", \"shellbox-1.example.com\"]\n",
	})
	roles := n.deploy()
	want := strings.Join([]string{n.Spec.Hostname, "all web", n.Spec.Commit, n.Spec.Run, "", n.Spec.Checkout}, "|") + "\n"
	if got := n.stdout.String(); got != want || !slices.Equal(roles, []string{"all", "web"}) {
		t.Errorf("said %q, want %q; roles %q", got, want, roles)
	}
	if _, err := os.Stat(n.Spec.Venvs); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a virtualenv was made: %v", err)
	}

	n.next()
	n.Spec.Hostname = ""
	n.deploy()
	name, err := os.Hostname()
	if err != nil || !strings.HasPrefix(n.stdout.String(), name) {
		t.Errorf("said %q on %q", n.stdout, name)
	}

	n.next()
	n.files(map[string]string{"requirements.txt": "foo\n", "deploy": "#!/usr/bin/env python3\nimport foo\nprint(foo.V)\n"})
	wheel(t, n.wheels, "foo", "1.0", map[string]string{"foo.py": "V = 1\n"})
	n.deploy()
	if !strings.HasSuffix(n.stdout.String(), "\n1\n") {
		t.Errorf("with requirements: said %q", n.said())
	}
}

func TestExecutableFails(t *testing.T) {
	t.Parallel()
	n := newNode(t, map[string]string{"deploy": "#!/bin/sh\nexit 9\n"})
	_, reported, err := Deploy(t.Context(), n.Spec, "")
	var exit *ExitError
	if !errors.As(err, &exit) || *exit != (ExitError{Command: "deploy", Code: 9}) || reported {
		t.Errorf("exit 9: %v, reported %v", err, reported)
	}
	n.files(map[string]string{"deploy": "echo no first line\n"})
	if _, _, err = Deploy(t.Context(), n.Spec, ""); !errors.Is(err, syscall.ENOEXEC) || !strings.Contains(err.Error(), "#!/bin/sh") {
		t.Errorf("no #!: %v", err)
	}
	n.files(map[string]string{"deploy": "#!/nowhere/sh\n"})
	if _, _, err = Deploy(t.Context(), n.Spec, ""); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such interpreter: %v", err)
	}
	n.files(map[string]string{"deploy": "#!/bin/sh\necho ran\n", "roles.toml": "[web\n"})
	if _, _, err = Deploy(t.Context(), n.Spec, ""); err == nil || !strings.Contains(err.Error(), "roles.toml") || n.stdout.String() != "" {
		t.Errorf("broken roles.toml: %v, said %q", err, n.said())
	}
	n.files(map[string]string{"deploy.py": ""})
	if _, _, err = Deploy(t.Context(), n.Spec, ""); err == nil || !strings.Contains(err.Error(), "needs a virtualenv") {
		t.Errorf("deploy.py without a virtualenv: %v", err)
	}
}
