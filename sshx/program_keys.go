package sshx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// keyRules are what an ssh program does about host keys for one host, by its own word: `-G`.
type keyRules struct {
	values map[string]string // by keyword in lower case
	jump   *impliedJump      // what it runs for its ProxyJump; nil for none
}

// option is a setting of ssh.
type option struct{ name, value string }

func (o option) String() string { return o.name + "=" + o.value }

// impliedJump is the ProxyCommand that ssh makes of a ProxyJump. It hands on nothing of its
// own command line but -F.
type impliedJump struct {
	program string // with the options -l and -p
	before  string // -J with the jump hosts before; may be empty
	config  string // -F; may be empty
	host    string
}

var (
	impliedWords = regexp.MustCompile(`(?m)^debug1: Setting implicit ProxyCommand from ProxyJump: (.*?)\r?$`)
	impliedForm  = regexp.MustCompile(`^(\S+(?: -l \S+)?(?: -p \d+)?)( -J \S+)?( -F .*?)? -v+ -W '\[%h\]:%p' (\S+)$`)
)

// keyRules asks the program what it would do with args.
func (p *program) keyRules(ctx context.Context, args []string) (*keyRules, error) {
	var out bytes.Buffer
	said, status, err := p.ask(ctx, &out, append([]string{"-G", "-v"}, args...)...)
	if err != nil {
		return nil, err
	}
	if status != 0 {
		return nil, fmt.Errorf("it does not say what it would do (-G): it said %s", quote(lastOf(withoutDebug(said))))
	}
	rules := &keyRules{values: make(map[string]string)}
	for line := range strings.Lines(out.String()) {
		keyword, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		rules.values[strings.ToLower(keyword)] = value
	}
	if jumps := rules.values["proxyjump"]; jumps == "" || strings.EqualFold(jumps, "none") {
		return rules, nil
	}
	words := impliedWords.FindStringSubmatch(said)
	if words == nil {
		return nil, errors.New("it does not say how it reaches its jump host")
	}
	form := impliedForm.FindStringSubmatch(words[1])
	if form == nil {
		return nil, fmt.Errorf("how it reaches its jump host is not understood: %s", quote(words[1]))
	}
	rules.jump = &impliedJump{program: form[1], before: form[2], config: form[3], host: form[4]}
	return rules, nil
}

// withoutDebug is what a program said without what -v adds.
func withoutDebug(said string) string {
	var b strings.Builder
	for line := range strings.Lines(said) {
		if !strings.HasPrefix(line, "debug1: ") && !strings.HasPrefix(line, "OpenSSH_") {
			b.WriteString(line)
		}
	}
	return strings.TrimSpace(b.String())
}

// wanted are the settings that the rules need to have so that a changed key never goes on and,
// where readOnly, known_hosts is not written. What is as strict stays as it is.
func (k *keyRules) wanted(readOnly bool) (want []option) {
	strict, err := parseStrictness(k.values["stricthostkeychecking"])
	switch {
	case readOnly:
		if strict != "yes" {
			want = append(want, option{"StrictHostKeyChecking", "yes"})
		}
		for _, name := range []string{"UpdateHostKeys", "CheckHostIP"} { // both add keys to known_hosts
			if v, ok := k.values[strings.ToLower(name)]; ok && v != "no" && v != "false" {
				want = append(want, option{name, "no"})
			}
		}
	case err != nil || strict == "no":
		want = append(want, option{"StrictHostKeyChecking", "accept-new"}) // the same, but a changed key is none
	}
	return want
}

// wanted are the options that the program needs to be given besides args, those of the jump
// hosts that it goes through by itself included.
func (p *program) wanted(ctx context.Context, args []string, readOnly bool) (*keyRules, []option, error) {
	rules, err := p.keyRules(ctx, args)
	if err != nil {
		return nil, nil, err
	}
	want := rules.wanted(readOnly)
	if rules.jump == nil {
		return rules, want, nil
	}
	command, err := p.jumps.get(ctx, *rules.jump, func(ctx context.Context) (string, error) { return rules.jump.guarded(ctx, p.hops+1, readOnly) })
	if err != nil {
		return nil, nil, fmt.Errorf("jump host %s: %w", printable(rules.jump.host), err)
	}
	if command != "" {
		want = append(want, option{"ProxyUseFdpass", "no"}, option{"ProxyCommand", command})
	}
	return rules, want, nil
}

