package testnode

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// dpkgStatus changes whenever the machine's packages do, and with them what tmux needs.
const dpkgStatus = "/var/lib/dpkg/status"

// aptRepository returns the files of a flat apt repository: tmux, what it needs and the
// machine has not, and their index. The packages come from the machine's configured mirrors
// and are kept below the user's cache directory for as long as the machine's packages stay
// the same, so only the first run needs network.
func aptRepository(ctx context.Context) (map[string][]byte, error) {
	status, err := os.ReadFile(dpkgStatus)
	if err != nil {
		return nil, fmt.Errorf("testnode: apt repository: this is no Debian machine: %w", err)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "troops-testnode")
	debs := filepath.Join(dir, fmt.Sprintf("apt-%x", sha256.Sum256(status)))
	if _, err := os.Stat(debs); errors.Is(err, fs.ErrNotExist) {
		err = downloadTmux(ctx, dir, debs)
		if err != nil {
			return nil, err
		}
	}
	return readRepository(ctx, debs)
}

// downloadTmux fills the directory debs, which appears whole or not at all. Others below dir
// are of packages that the machine no longer has, and go.
func downloadTmux(ctx context.Context, dir, debs string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("testnode: apt repository: %w", err)
	}
	tmp, err := os.MkdirTemp(dir, "new-")
	if err != nil {
		return fmt.Errorf("testnode: apt repository: %w", err)
	}
	defer os.RemoveAll(tmp)
	args := []string{
		"-q", "-y", "-o", "Dir::Cache=" + tmp, "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root",
		"install", "--no-install-recommends", "--download-only", "--reinstall", "tmux",
	}
	out, err := exec.CommandContext(ctx, "apt-get", args...).CombinedOutput()
	if err != nil {
		// A machine made from an image has no package lists, or old ones.
		if out, err := exec.CommandContext(ctx, "apt-get", "-q", "update").CombinedOutput(); err != nil {
			return fmt.Errorf("testnode: apt-get update: %w\n%s", err, out)
		}
		out, err = exec.CommandContext(ctx, "apt-get", args...).CombinedOutput()
	}
	if err != nil {
		return fmt.Errorf("testnode: fetching tmux, which needs a Debian mirror once: %w\n%s", err, out)
	}
	old, err := filepath.Glob(filepath.Join(dir, "apt-*"))
	if err != nil {
		return fmt.Errorf("testnode: apt repository: %w", err)
	}
	for _, o := range old {
		if o != debs {
			_ = os.RemoveAll(o) // another test may be doing the same
		}
	}
	err = os.Rename(filepath.Join(tmp, "archives"), debs)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("testnode: apt repository: %w", err)
	}
	return nil
}

// readRepository reads the packages in a directory and makes their index, which
// dpkg-scanpackages of dpkg-dev would make where it is installed.
func readRepository(ctx context.Context, debs string) (map[string][]byte, error) {
	names, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return nil, fmt.Errorf("testnode: apt repository: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("testnode: apt repository: no packages in %s: remove it and run again", debs)
	}
	files := map[string][]byte{}
	var index strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("testnode: apt repository: %w", err)
		}
		control, err := exec.CommandContext(ctx, "dpkg-deb", "--field", name).Output()
		if err != nil {
			return nil, fmt.Errorf("testnode: apt repository: reading %s: %w", name, err)
		}
		base := filepath.Base(name)
		files[base] = data
		fmt.Fprintf(&index, "%s\nFilename: ./%s\nSize: %d\nSHA256: %x\n\n",
			strings.TrimSpace(string(control)), base, len(data), sha256.Sum256(data))
	}
	files["Packages"] = []byte(index.String())
	return files, nil
}
