package nodeside

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"troops/gitcli"
)

// A remote's objects come into a repository of their own first, whatever transport brings them,
// from there into another one by git's own, which checks them as they come, and then to the node's. Without
// that the "dumb" kind of HTTP, which a server may choose to speak, would bring objects that nobody
// has looked at, file by file. What is left of a fetch that was broken off goes with the two.

// quarantinedRef is the ref of a quarantine for what was fetched.
const quarantinedRef = "refs/fetched/head"

// quarantines is where the quarantines of a pull are. The pull's lock guards it.
func (l Layout) quarantines() string { return filepath.Join(l.Dir, "fetch") }

// emptyQuarantines removes what a pull that was killed has left, and makes room for the next ones.
func (l Layout) emptyQuarantines() error {
	err := os.RemoveAll(l.quarantines())
	if err == nil {
		err = os.Mkdir(l.quarantines(), 0o700)
	}
	if err != nil {
		return fmt.Errorf("nodeside: making room to fetch: %w", err)
	}
	return nil
}

// quarantine makes a bare repository that has the node's objects and configuration, and neither
// refs nor hooks.
func (f *fetcher) quarantine() (gitcli.Repo, error) {
	dir, err := os.MkdirTemp(f.l.quarantines(), "remote-")
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "objects", "info"), 0o700)
	}
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "refs"), 0o700)
	}
	quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(filepath.Join(f.l.Repo(), "config"))
	for name, text := range map[string]string{
		"HEAD":                    "ref: refs/heads/none\n",
		"objects/info/alternates": filepath.Join(f.l.Repo(), "objects") + "\n",
		// Git reads the format of a repository from no included file.
		"config": "[core]\n\trepositoryFormatVersion = 1\n\tbare = true\n[extensions]\n\tobjectFormat = " + f.format + "\n[include]\n\tpath = \"" + quoted + "\"\n" +
			"[fetch]\n\tunpackLimit = 1\n", // one file, of which the size is limited
	} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)
		}
	}
	if err != nil {
		return gitcli.Repo{}, wayOut(fmt.Errorf("making room to fetch: %w", err))
	}
	git := f.git
	git.GitDir = dir
	return git, nil
}

// tooLarge reports whether what a quarantine has got is beyond the limit, or a file of it has been
// cut there: git does not say what became of the program that wrote it.
func (f *fetcher) tooLarge(git gitcli.Repo) bool {
	if f.most <= 0 {
		return false
	}
	var all int64
	cut := false
	_ = filepath.WalkDir(filepath.Join(git.GitDir, "objects"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // git may be at work there still: what it removes does not count
		}
		if info, err := e.Info(); err == nil {
			all += info.Size()
			cut = cut || info.Size() >= inBlocks(f.most)*fileBlock
		}
		return nil
	})
	return cut || all > f.most
}

// bring fetches the branch of a remote into a quarantine and from there to the remote's ref.
func (f *fetcher) bring(ctx context.Context, r *remote, branch string) error {
	git, err := f.quarantine()
	if err != nil {
		return err
	}
	defer os.RemoveAll(git.GitDir) // else the next pull does
	err = f.command(ctx, r, git, fetching(r.name, "+"+branch+":"+quarantinedRef)...)
	if f.tooLarge(git) {
		return fmt.Errorf("it sends more than %d bytes: receive.maxInputSize of the node's repository sets another limit", f.most)
	}
	if err != nil {
		return err
	}
	line, err := git.Line(ctx, "for-each-ref", "--format=%(objecttype) %(objectname)", quarantinedRef)
	if err != nil {
		return err
	}
	kind, oid, _ := strings.Cut(line, " ")
	if kind != "commit" {
		return fmt.Errorf("its %s is a %s, no commit", branch, kind)
	}
	if oid == r.before {
		return nil
	}
	checked, err := f.quarantine()
	if err != nil {
		return err
	}
	defer os.RemoveAll(checked.GitDir)
	if err := f.command(ctx, r, checked, fetching(git.GitDir, quarantinedRef+":"+quarantinedRef)...); err != nil {
		return err
	}
	if err := os.RemoveAll(git.GitDir); err != nil { // the disk need not have all three
		return fmt.Errorf("making room to fetch: %w", err)
	}
	return f.command(ctx, r, f.git, fetching(checked.GitDir, "+"+quarantinedRef+":"+r.ref())...)
}

// fetching is the command by which git fetches one ref, and nothing else: an empty --refmap, no tags,
// nothing pruned, whatever the configuration says.
func fetching(from, refspec string) []string {
	return []string{"fetch", "--quiet", "--no-tags", "--no-prune", "--refmap=", "--no-write-fetch-head",
		"--no-recurse-submodules", "--no-auto-gc", "--no-filter", "--upload-pack=git-upload-pack", "--", from, refspec}
}
