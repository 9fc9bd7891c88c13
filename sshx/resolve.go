package sshx

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
)

// systemConfig is the system-wide configuration, read after the user's.
const systemConfig = "/etc/ssh/ssh_config"

// Limits of `ssh -G`: how many run at once, and how long one may take (it may look names
// up and run the commands of Match exec).
const (
	maxParallelSSH = 8
	sshGTimeout    = 20 * time.Second
)

// resolver turns targets into settings.
type resolver struct {
	cfg      *config
	local    local
	sshArgs  []string // -F FILE, or nothing
	parallel *semaphore.Weighted
	commands *matchExec
	answers  memo[Target, raw] // of ssh -G
}

// newResolver reads the configuration. file is that of -F: empty for the user's and the
// system's, "none" for no configuration at all.
func newResolver(file string, l local) (*resolver, error) {
	sources, sshArgs := configSources(file, l)
	cfg, err := loadConfig(l, sources)
	if err != nil {
		return nil, err
	}
	r := &resolver{
		cfg: cfg, local: l, sshArgs: sshArgs, parallel: semaphore.NewWeighted(maxParallelSSH),
		commands: &matchExec{parallel: semaphore.NewWeighted(maxParallelSSH)},
	}
	if cfg.needSSH != "" {
		if _, err := sshFor(cfg.needSSH); err != nil {
			return nil, err
		}
	}
	return r, r.checkForeign()
}

// configSources are the files to read, and the arguments that make ssh read the same.
func configSources(file string, l local) ([]configSource, []string) {
	if strings.EqualFold(file, "none") {
		return nil, []string{"-F", "none"}
	}
	if file != "" {
		return []configSource{{path: file, user: true}}, []string{"-F", file}
	}
	sources := []configSource{
		{path: filepath.Join(l.home, ".ssh", "config"), user: true, checkPerm: true, optional: true},
		{path: systemConfig, optional: true},
	}
	if !l.moved {
		return sources, nil
	}
	// ssh looks into the home directory of the password database: it must be told, and can
	// be told one file only.
	for _, s := range sources {
		if isFile(s.path) {
			return sources, []string{"-F", s.path}
		}
	}
	return sources, []string{"-F", "none"}
}

// sshFor finds the ssh program, which is needed for what reason says.
func sshFor(reason string) (string, error) {
	path, err := exec.LookPath("ssh")
	if err != nil {
		return "", fmt.Errorf("sshx: reading ssh configuration: %s can only be evaluated by the ssh program, which is not installed: "+
			"install openssh-client, or pass -F with a simpler file", reason)
	}
	return path, nil
}

// resolve gives a target's settings.
func (r *resolver) resolve(ctx context.Context, t Target) (*settings, error) {
	values, err := r.values(ctx, t)
	if err != nil {
		return nil, err
	}
	return values.settings(t, r.local)
}

// values evaluates the files for a target, here or by ssh.
func (r *resolver) values(ctx context.Context, t Target) (raw, error) {
	if r.cfg.needSSH != "" {
		return r.ask(ctx, t, r.cfg.needSSH)
	}
	e := &evaluation{cfg: r.cfg, local: r.local, exec: r.commands.run, target: t}
	values, err := e.evaluate(ctx)
	if err != nil {
		return nil, err
	}
	if reason := e.delegated(); reason != "" {
		return r.ask(ctx, t, reason)
	}
	return values, nil
}

// ask runs `ssh -G` for a target, or gives the answer of an earlier run.
func (r *resolver) ask(ctx context.Context, t Target, reason string) (raw, error) {
	return r.answers.get(ctx, t, func(ctx context.Context) (raw, error) {
		if err := r.parallel.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer r.parallel.Release(1)
		return r.run(ctx, t, reason)
	})
}

