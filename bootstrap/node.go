package bootstrap

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"troops/doctor"
	"troops/push"
	"troops/sshx"
)

//go:embed look.sh
var lookScript string

//go:embed packages.sh
var packagesScript string

//go:embed apply.sh
var applyScript string

// node makes a node of one host.
type node struct {
	shell
	o       Options
	result  Result
	machine *doctor.Machine
	undo    []string // of what was done so far
}

func (n *node) changed(format string, args ...any) {
	n.result.Changes = append(n.result.Changes, fmt.Sprintf(format, args...))
}

// fail is the error of a step. What was done before stays on the host, so it goes along.
func (n *node) fail(step string, err error, hint string) error {
	return &Error{Host: n.host, Step: step, Err: err, Hint: hint, Undo: n.undo}
}

func (n *node) bootstrap(ctx context.Context) error {
	var err error
	if n.conn, err = n.o.Dial(ctx, n.host); err != nil {
		return err // it names the host and the way out
	}
	defer func() { n.conn.Close() }() // of nothing that is not settled
	if err := n.ask(ctx); err != nil {
		return n.fail("looking at the host", err, "`troops doctor "+n.host+"` shows more")
	}
	if f := n.machine.Finding(doctor.TopicSystem); f.Level == doctor.Bad {
		return n.fail("system", errors.New(f.Text), f.Hint)
	}
	prog, err := n.o.Programs.forArch(n.machine.Arch())
	if err != nil {
		return n.fail("architecture", err, "")
	}
	there, err := n.look(ctx)
	if err != nil {
		return err
	}
	if err := n.requirements(ctx); err != nil {
		return err
	}
	token := ""
	if there.sum != prog.sum || !there.inOrder {
		token = rand.Text()
		if err := n.send(ctx, prog, token, there); err != nil {
			return err
		}
	}
	joined, err := n.apply(ctx, token)
	if err != nil {
		return err
	}
	return n.verify(ctx, joined)
}

// ask has the host say what it is.
func (n *node) ask(ctx context.Context) error {
	ctx, release := n.within(ctx, LookTimeout)
	defer release()
	m, err := doctor.Ask(ctx, n.conn)
	switch {
	case err == nil:
		n.machine = m
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return err
}

// errNotNode is a repository that takes pushes without being a node's.
var errNotNode = errors.New("the repository is there, but it is no node's")

// installed is what of the program there is on a host.
type installed struct {
	sum     string
	inOrder bool  // root's, and everybody may run it
	free    int64 // bytes where it is to be; below 0 where that is not known
}

// look finds out whether the login may do as root, and what is there.
func (n *node) look(ctx context.Context) (installed, error) {
	text, err := n.script(ctx, LookTimeout, lookScript)
	m := facts(text.out)
	if len(m["root"]) == 0 {
		if err == nil {
			err = errors.New("no answer")
		}
		if n.conn.User() == "root" {
			return installed{}, n.fail("looking at the host", reason(text.err, err), "")
		}
		var exit *sshx.ExitError
		hint := "let " + n.conn.User() + " use sudo without a password (a line `" + n.conn.User() + " ALL=(ALL) NOPASSWD: ALL` by visudo), or log in as root"
		if !errors.As(err, &exit) {
			hint = ""
		}
		return installed{}, n.fail("sudo", reason(text.err, err), hint)
	}
	if err != nil {
		return installed{}, n.fail("looking at the host", reason(text.err, err), "")
	}
	if len(m["bindir"]) == 0 {
		return installed{}, n.fail("looking at the host", errors.New("there is no directory /usr/local/bin"), "make it: mkdir /usr/local/bin")
	}
	return parseInstalled(m), nil
}

// parseInstalled reads the lines of look.sh.
func parseInstalled(m map[string][]string) installed {
	there := installed{free: -1}
	if len(m["program"]) > 0 {
		sum, rest, _ := strings.Cut(m["program"][0], " ")
		there.sum, there.inOrder = sum, rest == "755 0:0"
	}
	if len(m["space"]) > 0 {
		// POSIX: name, blocks of 1024 bytes in all, used, available
		if f := strings.Fields(m["space"][0]); len(f) > 3 {
			if kib, err := strconv.ParseInt(f[3], 10, 53); err == nil && kib >= 0 {
				there.free = kib << 10
			}
		}
	}
	return there
}

// requirements looks for git and python, and has them installed where that is asked for.
func (n *node) requirements(ctx context.Context) error {
	if f := n.machine.Finding(doctor.TopicDisk); f.Level != doctor.Good {
		n.result.Notes = append(n.result.Notes, "disk: "+f.Text)
	}
	packages := n.machine.Missing()
	if len(packages) > 0 && n.o.InstallPackages {
		names := strings.Join(packages, " ")
		n.o.Say(n.host, "installing "+names)
		text, err := n.script(ctx, PackageTimeout, packagesScript, "packages", names)
		aerr := n.ask(ctx) // after a failure, too: some may be there now
		got := slices.DeleteFunc(packages, func(name string) bool { return slices.Contains(n.machine.Missing(), name) })
		if len(got) > 0 {
			n.changed("installed packages %s", strings.Join(got, " "))
			n.undo = append(n.undo, "apt-get remove "+strings.Join(got, " "))
		}
		if err != nil {
			return n.fail("installing "+names, reason(text.err, err), "")
		}
		if aerr != nil {
			return n.fail("looking at the host", aerr, "")
		}
	}
	for _, topic := range []string{doctor.TopicGit, doctor.TopicPython} {
		f := n.machine.Finding(topic)
		if f.Level == doctor.Good {
			continue
		}
		hint := f.Hint
		if hint != "" && !n.o.InstallPackages {
			hint = "--install-packages installs it; or " + hint
		}
		return n.fail(topic, errors.New(f.Text), hint)
	}
	return nil
}

// sendCommand stores a program from standard input beside where it is to be, if it comes as
// it was sent. It is one word of any login's shell: no quotes, exclamation marks, backslashes
// or line feeds. Token and sum are letters and digits.
func sendCommand(token, sum string) string {
	f := "/usr/local/bin/.troops-" + token
	return `-c 'trap "rm -f ` + f + `" HUP INT TERM; umask 077; ` +
		`if gzip -dc >` + f + ` && echo "` + sum + `  ` + f + `" | sha256sum -c >/dev/null; then exit 0; fi; rm -f ` + f + `; exit 1'`
}

// send brings the program to the host, not yet under its name.
func (n *node) send(ctx context.Context, prog *program, token string, there installed) error {
	if there.free >= 0 && there.free < prog.size {
		return n.fail("disk", fmt.Errorf("%d MB are free in /usr/local/bin, troops has %d MB", there.free>>20, prog.size>>20), "make room there")
	}
	packed, err := prog.packed()
	if err != nil {
		return n.fail("packing the program", err, "")
	}
	n.o.Say(n.host, fmt.Sprintf("sending troops for linux/%s, %d MB", prog.arch, len(packed)>>20))
	text, err := n.run(ctx, UploadStall, n.root()+sendCommand(token, prog.sum), bytes.NewReader(packed))
	if err != nil {
		return n.fail("sending the program", reason(text.err, err), "")
	}
	return nil
}

// apply has the host become a node; joined says that the login was not of the group before.
func (n *node) apply(ctx context.Context, token string) (joined bool, err error) {
	text, err := n.script(ctx, ApplyTimeout, applyScript, "user", n.conn.User(), "new", token, "remotes", remoteLines(n.o.Remotes))
	m := facts(text.out)
	for _, what := range m["left"] {
		if command := n.undoing(what); command != "" && !slices.Contains(n.undo, command) {
			n.undo = append(n.undo, command)
		}
	}
	slices.Reverse(n.undo)
	if len(m["failed"]) > 0 {
		return false, n.fail(m["failed"][0], reason(strings.Join(m["error"], "\n"), err), "")
	}
	if err != nil || len(m["ended"]) == 0 {
		if err == nil {
			err = errors.New("no answer")
		}
		if token != "" {
			n.undo = append(n.undo, "rm -f /usr/local/bin/.troops-"+token)
		}
		return false, n.fail("installing", reason(text.err, err), "what was begun there comes to its end by itself: bootstrap the host again to see it")
	}
	for line := range strings.Lines(text.out) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch {
		case key == "did":
			joined = joined || strings.HasPrefix(value, "added ") && strings.HasSuffix(value, " to group troops")
			n.changed("%s", value)
		case key != "init" || value == "nothing to change" || value == "":
		case strings.HasPrefix(value, "sudo is not installed"):
			n.result.Notes = append(n.result.Notes, value)
		case strings.HasPrefix(value, "made group"): // it gives rights
			n.changed("%s", value)
		default:
			n.result.Details = append(n.result.Details, value)
		}
	}
	return joined, nil
}

