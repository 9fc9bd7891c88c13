package main

import (
	"cmp"
	"fmt"

	"golang.org/x/sys/unix"

	"troops/push"
	"troops/sshx"
)

// What a command that contacts hosts needs of the open files that the system lets a process
// have (ulimit -n), counted generously: a dial that fails for want of one would look like a host
// that cannot be reached.
const (
	ownFiles     = 44 // git, packs, configuration, agents, the terminal, and pipes while programs start
	nativeFiles  = 4  // of a host: its connection, a second address tried, a name server, or a ProxyCommand's pipes
	programFiles = 12 // of a host that is reached by ssh processes: three pipes and a handle each, or a master's
)

// fitFiles lowers how many hosts are contacted at once to what the limit on open files allows,
// and says so where it does.
func (g *global) fitFiles(r *push.Rollout, o *sshx.Options) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return // a system that tells no limit
	}
	each := uint64(nativeFiles)
	if o.Transport == sshx.TransportOpenSSH || o.Program != nil {
		each = programFiles
	}
	room := uint64(1)
	if limit.Cur > ownFiles {
		room = max(1, (limit.Cur-ownFiles)/each)
	}
	wanted := min(cmp.Or(r.Parallel, push.DefaultParallel), len(r.Targets))
	if room >= uint64(wanted) {
		return
	}
	r.Parallel, o.MaxSurvey = int(room), int(room)
	fmt.Fprintf(g.err, "troops: %d at once instead of %d: the limit on open files is %d (ulimit -n)\n", room, wanted, limit.Cur)
}
