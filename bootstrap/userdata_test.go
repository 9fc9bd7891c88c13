package bootstrap

import (
	"debug/elf"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestUserDataMistakes(t *testing.T) {
	own := filepath.Join(t.TempDir(), "troops")
	elfWrite(t, own, elf.EM_X86_64, nil)
	arm := filepath.Join(filepath.Dir(own), "dist", "troops-linux-arm64")
	good := UserData{URL: "https://example.com/troops-linux-{arch}", Programs: NewPrograms(own, own), User: "ubuntu"}
	for name, c := range map[string]struct {
		change func(*UserData)
		says   string
	}{
		"no URL":          {func(u *UserData) { u.URL = "" }, "https://... is wanted"},
		"a path":          {func(u *UserData) { u.URL = "/srv/troops" }, "https://... is wanted"},
		"another scheme":  {func(u *UserData) { u.URL = "ftp://example.com/troops" }, "https://... is wanted"},
		"a password":      {func(u *UserData) { u.URL = "https://me:secret@example.com/troops" }, "has a password"},
		"no user":         {func(u *UserData) { u.User = "-x; id" }, "bad user"},
		"no program":      {func(u *UserData) { u.Programs = NewPrograms(own+".gone", own) }, "reading the program"},
		"one URL for two": {func(u *UserData) { u.URL = "https://example.com/troops"; u.Programs = bothIn(t, own, arm) }, "write {arch} where"},
	} {
		u := good
		c.change(&u)
		if _, _, err := u.Script(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	script, missing, err := good.Script()
	if err != nil || len(missing) != 1 || missing[0] != "arm64" || len(script) > MaxUserData {
		t.Errorf("%d bytes, without %v, %v", len(script), missing, err)
	}
	good.Programs, good.Remotes = bothIn(t, own, arm), []Remote{{"origin", "ssh://git@example.com/it's$(id).git"}}
	if script, missing, err = good.Script(); err != nil || len(missing) != 0 || !strings.Contains(script, `it'\''s$(id).git`) {
		t.Errorf("without %v, %v:\n%.900s", missing, err, script)
	}
	check := exec.Command("sh", "-n")
	check.Stdin = strings.NewReader(script)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("the shell: %v\n%s", err, out)
	}
}

// bothIn finds a program for each architecture, as after make dist.
func bothIn(t *testing.T, own, arm string) *Programs {
	t.Helper()
	elfWrite(t, arm, elf.EM_AARCH64, nil)
	elfWrite(t, filepath.Join(filepath.Dir(arm), "troops-linux-amd64"), elf.EM_X86_64, nil)
	return NewPrograms("", own)
}
