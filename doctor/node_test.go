package doctor

import (
	"os/exec"
	"strings"
	"testing"

	"troops/nodeside/python"
)

// healthy are the script's lines on a node where nothing is missing.
const healthy = `system Linux 6.1.0 x86_64
release Debian GNU/Linux 12 (bookworm)
login ubuntu in ubuntu troops
git git version 2.39.5
python Python 3.11.2
venv yes
troops troops VERSION
node yes
disk /dev/vda1 20480000 8192000 12288000 40% /
inodes /dev/vda1 1310720 100000 1210720 8% /
`

func TestTell(t *testing.T) {
	for _, c := range []struct {
		name          string
		change        func(answers)
		topic         string
		level         Level
		text, hint    string
		thatManyWrong int
	}{
		{"well", func(answers) {}, "disk", Good, "11 GB free of 19 GB, 1210720 inodes free", "", 0},
		{"not linux", func(a answers) { a["system"] = "Darwin 23 arm64" }, "system", Bad, "Darwin", "Linux", 1},
		{"no git", func(a answers) { delete(a, "git") }, "git", Bad, "not installed", "apt-get install git", 1},
		{"old git", func(a answers) { a["git"] = "git version 2.20.1" }, "git", Bad, "needs 2.29", "", 1},
		{"strange git", func(a answers) { a["git"] = "hub" }, "git", Bad, "not understood", "", 1},
		{"no python", func(a answers) { delete(a, "python") }, "python", Warn, "not installed", "python3-venv", 0},
		{"no venv", func(a answers) { delete(a, "venv") }, "python", Warn, "without venv", "python3-venv", 0},
		{"no troops", func(a answers) { delete(a, "troops"); delete(a, "node") }, "troops", Warn, "not installed", "troops bootstrap", 0},
		{"hidden troops", func(a answers) { delete(a, "troops") }, "troops", Warn, "PATH", "", 0},
		{"other troops", func(a answers) { a["troops"] = "troops 99.0" }, "troops", Warn, "99.0, here it is " + python.Version(), "same version", 0},
		{"signatures", func(a answers) { a["verify"] = "strict" }, "signatures", Good, "troops.verify is strict", "", 0},
		{"full disk", func(a answers) { a["disk"] = "tmpfs 100 99 1 99% /x" }, "disk", Warn, "nearly full", "room", 0},
		{"no inodes left", func(a answers) { a["inodes"] = "x 100000 99999 1 99% /x" }, "disk", Warn, "nearly full", "room", 0},
		{"no inodes at all", func(a answers) { a["inodes"] = "btrfs 0 0 0 - /x" }, "disk", Good, "11 GB free of 19 GB", "", 0},
		{"no df", func(a answers) { delete(a, "disk") }, "disk", Warn, "not known", "", 0},
		{"absurd df", func(a answers) { a["disk"] = "x 1 1 99999999999999999999 x" }, "disk", Warn, "not known", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := parseAnswers(strings.ReplaceAll(healthy, "VERSION", python.Version()))
			c.change(a)
			var r Report
			a.tell(&r)
			wrong := 0
			for _, f := range r.Findings {
				if f.Level == Bad {
					wrong++
				}
				if f.Topic == c.topic && (f.Level != c.level || !strings.Contains(f.Text, c.text) || !strings.Contains(f.Hint, c.hint)) {
					t.Errorf("%+v", f)
				}
			}
			if wrong != c.thatManyWrong || r.Well() != (wrong == 0) {
				t.Errorf("%d findings are bad: %+v", wrong, r.Findings)
			}
		})
	}
}

// The script runs in the system's own shell, and answers here.
func TestScript(t *testing.T) {
	cmd := exec.Command("sh", "-s")
	cmd.Stdin = strings.NewReader("repo='/nonexistent/it'\\''s/main.git'\n" + script)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	a := parseAnswers(string(out))
	for _, key := range []string{"system", "login", "git", "python", "disk", "inodes"} {
		if a[key] == "" {
			t.Errorf("no answer to %s: %s", key, out)
		}
	}
	if _, ok := column(a["disk"], 3); !ok {
		t.Errorf("disk: %q", a["disk"])
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(healthy)
	f.Add("disk \x1b]0;x\x07 -1 NaN 1e9\n\n\r\n git")
	f.Fuzz(func(t *testing.T, text string) {
		var r Report
		parseAnswers(text).tell(&r)
		if n := len(r.Findings); n != 6 && n != 7 {
			t.Errorf("%d findings", n)
		}
	})
}
