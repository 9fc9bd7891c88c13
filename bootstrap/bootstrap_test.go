package bootstrap

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestParseRemote(t *testing.T) {
	for _, c := range []struct{ in, why string }{
		{"origin=https://git.example.com/x.git", ""},
		{"a.b-c=git@git.example.com:x.git", ""},
		{"six=ssh://git@[2001:db8::1]/x.git", ""},
		{"here=/srv/it's/$(x);y=z.git", ""},
		{"user=https://me@git.example.com/x", ""},
		{"origin", "NAME=URL"},
		{"=https://x", "NAME=URL"},
		{"-x=https://x", "NAME=URL"},
		{"a b=https://x", "NAME=URL"},
		{"a/b=https://x", "NAME=URL"},
		{"origin=", "the URL"},
		{"origin=--upload-pack=x", "the URL"},
		{"origin=ext::sh", "the URL"},
		{"origin=ext::[x]", "the URL"},
		{"origin=::x", "the URL"},
		{"origin=https://x/\ny z", "the URL"},
		{"origin=https://me:secret@x/", "password"},
	} {
		r, err := ParseRemote(c.in)
		switch {
		case c.why == "" && (err != nil || r.Name+"="+r.URL != c.in):
			t.Errorf("%q: %+v, %v", c.in, r, err)
		case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%q: %v", c.in, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "ubuntu", "it's", "$(x) `y` \"z\" \\", "'", "a\nb", "DOM\\user"} {
		out, err := exec.Command("sh", "-c", "printf %s "+quote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q: %q, %v", s, out, err)
		}
	}
}

// A login's shell may be csh or fish: what it is given has one word in quotes that all shells
// read the same way.
func TestSendCommand(t *testing.T) {
	c := sendCommand("TOKEN", "abc")
	word, ok := strings.CutPrefix(strings.TrimSuffix(c, "'"), "-c '")
	if !ok || strings.ContainsAny(word, "'!\\\n") {
		t.Errorf("%s", c)
	}
}

// here has a script's paths in a directory of the test.
func here(t *testing.T, script string) (dir, moved string) {
	t.Helper()
	dir = t.TempDir()
	return dir, strings.NewReplacer("/usr/local/bin", dir, "/var/lib/troops", dir+"/var", "/etc/sudoers.d", dir).Replace(script)
}

// What was sent is stored if it is whole and as it was sent, and else nothing is.
func TestSendStores(t *testing.T) {
	data := bytes.Repeat([]byte("troops"), 1<<16)
	path := filepath.Join(t.TempDir(), "troops")
	elfWrite(t, path, elf.EM_X86_64, data)
	prog, err := load(path, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	packed, err := prog.packed()
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(packed)
	flipped[len(flipped)/2] ^= 1
	for _, c := range []struct {
		name  string
		input []byte
		sum   string
		ok    bool
	}{
		{"whole", packed, prog.sum, true},
		{"cut", packed[:len(packed)-9], prog.sum, false},
		{"nothing", nil, prog.sum, false},
		{"flipped", flipped, prog.sum, false},
		{"another", packed, strings.Repeat("0", 64), false},
	} {
		dir, command := here(t, "sh "+sendCommand("TOKEN", c.sum))
		cmd := exec.Command("sh", "-c", command)
		cmd.Stdin = bytes.NewReader(c.input)
		out, err := cmd.CombinedOutput()
		left, _ := os.ReadDir(dir)
		if (err == nil) != c.ok || len(left) > 0 != c.ok {
			t.Errorf("%s: %v, %d files: %s", c.name, err, len(left), out)
		}
	}
}

// A script that arrives in part does nothing at all.
func TestApplyCutShort(t *testing.T) {
	dir, script := here(t, "user=root\nnew=\nremotes=\n"+applyScript)
	marker := filepath.Join(dir, "ran")
	if err := os.WriteFile(filepath.Join(dir, "troops"), []byte("#!/bin/sh\n: >'"+marker+"'\necho nothing to change\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(text string) string {
		cmd := exec.Command("sh", "-s")
		cmd.Stdin = strings.NewReader(text)
		out, _ := cmd.Output() // half a script is an error, or not
		return string(out)
	}
	lines := strings.SplitAfter(script, "\n")
	for i := range lines {
		text := strings.Join(lines[:i], "")
		if text == script {
			break
		}
		out := run(text)
		if _, err := os.Stat(marker); err == nil || out != "" {
			t.Fatalf("the first %d lines do something: %s", i, out)
		}
	}
	if out := run(script); out != "init nothing to change\nended well\n" {
		t.Errorf("the whole script says %q", out)
	}
	if _, err := os.Stat(marker); err != nil {
		t.Error(err)
	}
}

// elfWrite makes a file that begins as a program for Linux does.
func elfWrite(t *testing.T, path string, machine elf.Machine, more []byte) {
	t.Helper()
	var b bytes.Buffer
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Ehsize: 64, Phentsize: 56, Shentsize: 64}
	copy(h.Ident[:], "\x7fELF\x02\x01\x01")
	if err := binary.Write(&b, binary.LittleEndian, h); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b.Bytes(), more...), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "bin", "troops")
	machine := machines[runtime.GOARCH]
	elfWrite(t, own, machine, nil)
	elfWrite(t, filepath.Join(dir, "dist", "troops-linux-arm64"), elf.EM_AARCH64, nil)
	elfWrite(t, filepath.Join(dir, "dist", "troops-linux-amd64"), elf.EM_X86_64, nil)
	given := filepath.Join(dir, "given")
	elfWrite(t, given, elf.EM_AARCH64, nil)
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ given, own, uname, arch, why string }{
		{"", own, "x86_64", "amd64", ""},
		{"", own, "aarch64", "arm64", ""},
		{"", own, "riscv64", "", "no troops for its architecture"},
		{"", own, "", "", "no troops for its architecture"},
		{given, own, "aarch64", "arm64", ""},
		{given, own, "x86_64", "", "another architecture"},
		{text, own, "x86_64", "", "no program for Linux"},
		{filepath.Join(dir, "none"), own, "x86_64", "", "no such file"},
		{"", "/nonexistent/bin/troops", map[string]string{"amd64": "aarch64", "arm64": "x86_64"}[runtime.GOARCH], "", "make dist"},
	} {
		prog, err := NewPrograms(c.given, c.own).forArch(c.uname)
		switch {
		case c.why == "" && (err != nil || prog.arch != c.arch || len(prog.sum) != 64):
			t.Errorf("%+v: %+v, %v", c, prog, err)
		case c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)):
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func FuzzFacts(f *testing.F) {
	f.Add("root yes\nbindir yes\nprogram 00ff 755 0:0\nspace tmpfs 100 50 50 50% /\n")
	f.Add("space x 1 1 99999999999999999999\nprogram\n\n \r\nleft remote --x\nfailed \x1b]0;x\x07\nerror")
	f.Fuzz(func(t *testing.T, text string) {
		m := facts(text)
		parseInstalled(m)
		for key, values := range m {
			if strings.ContainsAny(key, " \n") || strings.Contains(strings.Join(values, ""), "\n") {
				t.Errorf("%q: %q", key, values)
			}
		}
		if err := reason(text, os.ErrClosed); strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 5*maxReason {
			t.Errorf("%q", err)
		}
	})
}
