// Package python holds the Python module troops, which deploy.py imports, and
// puts it into virtualenvs together with the metadata that pip goes by.
package python

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed troops/*.py troops/py.typed
var module embed.FS

var versionLine = regexp.MustCompile(`(?m)^__version__ = "([0-9A-Za-z.+]+)"$`)

// Version is the version of the module and of troops itself, such as "0.1.0".
// It is written in troops/_version.py and nowhere else.
func Version() string {
	b, err := module.ReadFile("troops/_version.py")
	if err != nil {
		panic(err) // embedded, so it is there
	}
	m := versionLine.FindSubmatch(b)
	if m == nil {
		panic("python: no version in troops/_version.py")
	}
	return string(m[1])
}

// Digest identifies the module's content: SHA-256 in hexadecimal of its files and
// their names. Another digest means that virtualenvs with the module are outdated.
func Digest() string {
	h := sha256.New()
	for _, f := range files() {
		fmt.Fprintf(h, "%s %d\n", f.name, len(f.data))
		h.Write(f.data)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Install writes the module and its metadata below the site-packages directory
// site, which exists. pip then lists troops, finds a requirement such as
// troops>=0.1 satisfied, and could uninstall it.
func Install(site string) error {
	for _, f := range files() {
		name := filepath.Join(site, filepath.FromSlash(f.name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("python: installing the module: %w", err)
		}
		if err := os.WriteFile(name, f.data, 0o644); err != nil {
			return fmt.Errorf("python: installing the module: %w", err)
		}
	}
	return nil
}

type file struct {
	name string // below site-packages, with slashes
	data []byte
}

// files lists the module and its dist-info directory, in a fixed order. The
// format of the latter is the one of "Recording installed projects" (PEP 376, 627)
// and of the core metadata specification 2.1.
func files() []file {
	var out []file
	err := fs.WalkDir(module, "troops", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := module.ReadFile(name)
		out = append(out, file{name, data})
		return err
	})
	if err != nil {
		panic(err) // embedded, so it can be read
	}
	info := "troops-" + Version() + ".dist-info/"
	out = append(out,
		file{info + "INSTALLER", []byte("troops\n")},
		file{info + "METADATA", []byte("Metadata-Version: 2.1\nName: troops\nVersion: " + Version() +
			"\nSummary: Roles and deployable functions for deploy.py\nLicense: MIT\nRequires-Python: >=3.8\n")},
		file{info + "WHEEL", []byte("Wheel-Version: 1.0\nGenerator: troops " + Version() +
			"\nRoot-Is-Purelib: true\nTag: py3-none-any\n")},
		file{info + "top_level.txt", []byte("troops\n")},
	)
	var record strings.Builder
	for _, f := range out {
		sum := sha256.Sum256(f.data)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", f.name, base64.RawURLEncoding.EncodeToString(sum[:]), len(f.data))
	}
	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	return append(out, file{info + "RECORD", []byte(record.String())})
}
