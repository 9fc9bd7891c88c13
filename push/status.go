package push

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"troops/nodeside/wire"
	"troops/push/gitwire"
	"troops/push/packs"
)

// NodeState is what one node has deployed and does.
type NodeState struct {
	Target   Target
	At       gitwire.OID      // deployed; empty for nothing
	Relation packs.Relation   // of At to the commit that was asked about; no meaning where At is empty
	Node     *wire.NodeStatus // the node's own account, hostile text; nil where it gives none
	Plain    bool             // a repository without troops, which gives none
	Err      error            // why nothing is known: it could not be reached, or its repository not be opened
}

// Status looks at all targets, in parallel, and says what each has deployed and how that stands
// to the rollout's commit, in the targets' order. It changes nothing on either side. An error
// means that nothing was contacted, or that ctx ended.
func (r *Rollout) Status(ctx context.Context) ([]NodeState, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	return lookAtAll(ctx, r, r.Targets, (*node).state)
}

// state asks one node. One whose troops is too old to tell shows at least what is deployed.
func (n *node) state(ctx context.Context) NodeState {
	st := NodeState{Target: n.target}
	if st.Err = n.dial(ctx, ctx); st.Err != nil {
		return st
	}
	defer n.hangUp()
	var other *wire.VersionError
	switch st.Node, st.Err = Account(ctx, n.conn, n.rollout.RepoPath); {
	case st.Err == nil:
		st.At = gitwire.OID(st.Node.Commit)
	case errors.As(st.Err, &other):
		st.Err = n.versioned(st.Err)
		return st
	default:
		var troops bool
		if st.At, troops, st.Err = n.advertised(ctx); st.Err != nil {
			return st
		}
		st.Plain = !troops
	}
	if st.At != "" {
		st.Relation, st.Err = n.store.Relation(ctx, st.At, n.rollout.Commit)
	}
	return st
}

// advertised reads from the node's refs what it has deployed, as a push does. A node that speaks
// another version of the protocol is an error, with the way out.
func (n *node) advertised(ctx context.Context) (at gitwire.OID, troops bool, err error) {
	adv, err := n.look(ctx)
	if err != nil {
		return "", false, err
	}
	if _, err := speaks(adv); err != nil {
		return "", true, n.versioned(err)
	}
	_, troops, at = deployedBranch(adv, n.rollout.Branch)
	return at, troops, nil
}

// look reads the node's refs and leaves.
func (n *node) look(ctx context.Context) (*gitwire.Advertisement, error) {
	s, err := n.open(ctx)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.end(ctx)
	return s.adv, nil
}

// Account has a node tell about itself: hostile text. An empty path is [DefaultRepoPath]. A node
// that is too old, and a repository without troops, are an error.
func Account(ctx context.Context, conn Conn, repoPath string) (*wire.NodeStatus, error) {
	launcher, err := QuotePath(strings.TrimSuffix(cmp.Or(repoPath, DefaultRepoPath), "/") + "/" + wire.Launcher)
	if err != nil {
		return nil, err
	}
	ch, err := conn.Exec(ctx, launcher+" status")
	if err != nil {
		return nil, fmt.Errorf("asking for the status: %w", err)
	}
	defer ch.Close()
	var out []byte
	var drain sync.WaitGroup
	drain.Go(func() { io.Copy(io.Discard, ch.Stderr()) })
	inTime := within(AdvertisementTimeout, conn, func() {
		out, err = io.ReadAll(io.LimitReader(ch.Stdout(), wire.MaxStatus+int64(gitwire.NoiseLimit)))
		ch.Close() // what is beyond the limit is not waited for
		drain.Wait()
	})
	switch {
	case !inTime:
		return nil, fmt.Errorf("asking for the status: no answer within %v", AdvertisementTimeout)
	case err != nil:
		return nil, fmt.Errorf("asking for the status: %w", err)
	}
	body, found, err := wire.FindStatus(out)
	if err != nil {
		return nil, fmt.Errorf("asking for the status: %w", err)
	}
	if !found {
		return nil, errNoStatus
	}
	s, err := wire.ParseStatus(bytes.TrimRight(body, "\n"))
	if err == nil && s.Commit != "" {
		_, err = gitwire.ParseOID(s.Commit) // git will be asked about it
	}
	if err != nil {
		return nil, fmt.Errorf("asking for the status: %w", err)
	}
	return &s, nil
}

var errNoStatus = errors.New("the node does not tell its status")