// guarded is the command with the options that it needs; empty where it needs none.
func (j *impliedJump) guarded(ctx context.Context, hops int, readOnly bool) (string, error) {
	if hops > maxHops {
		return "", fmt.Errorf("more than %d jump hosts in a row", maxHops)
	}
	p := &program{Program: Program{Command: j.program + j.before + j.config, Shell: true}, hops: hops}
	_, want, err := p.wanted(ctx, []string{j.host}, readOnly)
	if err != nil || len(want) == 0 {
		return "", err
	}
	words, before := "", j.before
	for _, o := range want {
		if o.name == "ProxyCommand" {
			before = "" // this is in its place
		}
		words += " -o " + escapeWord(strings.ReplaceAll(o.String(), "%", "%%"))
	}
	return j.program + before + j.config + words + " -W '[%h]:%p' " + j.host, nil
}

// guard is the program of git's made such that no changed host key goes on with args and,
// where readOnly, known_hosts stays as it is. Whether it keeps to that is its own word again:
// what its command line says comes before what is added.
func (p *program) guard(ctx context.Context, args []string, readOnly bool) (guardedProgram, error) {
	rules, want, err := p.wanted(ctx, args, readOnly)
	switch {
	case err != nil:
		return guardedProgram{}, err
	case len(want) == 0:
		return rules.way(p), nil
	}
	g := p.with(want)
	_, left, err := g.wanted(ctx, args, readOnly)
	switch {
	case err == nil && len(left) == 0:
		return rules.way(g), nil
	case err == nil:
		want = left
	}
	return guardedProgram{}, refuseRules(want, readOnly)
}

// refuseRules explains why a program that does not take the options cannot be used.
func refuseRules(want []option, readOnly bool) error {
	o := want[len(want)-1]
	switch {
	case readOnly && o.name == "ProxyCommand":
		return errors.New("it could write host keys of its jump host to known_hosts, which is not to be changed now: have it find the jump host by ProxyJump in its ssh configuration, not by its command line")
	case readOnly:
		return fmt.Errorf("it could write host keys to known_hosts, which is not to be changed now: take %s out of its command line, and into its ssh configuration", o.name)
	case o.name == "ProxyCommand":
		return errors.New("it goes on where the host key of its jump host has changed, by StrictHostKeyChecking=no: set that to accept-new for the jump host in its ssh configuration")
	}
	return errors.New("it goes on where the host key has changed, by StrictHostKeyChecking=no on its command line: take that out, and set accept-new, which takes new keys, too, in its ssh configuration")
}

// with is the program with options before its own, where it is ssh itself, else behind.
func (p *program) with(options []option) *program {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := &program{Program: p.Program, args: p.args, variant: p.variant, forks: p.forks}
	n := 0
	if p.Shell {
		n = sshWord(p.Command)
	}
	var words []string
	for _, o := range options {
		words = append(words, "-o", o.String())
	}
	if n == 0 {
		g.args = append(words, p.args...)
		return g
	}
	g.Command = p.Command[:n]
	for _, w := range words {
		g.Command += " " + escapeWord(w)
	}
	g.Command += p.Command[n:]
	return g
}

// sshWord is how many bytes of a shell's text its first word takes, where that names ssh; else 0.
func sshWord(text string) int {
	start := len(text) - len(strings.TrimLeft(text, " \t\n"))
	word, n, err := oneArg(text[start:])
	if err != nil || strings.TrimSuffix(strings.ToLower(filepath.Base(word)), ".exe") != variantSSH {
		return 0
	}
	return start + n
}
