package inventory

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"troops/gitcli"
)

// MaxFile is the largest file that is read of a commit, in bytes.
const MaxFile = 4 << 20

// Modes of entries of a git tree, as ls-tree prints them.
const (
	modeExecutable = "100755"
	modeLink       = "120000"
	modeSubmodule  = "160000"
)

type treeEntry struct {
	mode string
	oid  string
}

// tree is the files of one commit. It reads objects only, never the work tree.
type tree struct {
	commit string
	files  map[string]treeEntry
	start  func() error // starts git
	git    *exec.Cmd    // nil until then
	in     io.WriteCloser
	out    *bufio.Reader
	errs   bytes.Buffer
}

// openTree lists the commit. The git that reads its files is started by the first read, which
// may never come; close ends it.
func openTree(ctx context.Context, repo gitcli.Repo, commit string) (*tree, error) {
	listed, err := repo.Run(ctx, nil, "ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit)
	if err != nil {
		return nil, fmt.Errorf("inventory: listing the files of commit %s: %w", commit, err)
	}
	t := &tree{commit: commit, files: make(map[string]treeEntry)}
	for line := range strings.SplitSeq(string(listed), "\x00") {
		meta, path, ok := strings.Cut(line, "\t")
		f := strings.Fields(meta)
		if ok && len(f) == 3 {
			t.files[path] = treeEntry{mode: f[0], oid: f[2]}
		}
	}
	t.start = func() error { return t.startGit(repo.Command(ctx, "cat-file", "--batch")) }
	return t, nil
}

func (t *tree) startGit(git *exec.Cmd) error {
	git.Stderr = &t.errs
	in, err := git.StdinPipe()
	if err != nil {
		return fmt.Errorf("inventory: starting git: %w", err)
	}
	out, err := git.StdoutPipe()
	if err != nil {
		return fmt.Errorf("inventory: starting git: %w", err)
	}
	if err := git.Start(); err != nil {
		return fmt.Errorf("inventory: starting git: %w", err)
	}
	t.git, t.in, t.out = git, in, bufio.NewReader(out)
	return nil
}

// close ends git. Its exit says nothing: what it was asked for was read.
func (t *tree) close() {
	if t.git == nil {
		return
	}
	_ = t.in.Close()
	_ = t.git.Cancel()
	_ = t.git.Wait()
}

func (t *tree) has(path string) bool {
	_, ok := t.files[path]
	return ok
}

// regular returns an error for what stands at path where that is not a file.
func (t *tree) regular(path string) error {
	what := ""
	switch t.files[path].mode {
	case modeLink:
		what = "a symbolic link"
	case modeSubmodule:
		what = "a submodule"
	default:
		return nil
	}
	return &Error{Problems: []Problem{{File: path, Text: "it is " + what + ", which is not followed: keep the file itself in the repository"}}}
}

// read returns the file at path, which the tree has. Errors about size are *LimitError.
func (t *tree) read(path string) ([]byte, error) {
	e, ok := t.files[path]
	if !ok {
		return nil, fmt.Errorf("inventory: reading %s of commit %s: no such file", quoteShort(path), t.commit)
	}
	fail := func(err error) ([]byte, error) {
		if msg := strings.TrimSpace(t.errs.String()); msg != "" && t.git.Wait() != nil {
			err = errors.New(msg)
		}
		return nil, fmt.Errorf("inventory: reading %s of commit %s: %w", quoteShort(path), t.commit, err)
	}
	if t.git == nil {
		if err := t.start(); err != nil {
			return nil, err
		}
	}
	if _, err := fmt.Fprintln(t.in, e.oid); err != nil {
		return fail(err)
	}
	head, err := t.out.ReadString('\n')
	if err != nil {
		return fail(err)
	}
	var oid, kind string
	var size int64
	if n, _ := fmt.Sscanf(head, "%s %s %d", &oid, &kind, &size); n != 3 || kind != "blob" {
		return fail(fmt.Errorf("git says %q", strings.TrimSpace(head)))
	}
	if size > MaxFile {
		return nil, &LimitError{Problem{File: path, Text: fmt.Sprintf("it has %d bytes, more than %d", size, MaxFile)}}
	}
	buf := make([]byte, size+1) // and the line feed after it
	if _, err := io.ReadFull(t.out, buf); err != nil {
		return fail(err)
	}
	return buf[:size], nil
}
