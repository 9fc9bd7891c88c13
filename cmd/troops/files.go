package main

import (
	"cmp"
	"fmt"
	"math"

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

// hostsByFiles is how many hosts may be in contact at once by the limit on open files, at least one.
func hostsByFiles(o sshx.Options) (hosts int, limit uint64, known bool) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, 0, false // a system that tells no limit
	}
	each := uint64(nativeFiles)
	if o.Transport == sshx.TransportOpenSSH || o.Program != nil {
		each = programFiles
	}
	room := uint64(1)
	if l.Cur > ownFiles {
		room = max(1, (l.Cur-ownFiles)/each)
	}
	return int(min(room, math.MaxInt32)), l.Cur, true
}

// fitFiles lowers how many hosts are contacted at once to what the limit on open files allows,
// and says so where it does.
func (g *global) fitFiles(r *push.Rollout, o *sshx.Options) {
	room, limit, known := hostsByFiles(*o)
	wanted := min(cmp.Or(r.Parallel, push.DefaultParallel), len(r.Targets))
	if !known || room >= wanted {
		return
	}
	r.Parallel, o.MaxSurvey = room, room
	fmt.Fprintf(g.err, "troops: %d at once instead of %d: the limit on open files is %d (ulimit -n)\n", room, wanted, limit)
}

// allAtOnce is an error where the limit on open files does not allow to follow so many hosts.
func allAtOnce(hosts int, o sshx.Options) error {
	if room, limit, known := hostsByFiles(o); known && room < hosts {
		return usagef("%d hosts cannot be followed at once, %d can: the limit on open files is %d (ulimit -n): raise it, or choose hosts (--host, --role)", hosts, room, limit)
	}
	return nil
}
