package push

import (
	"context"
	"fmt"
	"strings"

	"troops/nodeside/wire"
	"troops/push/gitwire"
	"troops/push/packs"
)

// deployedBranch finds in an advertisement the branch that the repository deploys, whether it
// is a troops node's, and the commit that the branch is at, empty for none. A node does not
// name its branch, so the name counts only where the second channel is refused.
func deployedBranch(adv *gitwire.Advertisement, want string) (branch string, troops bool, at gitwire.OID) {
	if troops, _ = speaks(adv); !troops {
		at, _ = adv.Ref(want)
		return want, false, at
	}
	at, ok := adv.Ref(wire.DeployedRef)
	if oid, has := adv.Ref(want); !ok || has && oid == at {
		return want, true, at
	}
	for _, r := range adv.Refs {
		if r.OID == at && strings.HasPrefix(r.Name, "refs/heads/") {
			return r.Name, true, at
		}
	}
	return want, true, at
}

// sameFormat refuses a node whose objects have names of another kind than the commit's: git
// cannot send from one to the other. It is nil where they are the same.
func (n *node) sameFormat(adv *gitwire.Advertisement) Outcome {
	here, there := n.rollout.Commit.Format(), adv.ObjectFormat
	if here == there {
		return nil
	}
	return Refused{
		Reason: fmt.Sprintf("the node's repository names its objects by %s, this one by %s", there, here),
		Hint:   fmt.Sprintf("on the node, move %s away and make it anew: GIT_DEFAULT_HASH=%s troops node init", n.rollout.RepoPath, here),
	}
}

// compare decides by the commit that the node is at whether there is anything to do: an outcome
// of nil means go on. Nothing but a fast-forward is, unless the rollout says so for just this commit.
func (n *node) compare(ctx context.Context, at gitwire.OID, troops bool) NodePlan {
	p := NodePlan{Target: n.target, At: at}
	if at == "" {
		return p
	}
	var err error
	if p.Relation, err = n.store.Relation(ctx, at, n.rollout.Commit); err != nil {
		p.Outcome = Failed{Phase: PhasePush, Err: fmt.Errorf("comparing with the node's commit %s: %w", short(at), err)}
	} else if !n.forced(at) {
		p.Outcome = n.policy(ctx, p.Relation.Kind, at, troops)
	}
	return p
}

// policy says why a node whose commit relates like that to the one to push does not get it;
// nil: it does.
func (n *node) policy(ctx context.Context, kind packs.Kind, at gitwire.OID, troops bool) Outcome {
	switch kind {
	case packs.Equal:
		switch {
		case !n.rollout.Rerun:
			return Current{}
		case !troops:
			return Refused{Reason: "a repository without troops runs nothing again", Hint: "leave out --rerun"}
		}
		return nil
	case packs.Behind:
		return nil
	case packs.Ahead:
		return Refused{
			Reason: fmt.Sprintf("the node is at %s%s, which is later than %s", short(at), n.deployedBy(ctx, at, troops), short(n.rollout.Commit)),
			Hint:   fmt.Sprintf("deploy %s or a descendant of it", short(at)),
		}
	case packs.Diverged:
		return Refused{
			Reason: fmt.Sprintf("the node is at %s%s, which is not an ancestor of %s", short(at), n.deployedBy(ctx, at, troops), short(n.rollout.Commit)),
			Hint:   fmt.Sprintf("merge %s and push the result", short(at)),
		}
	default:
		if len(n.store.Shallow()) > 0 {
			return Refused{
				Reason: fmt.Sprintf("the node is at %s, which this shallow clone does not have", short(at)),
				Hint:   "git fetch --unshallow (in CI: check out with the whole history)",
			}
		}
		return Refused{
			Reason: fmt.Sprintf("the node is at %s%s, which this repository does not have", short(at), n.deployedBy(ctx, at, troops)),
			Hint:   "somebody else deployed it: fetch their work (git fetch), merge it and push the result",
		}
	}
}

// deployedBy says who deployed what a node is at, for people; nothing where the node does not
// tell, or lets nobody ask beside a push.
func (n *node) deployedBy(ctx context.Context, at gitwire.OID, troops bool) string {
	if !troops {
		return ""
	}
	s, err := Account(ctx, n.conn, n.rollout.RepoPath)
	if err != nil || s.Commit != string(at) || s.By == "" {
		return ""
	}
	return fmt.Sprintf(" (deployed by %s)", clip(s.By))
}

// forced reports whether commit at may be taken away from the node.
func (n *node) forced(at gitwire.OID) bool {
	return at != "" && n.rollout.Force[n.target.Host] == at
}
