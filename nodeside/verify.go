package nodeside

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"troops/nodeside/trust"
)

// Trust is the directory of the keys whose signatures count, where signatures are demanded.
func (l Layout) Trust() string { return filepath.Join(l.Dir, "trust") }

func (l Layout) verifier(ctx context.Context) (*trust.Verifier, error) {
	return trust.Load(ctx, l.git(), l.Trust())
}

// verify checks the signatures that the node demands before the run of a request may be queued:
// nothing has been done for it so far, and no ref has moved.
func (l Layout) verify(ctx context.Context, q *Request) error {
	v, err := l.verifier(ctx)
	if v == nil || err != nil {
		return err
	}
	deployed, err := l.lastDeployed(ctx)
	if err != nil {
		return err
	}
	if stored, err := l.tip(ctx, q.Branch); err != nil {
		return err
	} else if stored != "" && deployed == "" {
		return fmt.Errorf("nodeside: %s was stored here, without a signature being looked at, before anything was deployed: git --git-dir=%s update-ref -d %[1]s, then push again",
			q.Branch, l.Repo())
	}
	if err := v.Check(ctx, q.Commit, deployed); err != nil {
		return err
	}
	if l.Root && v.Policy.Local {
		q.tell(fmt.Sprintf("troops.verify is %s in the repository's configuration only, which members of group %s can change: git config --system troops.verify %[1]s",
			v.Policy.Mode, Group))
	}
	return nil
}

// verifyAgain checks a run that waited its turn: signatures may be demanded since, of other
// people, or more commits may be new.
func (r *run) verifyAgain(ctx context.Context, deployed string) error {
	v, err := r.l.verifier(ctx)
	if v == nil || err != nil {
		return err
	}
	return v.Check(ctx, r.rec.Commit, deployed)
}

// lastDeployed is the commit that is deployed, empty where there is none. A branch that was only
// stored does not count.
func (l Layout) lastDeployed(ctx context.Context) (string, error) {
	branch, err := l.deployedBranch(ctx)
	if branch == "" || err != nil {
		return "", err
	}
	return l.tip(ctx, branch)
}

// trusted reports by the error whether what a remote has may be deployed. Where it may not, the
// ref for it is put back: none of the node's refs names a commit that was refused.
func (p *puller) trusted(ctx context.Context, r *remote) error {
	if p.verifier == nil {
		return nil
	}
	deployed, err := p.l.lastDeployed(ctx)
	if err == nil {
		err = p.verifier.Check(ctx, r.oid, deployed)
	}
	if err == nil {
		return nil
	}
	args := []string{"update-ref", r.ref(), r.before, r.oid}
	if r.before == "" {
		args = []string{"update-ref", "-d", r.ref(), r.oid}
	}
	if _, e := p.l.git().Run(ctx, nil, args...); e != nil {
		err = errors.Join(err, fmt.Errorf("nodeside: putting back %s: %w", r.ref(), e))
	}
	return plainError(err)
}
