package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Program is an ssh program that the user has git use: GIT_SSH_COMMAND, core.sshCommand or GIT_SSH.
type Program struct {
	Command string // a command line where Shell, else the path or name of a program
	Shell   bool   // whether Command is for sh
	Variant string // as ssh.variant in git-config(1); empty where that is not set
	Source  string // where it is set, for messages, such as "GIT_SSH_COMMAND"
}

// The variants of programs by how they take their options (ssh.variant in git-config(1)).
const (
	variantSSH    = "ssh"
	variantSimple = "simple"
	variantPlink  = "plink"
	variantPutty  = "putty"
	variantTPlink = "tortoiseplink"
	variantAuto   = "auto"
)

// The exit statuses of a shell that could not run a command.
const (
	notExecutable = 126
	notFound      = 127
)

// program is how an ssh program is run.
type program struct {
	Program
	args   []string // before all others: -F FILE
	system bool     // it is the ssh of this machine: the configuration read here is its own

	mu      sync.Mutex
	variant string // once it is known
	forks   *bool  // whether it knows ForkAfterAuthentication, once that is known

	hops   int                          // how many jump hosts of its own stand before it
	jumps  memo[impliedJump, string]    // see impliedJump.guarded
	guards memo[Target, guardedProgram] // see Client.guarded
}

// command prepares the program with args, which are never part of a shell's text.
func (p *program) command(args ...string) *exec.Cmd {
	args = append(p.args[:len(p.args):len(p.args)], args...)
	if p.Shell {
		return exec.Command("/bin/sh", append([]string{"-c", p.Command + ` "$@"`, p.Command}, args...)...)
	}
	return exec.Command(p.Command, args...)
}

// ask runs the program for an answer about itself, to out, which may be nil, or in what it says.
func (p *program) ask(ctx context.Context, out io.Writer, args ...string) (said string, status int, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, sshGTimeout, &TimeoutError{What: "it did not answer", After: sshGTimeout.String()})
	defer cancel()
	cmd := p.command(args...)
	cmd.Stdout = out
	c, err := startChild(cmd, nil)
	if err != nil {
		return "", -1, programMissing(err)
	}
	defer c.stop()
	select {
	case <-c.exited:
	case <-ctx.Done():
		return "", -1, context.Cause(ctx)
	}
	return c.said(), c.status(), nil
}

// kind finds out how the program takes its options, as git does: by what the user says, by its
// name, or by whether it takes `-G` for a host.
func (p *program) kind(ctx context.Context, t Target) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.variant == "" {
		v := declaredVariant(p.Program)
		if v == variantAuto {
			args := []string{"-G"}
			if t.Port != 0 {
				args = append(args, "-p", strconv.Itoa(t.Port))
			}
			said, status, err := p.ask(ctx, nil, append(args, t.login())...)
			switch {
			case err != nil:
				return "", err
			case p.Shell && (status == notFound || status == notExecutable):
				return "", errors.New(printable(said))
			case status == 0:
				v = variantSSH
			default:
				v = variantSimple
			}
		}
		p.variant = v
	}
	return p.variant, nil
}

// declaredVariant is the variant by the user's word or by the program's name, or variantAuto.
func declaredVariant(p Program) string {
	switch v := p.Variant; v {
	case variantSimple, variantPlink, variantPutty, variantTPlink:
		return v
	case "", variantAuto:
	default:
		return variantSSH
	}
	name := p.Command
	if p.Shell {
		first, _, err := oneArg(strings.TrimLeft(name, " \t\n"))
		if err != nil {
			return variantAuto
		}
		name = first
	}
	switch name = strings.TrimSuffix(strings.ToLower(filepath.Base(name)), ".exe"); name {
	case variantSSH, variantPlink, variantTPlink:
		return name
	}
	return variantAuto
}

// knowsFork reports whether the program can be told not to go into the background, which it
// must know, or refuses.
func (p *program) knowsFork(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.forks == nil {
		said, _, err := p.ask(ctx, nil, "-V")
		if err != nil {
			return true // the start will tell
		}
		knows := !olderThan(said, 8, 7)
		p.forks = &knows
	}
	return *p.forks
}

var opensshVersion = regexp.MustCompile(`OpenSSH_(\d{1,4})\.(\d{1,4})`)

