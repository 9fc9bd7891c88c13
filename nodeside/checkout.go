package nodeside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"troops/nodeside/runlog"
)

// checkout is where the files of a run's commit are.
func (l Layout) checkout(run string) string { return filepath.Join(l.Checkouts(), run) }

// checkOut puts the files of commit into dir, which it makes. Attributes of the commit are
// obeyed as in any work tree, but nothing is left out as from an archive.
func (l Layout) checkOut(ctx context.Context, run runlog.Dir, commit, dir string, note func(string)) error {
	// Closed to others until it is whole.
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("nodeside: making the checkout: %w", err)
	}
	index := filepath.Join(string(run), "index")
	defer os.Remove(index)
	git := l.git()
	git.Dir = dir
	git.Env = append(git.Env, "GIT_INDEX_FILE="+index, "GIT_WORK_TREE="+dir)
	if _, err := git.Run(ctx, nil, "read-tree", commit); err != nil {
		return fmt.Errorf("nodeside: reading the commit's files: %w", err)
	}
	if _, err := git.Run(ctx, nil, "checkout-index", "--all", "--quiet"); err != nil {
		return fmt.Errorf("nodeside: writing the commit's files: %w", err)
	}
	files, err := git.Run(ctx, nil, "ls-files", "--stage", "-z")
	if err != nil {
		return fmt.Errorf("nodeside: listing the commit's files: %w", err)
	}
	for _, path := range submodules(files) {
		note(fmt.Sprintf("%q is a submodule: left empty, nodes do not fetch submodules", path))
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("nodeside: opening the checkout: %w", err)
	}
	return deployable(dir)
}

// submodules picks the paths of submodules from the output of git ls-files --stage -z.
func submodules(files []byte) []string {
	var paths []string
	for entry := range bytes.SplitSeq(files, []byte{0}) {
		if bytes.HasPrefix(entry, []byte("160000 ")) {
			_, path, _ := strings.Cut(string(entry), "\t")
			paths = append(paths, path)
		}
	}
	return paths
}

// deployable tells whether there is something to run in a checkout.
func deployable(dir string) error {
	if info, err := os.Stat(filepath.Join(dir, "deploy.py")); err == nil && info.Mode().IsRegular() {
		return nil
	}
	info, err := os.Stat(filepath.Join(dir, "deploy"))
	if err == nil && info.Mode().IsRegular() {
		if info.Mode()&0o111 != 0 {
			return nil
		}
		return errors.New("nodeside: the commit's file deploy is not executable (git update-index --chmod=+x deploy), and it has no deploy.py")
	}
	return errors.New("nodeside: the commit has neither deploy.py nor an executable file deploy")
}
