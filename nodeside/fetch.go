package nodeside

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"troops/gitcli"
	"troops/nodeside/deployment"
	"troops/nodeside/wire"
)

const (
	// FetchTimeout is how long one remote may take; a remote that is slower counts as unreachable.
	FetchTimeout = 5 * time.Minute
	// maxFetches is how many remotes are asked at once.
	maxFetches = 8
	// connectTimeout is how long ssh waits for a remote's first answer, in seconds; ssh gives
	// up on a remote that then says nothing for aliveTimeout times three.
	connectTimeout = 10
	aliveTimeout   = 10
)

// remote is one of the node's remotes, and what a pull found there.
type remote struct {
	name   string
	oid    string // of the branch; empty where there is an error
	before string // what was there at the last pull; empty for nothing
	forced bool   // it is no descendant of what was there at the last pull
	err    error
}

// ref keeps what was fetched from the remote. A fetch writes nowhere else.
func (r *remote) ref() string { return wire.RemoteRefPrefix + r.name + "/head" }

// remotes lists the remotes of the node's repository.
func (l Layout) remotes(ctx context.Context) ([]*remote, error) {
	out, err := l.git().Run(ctx, nil, "remote")
	if err != nil {
		return nil, fmt.Errorf("nodeside: listing the remotes: %w", err)
	}
	var all []*remote
	for name := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		if name != "" {
			all = append(all, &remote{name: name})
		}
	}
	return all, nil
}

// forgetRemotes deletes the refs of remotes that are no longer there.
func (l Layout) forgetRemotes(ctx context.Context, remotes []*remote) error {
	out, err := l.git().Run(ctx, nil, "for-each-ref", "--format=%(refname)", wire.RemoteRefPrefix)
	if err != nil {
		return fmt.Errorf("nodeside: listing what was pulled: %w", err)
	}
	var del strings.Builder
	for ref := range strings.FieldsSeq(string(out)) {
		if !slices.ContainsFunc(remotes, func(r *remote) bool { return r.ref() == ref }) {
			fmt.Fprintf(&del, "delete %s\n", ref)
		}
	}
	if del.Len() == 0 {
		return nil
	}
	if _, err := l.git().Run(ctx, strings.NewReader(del.String()), "update-ref", "--stdin"); err != nil {
		return fmt.Errorf("nodeside: forgetting remotes that are gone: %w", err)
	}
	return nil
}

// fetcher asks the remotes of one node. Their addresses come from the repository's
// configuration, which group members write; what they send is hostile.
type fetcher struct {
	l      Layout
	git    gitcli.Repo   // the node's
	limit  time.Duration // FetchTimeout
	most   int64         // bytes that a remote may send; 0 is no limit
	format string        // of objects: sha1, sha256
}

func (l Layout) fetcher() *fetcher {
	git := l.git()
	git.Env = append(deployment.CleanEnv(), "LC_ALL=C.UTF-8", "GIT_NO_REPLACE_OBJECTS=1",
		// Nobody is there to be asked: a question fails at once. An empty GIT_ASKPASS is no program.
		"GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=/bin/false",
		"GIT_SSH_COMMAND="+l.sshCommand(), "GIT_SSH_VARIANT=ssh")
	return &fetcher{l: l, git: git, limit: FetchTimeout}
}

// sshCommand is ssh with the node's own key and its own known_hosts: a remote's host key is
// accepted when it is first seen, and has to be the same from then on.
func (l Layout) sshCommand() string {
	// ssh expands % in these paths, and reads the option as a line of its configuration.
	path := func(p string) string { return strings.ReplaceAll(p, "%", "%%") }
	args := []string{"ssh", "-i", path(l.Key()), "-a", "-x"}
	for _, o := range []string{
		"BatchMode=yes", "LogLevel=ERROR", "IdentitiesOnly=yes", "IdentityAgent=none", "ControlPath=none", "ClearAllForwardings=yes", "PermitLocalCommand=no",
		"StrictHostKeyChecking=accept-new", "UpdateHostKeys=no", `UserKnownHostsFile="` + path(l.knownHosts()) + `"`,
		fmt.Sprintf("ConnectTimeout=%d", connectTimeout), fmt.Sprintf("ServerAliveInterval=%d", aliveTimeout), "ServerAliveCountMax=3",
	} {
		args = append(args, "-o", o)
	}
	for i, a := range args {
		args[i] = shellQuote(a)
	}
	return strings.Join(args, " ")
}

// knownHosts has the host keys of the remotes.
func (l Layout) knownHosts() string { return filepath.Join(filepath.Dir(l.Key()), "known_hosts") }

// command runs git in a repository for a remote.
func (f *fetcher) command(ctx context.Context, r *remote, git gitcli.Repo, args ...string) error {
	_, err := f.output(ctx, r, git, args...)
	return err
}