// olderThan reports whether `ssh -V` has said an older version than that. Unknown ones are new.
func olderThan(said string, major, minor int) bool {
	m := opensshVersion.FindStringSubmatch(said)
	if m == nil {
		return false
	}
	x, _ := strconv.Atoi(m[1]) // digits, by the pattern
	y, _ := strconv.Atoi(m[2])
	return x < major || x == major && y < minor
}

// commandArgs are the arguments for one command on a host, by variant. git appends them the
// same way.
func (p *program) commandArgs(variant string, t Target, cmd string) ([]string, error) {
	var args []string
	port := strconv.Itoa(t.Port)
	switch {
	case variant == variantTPlink:
		args = append(args, "-batch")
		fallthrough
	case variant == variantPlink, variant == variantPutty:
		if t.Port != 0 {
			args = append(args, "-P", port)
		}
	case t.Port != 0:
		return nil, cannotTake(variant, "port")
	}
	if len(p.args) > 0 {
		return nil, cannotTake(variant, "ssh configuration file")
	}
	return append(args, t.login(), cmd), nil
}

func cannotTake(variant, what string) error {
	return fmt.Errorf("a program of variant %q takes no %s: set that up there, say what it is in git config ssh.variant, or leave it with --transport native", variant, what)
}

// seconds is a limit as an option of ssh: whole, and at least one.
func seconds(d time.Duration) string { return strconv.Itoa(int(max(1, (d+time.Second-1)/time.Second))) }

// forcedOptions go before whatever the user's configuration says: no forwarding of any kind,
// nothing run here or there, nothing in the background.
var forcedOptions = []string{
	"ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "Tunnel=no", "PermitLocalCommand=no",
	"RemoteCommand=none", "RequestTTY=no", "ControlPersist=no",
}

// masterArgs are the arguments that have OpenSSH connect to a host and wait at a control socket.
func (p *program) masterArgs(r *route, socket string, o masterOptions) []string {
	// Errors in words, but not those of the server: a banner could have it that the jump host has failed.
	args := []string{"-M", "-N", "-T", "-a", "-x", "-n", "-S", socket, "-o", "LogLevel=ERROR"}
	args = append(args, o.args(r.s)...)
	if p.system && r.jump != nil {
		args = append(args, "-o", "ProxyUseFdpass=no", "-o", "ProxyCommand="+p.jumpCommand(r.jump, o))
	}
	return append(args, r.target.args()...)
}

// args are the options of a connection to a host with these settings.
func (o masterOptions) args(s *settings) (args []string) {
	options := forcedOptions[:len(forcedOptions):len(forcedOptions)]
	if o.batch {
		options = append(options, "BatchMode=yes")
	}
	if o.fork {
		options = append(options, "ForkAfterAuthentication=no")
	}
	switch {
	case o.readOnly:
		options = append(options, "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "CheckHostIP=no")
	case s.StrictHostKey == "no":
		options = append(options, "StrictHostKeyChecking=accept-new") // the same, but a changed key is none
	}
	options = append(options, "ConnectTimeout="+seconds(o.connect),
		"ServerAliveInterval="+seconds(o.interval), "ServerAliveCountMax="+strconv.Itoa(o.count))
	for _, option := range options {
		args = append(args, "-o", option)
	}
	return args
}

// args are the last arguments of ssh: whom to reach.
func (t Target) args() (args []string) {
	if t.User != "" {
		args = append(args, "-l", t.User)
	}
	if t.Port != 0 {
		args = append(args, "-p", strconv.Itoa(t.Port))
	}
	return append(args, "--", t.Name)
}

// masterOptions are what differs from one master to another.
type masterOptions struct {
	batch    bool // nobody may be asked
	fork     bool // it knows ForkAfterAuthentication
	readOnly bool // known_hosts must not be written
	connect  time.Duration
	interval time.Duration
	count    int
}

// sshArgs is a target as words of a shell, for a person to give to ssh.
func (t Target) sshArgs() string {
	if t.Port != 0 {
		return "-p " + strconv.Itoa(t.Port) + " " + shellWord(t.login())
	}
	return shellWord(t.login())
}

// login is a target without its port.
func (t Target) login() string {
	if t.User != "" {
		return t.User + "@" + t.Name
	}
	return t.Name
}

// canAsk reports whether ssh finds a way to ask a person without a terminal.
func canAsk(env func(string) string) bool {
	display := env("DISPLAY") != "" || env("WAYLAND_DISPLAY") != ""
	require := env("SSH_ASKPASS_REQUIRE")
	return env("SSH_ASKPASS") != "" && require != "never" && (display || require == "force" || require == "prefer")
}
