package nodeside

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// How often a node pulls, in minutes, and the most by which systemd puts that off at random
// so that a fleet does not ask its remotes all at once.
const (
	pullMinutes   = 5
	jitterSeconds = 60
)

// pullService runs one pull. A run that could not get a unit of its own outlives it.
const pullService = `[Unit]
Description=Pull and deploy from the remotes of %[2]s
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart=%[1]s node pull
KillMode=process
`

const pullTimer = `[Unit]
Description=Pull and deploy regularly

[Timer]
OnBootSec=1min
OnUnitInactiveSec=%dmin
RandomizedDelaySec=%ds
AccuracySec=1s

[Install]
WantedBy=timers.target
`

// cronLine pulls where systemd does not run the machine. The minute differs from node to node.
const cronLine = `# Made by troops node init. Output is in the runs' logs; errors are mailed as cron does.
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
%d-59/%d * * * * root test -d /run/systemd/system || %s node pull >/dev/null
`

// machine is where a system's own files are; tests have another root.
type machine struct {
	root string // /
	// run does a command of systemd's.
	run func(ctx context.Context, args ...string) error
}

func thisMachine() machine {
	return machine{root: "/", run: func(ctx context.Context, args ...string) error {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, plain(string(out), maxReason))
		}
		return nil
	}}
}

func (m machine) path(p string) string { return filepath.Join(m.root, p) }

func (m machine) isDir(p string) bool {
	info, err := os.Stat(m.path(p))
	return err == nil && info.IsDir()
}

// hasSystemd reports whether systemd runs the machine (sd_booted(3)), or would if it were
// started from the disk, as an image will be.
func (m machine) hasSystemd() (booted, can bool) {
	booted = m.isDir("/run/systemd/system")
	for _, p := range []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd"} {
		if _, err := os.Stat(m.path(p)); err == nil {
			can = true
		}
	}
	return booted, booted || can
}

// makeTimer has the machine pull by itself: a timer for systemd, and a line for cron where
// systemd does not run now. What an administrator has masked or disabled stays so.
func (n *initer) makeTimer(ctx context.Context) error {
	booted, can := n.machine.hasSystemd()
	cron := n.machine.isDir("/etc/cron.d")
	if can {
		if err := n.makeUnits(ctx, booted); err != nil {
			return fmt.Errorf("nodeside: making the timer: %w", err)
		}
	}
	if !booted && cron {
		return n.writeFile(n.machine.path("/etc/cron.d/troops"), cronFile(n.binary, n.l.Key()), 0o644)
	}
	if !can && !cron {
		n.say("neither systemd nor cron is here: nothing pulls by itself; have something call: troops node pull")
	}
	return nil
}

// cronFile is the file for cron; its minute is chosen by the node's public key.
func cronFile(binary, key string) string {
	h := fnv.New32a()
	if public, err := os.ReadFile(key + ".pub"); err == nil {
		h.Write(public)
	}
	return fmt.Sprintf(cronLine, h.Sum32()%pullMinutes, pullMinutes, binary)
}

func (n *initer) makeUnits(ctx context.Context, booted bool) error {
	units := n.machine.path("/etc/systemd/system")
	if err := os.MkdirAll(filepath.Join(units, "timers.target.wants"), 0o755); err != nil {
		return err
	}
	timer := filepath.Join(units, "troops-pull.timer")
	_, err := os.Lstat(timer)
	first := errors.Is(err, fs.ErrNotExist)
	changed := false
	for path, text := range map[string]string{
		filepath.Join(units, "troops-pull.service"): fmt.Sprintf(pullService, n.binary, n.l.Repo()),
		timer: fmt.Sprintf(pullTimer, pullMinutes, jitterSeconds),
	} {
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			continue // masked
		}
		before := n.changed
		n.changed = false
		err := n.writeFile(path, text, 0o644)
		changed = changed || n.changed
		n.changed = n.changed || before
		if err != nil {
			return err
		}
	}
	if first {
		link := filepath.Join(units, "timers.target.wants", "troops-pull.timer")
		if err := os.Symlink("/etc/systemd/system/troops-pull.timer", link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if !booted || !changed {
		return nil
	}
	err = n.machine.run(ctx, "systemctl", "daemon-reload")
	if err == nil && first {
		err = n.machine.run(ctx, "systemctl", "start", "troops-pull.timer")
	}
	if err != nil { // the node is whole; systemd reads the files when it starts
		n.say("the timer for pulling begins with the next boot: %v", err)
	}
	return nil
}
