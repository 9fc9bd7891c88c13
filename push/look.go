package push

import (
	"cmp"
	"context"

	"troops/nodeside/wire"
	"troops/push/gitwire"
)

// Look is what a repository shows to whoever may push to it.
type Look struct {
	Troops bool        // it is a troops node's: a push is a run
	At     gitwire.OID // the commit that is deployed; empty before the first push, or where there is no branch that tells
}

// LookAt opens a repository as a push does, reads its refs and leaves: it shows that a push
// would get that far, and changes nothing. An empty path is [DefaultRepoPath]. The connection
// is closed if the node does not keep to the protocol. Errors are *RepoError, *wire.VersionError,
// or of the connection.
func LookAt(ctx context.Context, conn Conn, path string) (Look, error) {
	var l limits
	l.fill()
	s, err := openSession(ctx, conn, cmp.Or(path, DefaultRepoPath), l)
	if err != nil {
		return Look{}, err
	}
	defer s.close()
	s.end(ctx)
	troops, err := speaks(s.adv)
	at, _ := s.adv.Ref(wire.DeployedRef)
	return Look{Troops: troops, At: at}, err
}