// run starts `ssh -G` and reads its answer.
func (r *resolver) run(ctx context.Context, t Target, reason string) (raw, error) {
	args := append([]string{"-G"}, r.sshArgs...)
	if t.Port != 0 {
		args = append(args, "-p", strconv.Itoa(t.Port))
	}
	if t.User != "" {
		args = append(args, "-l", t.User)
	}
	if r.cfg.command { // what the files may ask for, and then must not set themselves
		args = append(args, "-o", "RemoteCommand=none", "--", t.Name, "git-receive-pack")
	} else {
		args = append(args, "--", t.Name)
	}
	out, err := sshG(ctx, reason, args)
	if err != nil {
		return nil, err
	}
	return parseSSHG(out), nil
}

// sshG runs ssh with arguments that have it say how it reads its configuration.
func sshG(ctx context.Context, reason string, args []string) (string, error) {
	program, err := sshFor(reason)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sshGTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", &TimeoutError{What: "ssh -G did not answer", After: sshGTimeout.String()}
		}
		return "", fmt.Errorf("ssh -G (needed for %s): %s", reason, printable(lastLines(errs.String(), err)))
	}
	return out.String(), nil
}

// hashesJump reports whether the installed ssh puts the jump host into %C, as 9.6 and later do.
func hashesJump() bool {
	ctx, cancel := context.WithTimeout(context.Background(), sshGTimeout)
	defer cancel()
	var major, minor int
	out, err := exec.CommandContext(ctx, "ssh", "-V").CombinedOutput()
	if _, scanErr := fmt.Sscanf(string(out), "OpenSSH_%d.%d", &major, &minor); err != nil || scanErr != nil {
		return true
	}
	return major > 9 || major == 9 && minor >= 6
}

// checkForeign has ssh say whether it knows the algorithms that are not known here: a name
// that it does not know either is an error, as it would be there.
func (r *resolver) checkForeign() error {
	asked := make(map[string]bool)
	for i := range r.cfg.foreign {
		d := &r.cfg.foreign[i]
		option := d.keyword + "=" + d.args[0]
		if asked[option] {
			continue
		}
		asked[option] = true
		_, err := sshG(context.Background(), d.because(option), []string{"-G", "-F", "none", "-o", option, "--", "localhost"})
		if err != nil {
			_, unknown := algorithmKinds[d.keyword].check(d.args[0])
			return d.fail(fmt.Errorf("%w (%w)", unknown, err))
		}
	}
	return nil
}

// lastLines is what a program said, or how it ended where it said nothing.
func lastLines(stderr string, err error) string {
	stderr = strings.ReplaceAll(stderr, "Pseudo-terminal will not be allocated because stdin is not a terminal.", "")
	if stderr = strings.TrimSpace(stderr); stderr != "" {
		return strings.ReplaceAll(stderr, "\r\n", "; ")
	}
	return err.Error()
}

// expandedBySSH are the keywords whose values `ssh -G` prints expanded.
var expandedBySSH = map[string]bool{"hostname": true, "identityagent": true, "userknownhostsfile": true, "controlpath": true}

// parseSSHG reads the output of `ssh -G`: a keyword and its value a line, without quotes.
func parseSSHG(out string) raw {
	r := make(raw)
	for line := range strings.Lines(out) {
		keyword, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		keyword = strings.ToLower(keyword)
		kind := keywords[keyword]
		if alias, old := keywordAlias[keyword]; old {
			keyword, kind = alias, keywords[alias]
		}
		if !ok || kind == 0 {
			continue
		}
		d := &directive{keyword: keyword, args: []string{value}, literal: expandedBySSH[keyword]}
		switch kind {
		case manyWords:
			d.args = splitPaths(value)
		case size:
			d.args[0], _, _ = strings.Cut(value, " ")
		}
		r.add(d)
	}
	return r
}

// splitPaths takes a list of absolute paths apart that `ssh -G` joined with spaces: a word
// that does not begin a path belongs to the one before it.
func splitPaths(s string) []string {
	var out []string
	for _, w := range strings.Split(s, " ") {
		if len(out) > 0 && strings.HasPrefix(out[0], "/") && !strings.HasPrefix(w, "/") && !strings.HasPrefix(w, "~") {
			out[len(out)-1] += " " + w
		} else {
			out = append(out, w)
		}
	}
	return out
}

// envOr is an environment variable, or def where it is unset or empty.
func envOr(name, def string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return def
}
