package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"troops/gitcli"
	"troops/push"
	"troops/push/gitwire"
)

// hookMark is the variable by which a pre-push hook can tell a deployment from a git push.
const hookMark = "TROOPS_PUSH"

// prePush runs the repository's pre-push hook, as git push does, but once for all hosts: what it
// checks or uploads (git-lfs) is the same for each. rev is the commit as the user named it. An
// error means that the hook does not want the push.
func (r *repository) prePush(ctx context.Context, out io.Writer, p *push.Rollout, rev string) error {
	path, err := filepath.Abs(r.layout.PrePush)
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	switch {
	case err != nil || st.IsDir():
		return nil
	case st.Mode()&0o111 == 0:
		fmt.Fprintf(out, "troops: the hook %s is passed over: it is not executable\n", clean(path))
		return nil
	}
	name, url, err := r.pushRemote(ctx, p)
	if err != nil {
		return err
	}
	top, err := r.Line(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		top = r.Dir // a bare repository
	}
	if rev == "HEAD" {
		rev = p.Branch
	}
	cmd := exec.CommandContext(ctx, path, name, url)
	cmd.Dir, cmd.Env = top, append(gitcli.CleanEnv(os.Environ()), hookMark+"=1")
	cmd.WaitDelay = gitcli.KillDelay
	cmd.Stdin = strings.NewReader(fmt.Sprintf("%s %s %s %s\n", rev, p.Commit, p.Branch, gitwire.ZeroOID(p.Commit.Format())))
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); ctx.Err() != nil {
		return context.Cause(ctx)
	} else if err != nil {
		return fmt.Errorf("the pre-push hook does not let this commit go (%w): nothing was deployed; --no-verify leaves the hook out", err)
	}
	return nil
}

// pushRemote is what the hook is told of the place that is pushed to: the remote that git push
// would take, since that is where hooks look for what is published and where git-lfs keeps the
// files that hosts fetch. Without one it is the first host.
func (r *repository) pushRemote(ctx context.Context, p *push.Rollout) (name, url string, err error) {
	branch := strings.TrimPrefix(p.Branch, "refs/heads/")
	for _, key := range []string{"branch." + branch + ".pushRemote", "remote.pushDefault", "branch." + branch + ".remote"} {
		if name, err = r.Line(ctx, "config", "--get", key); err == nil && name != "" {
			break
		}
		var ge *gitcli.Error
		if err != nil && (!errors.As(err, &ge) || ge.ExitCode() != 1) {
			return "", "", err
		}
	}
	if name == "" {
		name = "origin"
	}
	if url, err = r.Line(ctx, "remote", "get-url", "--push", name); err == nil {
		return name, url, nil
	}
	url = "ssh://" + targetsOf(p)[0].Host + "/" + strings.TrimPrefix(cmp.Or(p.RepoPath, push.DefaultRepoPath), "/")
	return url, url, ctx.Err()
}
