package bootstrap

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// architectures are those of nodes that troops is built for, by uname's names for them.
var architectures = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}

// machines are the same as an executable's header has them.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// Programs are the troops programs that can be installed, each read once. It is safe for
// concurrent use.
type Programs struct {
	given string // the one to be used whatever the host
	own   string // the one that runs

	mu     sync.Mutex
	loaded map[string]*program
}

// NewPrograms finds programs: the given one for all hosts; if that is empty, own for hosts
// of this platform, and else dist/troops-linux-ARCH beside own or above it.
func NewPrograms(given, own string) *Programs {
	return &Programs{given: given, own: own, loaded: make(map[string]*program)}
}

// program is an executable for Linux as it is sent.
type program struct {
	arch   string
	sum    string // SHA-256 of the executable, in hexadecimal
	size   int64
	packed func() ([]byte, error) // by gzip, when it is first needed
}

// forArch gives the program for hosts of uname's architecture.
func (p *Programs) forArch(uname string) (*program, error) {
	arch := architectures[uname]
	if arch == "" {
		return nil, fmt.Errorf("there is no troops for its architecture %q: nodes are x86_64 or aarch64", uname)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if prog := p.loaded[arch]; prog != nil {
		return prog, nil
	}
	path, err := p.find(arch)
	if err != nil {
		return nil, err
	}
	prog, err := load(path, arch)
	if err != nil {
		return nil, err
	}
	p.loaded[arch] = prog
	return prog, nil
}

func (p *Programs) find(arch string) (string, error) {
	if p.given != "" {
		return p.given, nil
	}
	if runtime.GOOS == "linux" && runtime.GOARCH == arch {
		return p.own, nil
	}
	name := "troops-linux-" + arch
	dir := filepath.Dir(p.own)
	for _, path := range []string{filepath.Join(dir, "dist", name), filepath.Join(filepath.Dir(dir), "dist", name), filepath.Join(dir, name)} {
		if _, err := os.Stat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return path, err
		}
	}
	return "", fmt.Errorf("it needs troops for linux/%s, and this is troops for %s/%s: `make dist` builds dist/%s, or give one with --binary",
		arch, runtime.GOOS, runtime.GOARCH, name)
}

// load reads an executable and looks whether it is one for Linux on arch.
func load(path, arch string) (*program, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the program to install: %w", err)
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s is no program for Linux: %w", path, err)
	}
	if f.Machine != machines[arch] {
		return nil, fmt.Errorf("%s is a program for another architecture (%v), and the host is %s", path, f.Machine, arch)
	}
	sum := sha256.Sum256(data)
	prog := &program{arch: arch, sum: hex.EncodeToString(sum[:]), size: int64(len(data))}
	prog.packed = sync.OnceValues(func() ([]byte, error) { return pack(data) })
	return prog, nil
}

func pack(data []byte) ([]byte, error) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(data)
	if err == nil {
		err = w.Close()
	}
	return b.Bytes(), err
}
