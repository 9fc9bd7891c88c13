package nodeside

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
)

// lineage is the chain of processes above the hook that belong to one push:
// git-receive-pack, a login shell that stayed in between, and what started them (sshd's
// process of the session, or git). Where one of them ends, its child gets another parent,
// which is the only trace that a killed client leaves.
type lineage []int

// shells may stand between sshd and git-receive-pack.
var shells = []string{"sh", "bash", "dash", "zsh", "ksh", "mksh", "fish", "tcsh", "csh", "ash", "busybox"}

// maxShells bounds how many shells in a chain are looked at.
const maxShells = 8

// parents is the present lineage. Without /proc it has the hook's parent alone.
func parents() lineage {
	chain := lineage{os.Getppid()}
	for len(chain) < 2+maxShells {
		name, parent := process(chain[len(chain)-1])
		// What started git-receive-pack and is no shell is left alone: its own parent may
		// change without harm, as sshd is restarted by deployments.
		if parent <= 0 || len(chain) > 1 && !slices.Contains(shells, name) {
			break
		}
		chain = append(chain, parent)
	}
	return chain
}

// changed reports whether a process of the chain has lost its parent since.
func (l lineage) changed() bool { return !slices.Equal(parents(), l) }

// process is the name of a process and its parent, 0 where that cannot be told.
func process(pid int) (name string, parent int) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	// proc(5): pid (name) state ppid ...; the name may have any characters.
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return "", 0
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 2 {
		return "", 0
	}
	parent, err = strconv.Atoi(string(fields[1]))
	if err != nil {
		return "", 0
	}
	return string(stat[open+1 : end]), parent
}