// undoing is the command that takes back what apply.sh has left: its words, and no others.
func (n *node) undoing(what string) string {
	if name, ok := strings.CutPrefix(what, "remote "); ok && remoteName.MatchString(name) {
		return "git --git-dir=/var/lib/troops/repo/main.git remote remove " + name
	}
	return map[string]string{
		"program":  "rm /usr/local/bin/troops",
		"group":    "groupdel troops",
		"member":   "gpasswd -d " + quote(n.conn.User()) + " troops",
		"sudoers":  "rm /etc/sudoers.d/troops",
		"safe":     `git config --system --unset-all safe.directory '^/var/lib/troops/repo/main\.git$'`,
		"dir":      "rm -r /var/lib/troops",
		"contents": "find /var/lib/troops -mindepth 1 -delete",
	}[what]
}

// verify looks at the repository as a push does: by a new connection where the login has
// joined the group, which only a new login shows.
func (n *node) verify(ctx context.Context, joined bool) error {
	kept := !strings.HasPrefix(n.conn.Transport(), "native")
	if joined {
		n.conn.Close() // all that was asked of it is settled
		conn, err := n.o.Dial(ctx, n.host)
		if err != nil {
			return n.fail("looking at the new node", err, "")
		}
		n.conn = conn
	}
	ctx, release := n.within(ctx, LookTimeout)
	defer release()
	look, err := push.LookAt(ctx, push.SSHConn(n.conn), push.DefaultRepoPath)
	switch {
	case err == nil && look.Troops:
		return nil
	case err == nil:
		err = errNotNode
	case joined && kept:
		n.result.Notes = append(n.result.Notes, "the connection that ssh keeps open has the groups from before: a push works once `ssh -O exit` has ended it")
		return nil
	}
	hint := cmp.Or(push.Upgrade(err, n.host, push.DefaultRepoPath), "everything is installed: `troops doctor "+n.host+"` shows more")
	return n.fail("looking at the new node", err, hint)
}
