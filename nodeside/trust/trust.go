// Package trust decides whether a node may deploy a commit: by its signature, which git, ssh-keygen
// and gpg check against keys that the node's administrator keeps outside of the repository.
// docs/trust.md is the user's side of it.
//
// Nothing of the repository has a say in how: programs, key files and environment are given to git
// with every call, and override whatever a configuration says.
package trust

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"troops/gitcli"
	"troops/nodeside/deployment"
)

const (
	// CheckTimeout is how long checking the signatures for one run may take. It is shorter than what
	// the hook waits for, so that the reason gets through.
	CheckTimeout = 100 * time.Second
	// MaxCommits is how many new commits strict verification checks for one run.
	MaxCommits = 5000
)

// Verifier checks commits of one node by the node's policy and keys.
type Verifier struct {
	Policy Policy
	git    gitcli.Repo // for what is no matter of configuration
	keys   keys
}

// Refusal says why a commit may not be deployed.
type Refusal struct {
	Commit string // object name; of an ancestor, perhaps, of the one that was asked for
	Why    string // what is wrong with it
	Fix    string // what to do
}

// Error names the commit, the reason and the way out.
func (e *Refusal) Error() string {
	return fmt.Sprintf("commit %s %s: %s", short(e.Commit), e.Why, e.Fix)
}

// Load reads what the node demands of commits, and looks whether nobody else can change the keys
// in dir. It is nil where nothing needs a signature; what is unclear is an error, never nil.
func Load(ctx context.Context, git gitcli.Repo, dir string) (*Verifier, error) {
	git.Env = append(deployment.CleanEnv(), "LC_ALL=C.UTF-8", "GIT_NO_REPLACE_OBJECTS=1", "GIT_GRAFT_FILE="+os.DevNull+"/none")
	p, err := readPolicy(ctx, git)
	if err != nil || p.Mode == Off {
		return nil, err
	}
	k, err := readKeys(dir)
	if err != nil {
		return nil, fmt.Errorf("trust: troops.verify is %s, but %w", p.Mode, err)
	}
	// Its settings have been read: from here on no configuration but the repository's is seen, and of
	// that nothing that matters.
	git.Env = append(git.Env, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GNUPGHOME="+k.gnupg)
	return &Verifier{Policy: p, git: git, keys: k}, nil
}

// Check reports whether commit may be deployed where deployed (empty for nothing) is. It is a
// [*Refusal] where a signature is missing or does not count.
func (v *Verifier) Check(ctx context.Context, commit, deployed string) error {
	ctx, cancel := context.WithTimeout(ctx, CheckTimeout)
	defer cancel()
	commits := []string{commit}
	if v.Policy.Mode == Strict {
		more, err := v.newCommits(ctx, commit, deployed)
		if err != nil {
			return err
		}
		commits = append(commits, more...)
	}
	err := v.checkAll(ctx, commits)
	var no *Refusal
	switch {
	case errors.As(err, &no) && no.Commit != commit:
		onto := short(deployed)
		if deployed == "" {
			onto = "--root"
		}
		no.Why += ", and is new with " + short(commit)
		no.Fix = "troops.verify is strict here, so sign all that are new (git rebase -f -S " + onto + ")"
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("trust: checking the signatures of %d commits took longer than %v: set troops.verifySince to a later commit (docs/trust.md)",
			len(commits), CheckTimeout)
	}
	return err
}

// checkAll checks each commit; the error is that of the first in their order.
func (v *Verifier) checkAll(ctx context.Context, commits []string) error {
	errs := make([]error, len(commits))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i, c := range commits {
		g.Go(func() error {
			if ctx.Err() == nil {
				errs[i] = v.checkOne(ctx, c)
			}
			return errs[i]
		})
	}
	first := g.Wait()
	for _, err := range errs {
		if errors.As(err, new(*Refusal)) {
			return err
		}
	}
	return first
}

// newCommits lists what strict verification checks beside commit itself.
func (v *Verifier) newCommits(ctx context.Context, commit, deployed string) ([]string, error) {
	// The commit-graph file is a copy of what commits say, and not checked by anything.
	args := []string{"-c", "core.commitGraph=false", "rev-list", "--topo-order", fmt.Sprintf("--max-count=%d", MaxCommits+1), commit, "--not"}
	if deployed != "" {
		args = append(args, deployed)
	}
	if since := v.Policy.Since; since != "" {
		if kind, err := v.git.Line(ctx, "cat-file", "-t", since); err != nil || kind != "commit" {
			return nil, fmt.Errorf("trust: troops.verifySince is %s, which is no commit that this node has", short(since))
		}
		ok, err := v.git.Test(ctx, "-c", "core.commitGraph=false", "merge-base", "--is-ancestor", since, commit)
		if err != nil {
			return nil, fmt.Errorf("trust: comparing with troops.verifySince: %w", err)
		}
		if !ok {
			return nil, &Refusal{commit, "does not descend from " + short(since), "troops.verifySince demands that here; rebase it"}
		}
		args = append(args, since)
	}
	out, err := v.git.Run(ctx, nil, args...)
	if err != nil {
		return nil, fmt.Errorf("trust: listing the new commits: %w", err)
	}
	all := strings.Fields(string(out))
	if len(all) > MaxCommits {
		return nil, fmt.Errorf("trust: over %d new commits are to be checked: set troops.verifySince to a commit from which on all are signed (docs/trust.md)", MaxCommits)
	}
	if len(all) > 0 && all[0] == commit {
		all = all[1:]
	}
	return all, nil
}

// checkOne checks one commit's signature.
func (v *Verifier) checkOne(ctx context.Context, commit string) error {
	text, err := v.git.Run(ctx, nil, "cat-file", "commit", commit)
	if err != nil {
		return fmt.Errorf("trust: reading commit %s: %w", short(commit), err)
	}
	armor, several := signatureOf(text)
	switch {
	case several:
		return &Refusal{commit, "has more than one signature, which this node does not take", again}
	case armor == "":
		return &Refusal{commit, "is not signed", fmt.Sprintf("troops.verify is %s here, so sign it (git commit --amend -S)", v.Policy.Mode)}
	case strings.HasPrefix(armor, "-----BEGIN SSH SIGNATURE-----"):
		return v.checkSSH(ctx, commit, armor)
	case strings.HasPrefix(armor, "-----BEGIN PGP "):
		return v.checkPGP(ctx, commit)
	}
	return &Refusal{commit, "has a signature of a kind that this node does not know", "sign it by an SSH key or by GnuPG"}
}

// What to do with commits that are refused.
const (
	again    = "sign it again (git commit --amend -S)"
	otherKey = "sign it by another key (git commit --amend -S)"
)

// short is an object name as people read it.
func short(oid string) string { return oid[:min(len(oid), 12)] }
