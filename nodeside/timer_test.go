package nodeside

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// testMachine is an initer for a machine in a directory that has these paths.
func testMachine(t *testing.T, paths ...string) (n *initer, commands *[]string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, p := range paths {
		if err := os.MkdirAll(filepath.Join(root, p), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	commands = new([]string)
	n = &initer{l: LayoutAt(""), binary: exe, out: new(bytes.Buffer)}
	n.machine = machine{root: root, run: func(_ context.Context, args ...string) error {
		*commands = append(*commands, strings.Join(args, " "))
		return nil
	}}
	return n, commands
}

func TestMakeTimer(t *testing.T) {
	const (
		booted = "/run/systemd/system"
		can    = "/usr/lib/systemd/systemd"
		cron   = "/etc/cron.d"
	)
	for _, test := range []struct {
		name        string
		paths       []string
		units, cron bool
		commands    []string
		said        string
	}{
		{"systemd runs", []string{booted, can, cron}, true, false, []string{"systemctl daemon-reload", "systemctl start troops-pull.timer"}, "troops-pull.timer"},
		{"an image", []string{can, cron}, true, true, nil, "cron.d/troops"},
		{"cron alone", []string{cron}, false, true, nil, "cron.d/troops"},
		{"neither", nil, false, false, nil, "neither systemd nor cron"},
	} {
		n, commands := testMachine(t, test.paths...)
		if err := n.makeTimer(t.Context()); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		exists := func(p string) bool { _, err := os.Lstat(n.machine.path(p)); return err == nil }
		for _, p := range []string{"/etc/systemd/system/troops-pull.timer", "/etc/systemd/system/troops-pull.service", "/etc/systemd/system/timers.target.wants/troops-pull.timer"} {
			if exists(p) != test.units {
				t.Errorf("%s: %s is there: %v", test.name, p, !test.units)
			}
		}
		if exists("/etc/cron.d/troops") != test.cron || !slices.Equal(*commands, test.commands) {
			t.Errorf("%s: cron %v, commands %q", test.name, !test.cron, *commands)
		}
		if out := n.out.(*bytes.Buffer); !strings.Contains(out.String(), test.said) {
			t.Errorf("%s: said %q", test.name, out)
		}
		n.changed, *commands = false, nil
		if err := n.makeTimer(t.Context()); err != nil || n.changed || len(*commands) > 0 {
			t.Errorf("%s: again: changed %v, commands %q, %v", test.name, n.changed, *commands, err)
		}
	}
}

// An administrator's decision is not undone by an upgrade.
func TestMakeTimerMasked(t *testing.T) {
	n, commands := testMachine(t, "/run/systemd/system")
	if err := n.makeTimer(t.Context()); err != nil {
		t.Fatal(err)
	}
	units := n.machine.path("/etc/systemd/system")
	timer, link := filepath.Join(units, "troops-pull.timer"), filepath.Join(units, "timers.target.wants/troops-pull.timer")
	if err := os.Remove(link); err != nil { // systemctl disable
		t.Fatal(err)
	}
	n.binary, *commands = n.binary+"2", nil
	if err := n.makeTimer(t.Context()); err != nil || !slices.Equal(*commands, []string{"systemctl daemon-reload"}) {
		t.Errorf("an upgrade: %v, commands %q", err, *commands)
	}
	if _, err := os.Lstat(link); err == nil {
		t.Error("it has been enabled again")
	}
	if err := os.Remove(timer); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", timer); err != nil { // systemctl mask
		t.Fatal(err)
	}
	if err := n.makeTimer(t.Context()); err != nil {
		t.Error(err)
	}
	if to, err := os.Readlink(timer); err != nil || to != "/dev/null" {
		t.Errorf("the mask is %q, %v", to, err)
	}
}

// systemd takes the units as they are, without a warning.
func TestUnitsVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		if ci := os.Getenv("CI"); ci != "" && ci != "false" {
			t.Fatal("no systemd-analyze: run integration/setup.sh")
		}
		t.Skip("no systemd-analyze")
	}
	n, _ := testMachine(t, "/run/systemd/system")
	if err := n.makeTimer(t.Context()); err != nil {
		t.Fatal(err)
	}
	verify := func() string {
		cmd := exec.Command(analyze, "verify", "--man=no", "troops-pull.service", "troops-pull.timer")
		cmd.Dir = n.machine.path("/etc/systemd/system")
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+cmd.Dir+":", "SYSTEMD_LOG_LEVEL=warning")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return err.Error() + ": " + string(out)
		}
		var ours []string // not what it says of the machine's own units
		for line := range strings.SplitSeq(string(out), "\n") {
			if strings.Contains(line, "troops") {
				ours = append(ours, line)
			}
		}
		return strings.Join(ours, "\n")
	}
	if said := verify(); said != "" {
		t.Error(said)
	}
	timer := n.machine.path("/etc/systemd/system/troops-pull.timer")
	text, err := os.ReadFile(timer)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "RandomizedDelaySec=60s\n") {
		t.Errorf("no jitter in\n%s", text)
	}
	if err := os.WriteFile(timer, bytes.ReplaceAll(text, []byte("RandomizedDelaySec="), []byte("RandomDelaySec=")), 0o644); err != nil {
		t.Fatal(err)
	}
	if verify() == "" {
		t.Error("a mistake in a unit was not seen, so this test is worth nothing")
	}
}

// The line for cron is one that cron takes: five fields, a user, a command.
func TestCronFile(t *testing.T) {
	n := newTestNode(t)
	text := cronFile("/usr/local/bin/troops", n.l.Key())
	if text != cronFile("/usr/local/bin/troops", n.l.Key()) {
		t.Error("it differs from time to time")
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	fields := strings.Fields(lines[len(lines)-1])
	if !strings.HasSuffix(fields[0], "-59/5") || !slices.Equal(fields[1:6], []string{"*", "*", "*", "*", "root"}) || strings.Contains(text, "%") {
		t.Errorf("%q", lines)
	}
	command := strings.Join(fields[6:], " ")
	if out, err := exec.Command("sh", "-n", "-c", command).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", command, err, out)
	}
	minutes := map[byte]bool{}
	for i := range 40 {
		key := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(key+".pub", []byte{byte(i)}, 0o600); err != nil {
			t.Fatal(err)
		}
		minutes[strings.Split(cronFile("x", key), "\n")[2][0]] = true
	}
	if len(minutes) != pullMinutes {
		t.Errorf("40 nodes pull in %d different minutes of %d", len(minutes), pullMinutes)
	}
}