// output is [fetcher.command], and returns what git printed.
func (f *fetcher) output(ctx context.Context, r *remote, git gitcli.Repo, args ...string) (string, error) {
	if !validBranch(branchPrefix + r.name) {
		return "", errors.New("its name cannot be used: git remote rename")
	}
	ctx, cancel := context.WithTimeout(ctx, f.limit)
	defer cancel()
	ctx, over := context.WithCancelCause(ctx)
	defer over(nil)
	// Other transports, such as ext::, would be commands.
	protocols := "https:ssh:file"
	if ok, _ := f.git.Line(ctx, "config", "--type=bool", "--get", "remote."+r.name+".troopsInsecure"); ok == "true" {
		protocols += ":http:git"
	}
	git.Env = append(git.Env[:len(git.Env):len(git.Env)], "GIT_ALLOW_PROTOCOL="+protocols)
	cmd := git.Command(ctx, append([]string{
		"-c", "transfer.fsckObjects=true", "-c", "fetch.fsckObjects=true", "-c", "gc.auto=0",
		"-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30",
	}, args...)...)
	limitFiles(cmd, f.most)
	// ssh and git's helpers end with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	out, errs := &sayings{over: over}, &sayings{over: over}
	cmd.Stdout, cmd.Stderr = out, errs
	err := cmd.Run()
	switch cause := context.Cause(ctx); {
	case err == nil:
		return out.String(), nil
	case errors.Is(cause, errSaidTooMuch):
		return "", cause
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("it took longer than %v", f.limit)
	}
	return "", f.explain(r, cmp.Or(strings.TrimSpace(errs.String()), err.Error()))
}

// explain makes an error of what git and ssh said, with the way out where they know none.
func (f *fetcher) explain(r *remote, said string) error {
	text := plain(said, maxReason)
	switch {
	case strings.Contains(said, "REMOTE HOST IDENTIFICATION HAS CHANGED"):
		return fmt.Errorf("its host key is not the one in %s: where that is meant to be, remove the line there", f.l.knownHosts())
	case strings.Contains(said, "transport 'git' not allowed"), strings.Contains(said, "transport 'http' not allowed"):
		return fmt.Errorf("%s: nothing protects it on the way, so use https or ssh, or allow it for this remote: git --git-dir=%s config remote.%s.troopsInsecure true",
			text, f.l.Repo(), r.name)
	case strings.Contains(said, "terminal prompts disabled"):
		return fmt.Errorf("%s (nobody is there to answer: use ssh with the node's key, or a credential helper: git --git-dir=%s config credential.helper ...)", text, f.l.Repo())
	case strings.Contains(said, ": Permission denied ("):
		key := "troops node key"
		if !f.l.Root {
			key = "troops node --dir " + f.l.Dir + " key"
		}
		return fmt.Errorf("%s (let the node's key in there: %s)", text, key)
	}
	return wayOut(errors.New(text))
}

// each does f for the remotes, some at once.
func each(remotes []*remote, f func(*remote)) {
	var g errgroup.Group
	g.SetLimit(maxFetches)
	for _, r := range remotes {
		g.Go(func() error {
			f(r)
			return nil
		})
	}
	_ = g.Wait() // no function of it fails
}

// fetch brings branch of each remote to the remote's ref. The caller holds the pull's lock.
func (f *fetcher) fetch(ctx context.Context, remotes []*remote, branch string) error {
	f.most = f.l.maxFetch(ctx)
	var err error
	if f.format, err = f.l.git().Line(ctx, "rev-parse", "--show-object-format"); err != nil {
		return fmt.Errorf("nodeside: reading the repository's format: %w", err)
	}
	if err := f.l.emptyQuarantines(); err != nil {
		return err
	}
	each(remotes, func(r *remote) {
		if r.err == nil {
			r.oid, r.err = f.fetchOne(ctx, r, branch)
		}
	})
	return nil
}

func (f *fetcher) fetchOne(ctx context.Context, r *remote, branch string) (string, error) {
	before, err := f.l.tip(ctx, r.ref())
	if err != nil {
		return "", err
	}
	r.before = before
	if err := f.bring(ctx, r, branch); err != nil {
		return "", err
	}
	oid, err := f.l.tip(ctx, r.ref())
	if err != nil {
		return "", err
	}
	if before != "" && before != oid {
		forward, err := f.l.isAncestor(ctx, before, oid)
		if err != nil {
			return "", err
		}
		r.forced = !forward
	}
	return oid, nil
}

// firstBranch chooses what a node deploys that has deployed nothing: the branch that HEAD
// names, if a remote has it, else the default branch of the remotes.
func (f *fetcher) firstBranch(ctx context.Context, remotes []*remote) (string, error) {
	head, err := f.l.git().Line(ctx, "symbolic-ref", "-q", "HEAD")
	if err != nil {
		return "", fmt.Errorf("nodeside: reading HEAD: %w", err)
	}
	listed := make(map[*remote]*string, len(remotes))
	for _, r := range remotes {
		listed[r] = new(string)
	}
	each(remotes, func(r *remote) {
		*listed[r], r.err = f.output(ctx, r, f.git, "ls-remote", "--symref", "--upload-pack=git-upload-pack", "--", r.name, "HEAD", head)
	})
	standard, of := "", ""
	for _, r := range remotes {
		has, branch := parseListing(*listed[r], head)
		switch {
		case has:
			return head, nil
		case branch == "" || !validBranch(branch):
		case standard == "":
			standard, of = branch, r.name
		case standard != branch:
			return "", fmt.Errorf("no remote has %s, and their default branches differ: %s of remote %s, %s of remote %s; choose one by git symbolic-ref HEAD refs/heads/NAME",
				head, standard, of, branch, r.name)
		}
	}
	return standard, nil
}

// parseListing reads from what git ls-remote --symref printed whether there is the ref, and
// the branch that the remote's HEAD names.
func parseListing(out, ref string) (has bool, head string) {
	for line := range strings.SplitSeq(out, "\n") {
		what, name, _ := strings.Cut(line, "\t")
		if target, ok := strings.CutPrefix(what, "ref: "); ok && name == "HEAD" {
			head = target
		} else if name == ref {
			has = true
		}
	}
	return has, head
}
