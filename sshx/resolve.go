package sshx

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
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

// index sorts the blocks into those that can be found by a host's name and the others.
func (c *config) index() {
	for i, b := range c.blocks {
		last := []string{"*"}
		if len(b.conds) > 0 {
			last = b.conds[len(b.conds)-1]
		}
		if !slices.ContainsFunc(last, func(p string) bool { return !isLiteral(p) }) {
			for _, name := range last {
				c.literal[name] = append(c.literal[name], i)
			}
		} else {
			c.general = append(c.general, i)
		}
	}
}

// lookup evaluates the blocks for a name, in the order of the files.
func (c *config) lookup(name string) raw {
	r := make(raw)
	candidates := slices.Concat(c.general, c.literal[name])
	slices.Sort(candidates)
	for _, i := range slices.Compact(candidates) {
		b := c.blocks[i]
		if slices.ContainsFunc(b.conds, func(patterns []string) bool { return !matchList(name, patterns) }) {
			continue
		}
		for _, d := range b.directives {
			r.add(d.keyword, d.args)
		}
	}
	return r
}

// add records a value where it still counts.
func (r raw) add(keyword string, args []string) {
	switch {
	case accumulates(keyword):
		if !slices.ContainsFunc(r[keyword], func(old []string) bool { return slices.Equal(old, args) }) {
			r[keyword] = append(r[keyword], args)
		}
	case r[keyword] != nil:
	// Of ProxyJump and ProxyCommand the one that comes first counts; `ProxyJump none` is no jump.
	case keyword == "proxyjump" && r["proxycommand"] != nil:
	case keyword == "proxycommand" && r["proxyjump"] != nil && !strings.EqualFold(r.first("proxyjump"), "none"):
	default:
		r[keyword] = [][]string{args}
	}
}

// resolver turns targets into settings.
type resolver struct {
	cfg      *config
	local    local
	ssh      string   // the ssh program, empty where it is not needed
	sshArgs  []string // -F FILE, or nothing
	parallel *semaphore.Weighted

	mu   sync.Mutex
	outs map[Target]sshAnswer // what ssh -G said
}

type sshAnswer struct {
	raw raw
	err error
}

// newResolver reads the configuration. file is that of -F: empty for the user's and the
// system's, "none" for no configuration at all.
func newResolver(file string, l local) (*resolver, error) {
	var sources []configSource
	r := &resolver{local: l, parallel: semaphore.NewWeighted(maxParallelSSH), outs: make(map[Target]sshAnswer)}
	switch {
	case strings.EqualFold(file, "none"):
		r.sshArgs = []string{"-F", "none"}
	case file != "":
		sources = []configSource{{path: file, user: true}}
		r.sshArgs = []string{"-F", file}
	default:
		mine := filepath.Join(l.home, ".ssh", "config")
		sources = []configSource{{path: mine, user: true, checkPerm: true, optional: true}, {path: systemConfig, optional: true}}
	}
	var err error
	if r.cfg, err = loadConfig(l.home, sources); err != nil {
		return nil, err
	}
	if r.cfg.needSSH != "" {
		if file == "" && l.moved {
			r.sshArgs = []string{"-F", filepath.Join(l.home, ".ssh", "config")}
		}
		if r.ssh, err = exec.LookPath("ssh"); err != nil {
			return nil, fmt.Errorf("sshx: reading ssh configuration: %s can only be evaluated by the ssh program, which is not installed: install openssh-client, or pass -F with a simpler file",
				r.cfg.needSSH)
		}
	}
	return r, nil
}

// resolve gives a target's settings.
func (r *resolver) resolve(ctx context.Context, t Target) (*settings, error) {
	if r.ssh == "" {
		return r.cfg.lookup(t.Name).settings(t, r.local, nil)
	}
	answer, err := r.ask(ctx, t)
	if err != nil {
		return nil, err
	}
	return answer.settings(t, r.local, expandedBySSH)
}

// ask runs `ssh -G` for a target, or gives the answer of an earlier run. A cancelled run is not kept.
func (r *resolver) ask(ctx context.Context, t Target) (raw, error) {
	r.mu.Lock()
	if a, ok := r.outs[t]; ok {
		r.mu.Unlock()
		return a.raw, a.err
	}
	r.mu.Unlock()
	if err := r.parallel.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer r.parallel.Release(1)
	answer, err := r.run(ctx, t)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	r.mu.Lock()
	r.outs[t] = sshAnswer{answer, err}
	r.mu.Unlock()
	return answer, err
}

// run starts `ssh -G` and reads its answer.
func (r *resolver) run(ctx context.Context, t Target) (raw, error) {
	ctx, cancel := context.WithTimeout(ctx, sshGTimeout)
	defer cancel()
	args := append([]string{"-G"}, r.sshArgs...)
	if t.Port != 0 {
		args = append(args, "-p", strconv.Itoa(t.Port))
	}
	if t.User != "" {
		args = append(args, "-l", t.User)
	}
	cmd := exec.CommandContext(ctx, r.ssh, append(args, "--", t.Name)...)
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, &TimeoutError{What: "ssh -G did not answer", After: sshGTimeout.String()}
		}
		return nil, fmt.Errorf("ssh -G (needed for %s): %s", r.cfg.needSSH, printable(lastLines(errs.String(), err)))
	}
	return parseSSHG(out.String()), nil
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
		switch {
		case !ok || keywords[keyword] == 0:
		case keywords[keyword] == manyWords:
			r.add(keyword, splitPaths(value))
		default:
			r.add(keyword, []string{value})
		}
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
