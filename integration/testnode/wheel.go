package testnode

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Wheel makes a pure Python wheel (PEP 427) of the .py files in src, and returns its file name
// and content. Name is the distribution's: PyDebianAdmin.
func Wheel(src fs.FS, name, version string) (string, []byte, error) {
	var sources []string
	err := fs.WalkDir(src, ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && path.Ext(p) == ".py" {
			sources = append(sources, p)
		}
		return err
	})
	if err == nil && len(sources) == 0 {
		err = fs.ErrNotExist
	}
	if err != nil {
		return "", nil, fmt.Errorf("testnode: wheel of %s: %w", name, err)
	}
	base := strings.ToLower(name) + "-" + version
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	var record strings.Builder
	add := func(p string, data []byte) error {
		f, err := w.Create(p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(data)
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", p, base64.RawURLEncoding.EncodeToString(sum[:]), len(data))
		_, err = f.Write(data)
		return err
	}
	for _, p := range sources {
		data, err := fs.ReadFile(src, p)
		if err != nil {
			return "", nil, fmt.Errorf("testnode: wheel of %s: %w", name, err)
		}
		if err := add(p, data); err != nil {
			return "", nil, fmt.Errorf("testnode: wheel of %s: %w", name, err)
		}
	}
	info := base + ".dist-info/"
	fmt.Fprintf(&record, "%sRECORD,,\n", info)
	for _, f := range []struct{ name, text string }{
		{"METADATA", fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)},
		{"WHEEL", "Wheel-Version: 1.0\nGenerator: testnode\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
	} {
		if err := add(info+f.name, []byte(f.text)); err != nil {
			return "", nil, fmt.Errorf("testnode: wheel of %s: %w", name, err)
		}
	}
	f, err := w.Create(info + "RECORD")
	if err == nil {
		_, err = f.Write([]byte(record.String()))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", nil, fmt.Errorf("testnode: wheel of %s: %w", name, err)
	}
	return base + "-py3-none-any.whl", buf.Bytes(), nil
}
