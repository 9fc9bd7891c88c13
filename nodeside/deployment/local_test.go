package deployment

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestLocal(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv("PATH", "/usr/bin:/bin")
	t.Setenv("TROOPS_HOSTNAME", "not-this")
	t.Setenv("PIP_INDEX_URL", "http://127.0.0.1:1/")
	dir := checkout(t, map[string]string{"deploy.py": "import os, troops\nprint(os.environ['HOME'], 'TROOPS_HOSTNAME' in os.environ, os.getpgrp() == os.getpid(), os.getcwd())\n"})
	t.Chdir(filepath.Dir(dir))
	for _, again := range []bool{false, true} {
		var stdout, stderr buffer
		if err := Local(t.Context(), filepath.Base(dir), &stdout, &stderr); err != nil {
			t.Fatalf("%v\n%s", err, stderr.String())
		}
		if got, want := stdout.String(), home+" False False "+dir+"\n"; got != want {
			t.Errorf("said %q, want %q", got, want)
		}
		if got := stderr.String(); strings.Contains(got, "troops: virtualenv: unchanged\n") != again {
			t.Errorf("again %v: notes %q", again, got)
		}
	}
	if entries, err := os.ReadDir(filepath.Join(home, "cache", "troops", "venvs")); err != nil || len(entries) == 0 {
		t.Errorf("virtualenvs: %v, %v", entries, err)
	}

	write(t, filepath.Join(dir, "deploy.py"), "import sys\nsys.exit(3)\n")
	var exit *ExitError
	if err := Local(t.Context(), dir, nil, &buffer{}); !errors.As(err, &exit) || exit.Code != 3 {
		t.Errorf("exit 3: %v", err)
	}
}

func TestLocalCancelled(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	t.Setenv("PATH", "/usr/bin:/bin")
	started := fifo(t, filepath.Join(home, "started"))
	dir := checkout(t, map[string]string{"deploy.py": "import os, time\nopen(os.path.expanduser('~/started'), 'w').close()\ntime.sleep(1000)\n"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- Local(ctx, dir, &buffer{}, &buffer{}) }()
	receive(t, started, done)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestLocalErrors(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	empty := t.TempDir()
	file := filepath.Join(empty, "file")
	write(t, file, "")
	for dir, want := range map[string]string{
		empty + "/missing": "no such file", file: "is no directory", empty: "no deploy.py and no executable deploy",
	} {
		if err := Local(t.Context(), dir, nil, &buffer{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", dir, err, want)
		}
	}
	t.Setenv("XDG_CACHE_HOME", "relative")
	if err := Local(t.Context(), empty, nil, &buffer{}); err == nil || !strings.Contains(err.Error(), "place for virtualenvs") {
		t.Errorf("relative cache directory: %v", err)
	}
}
