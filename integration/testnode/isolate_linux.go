package testnode

import "syscall"

// isolated starts a process as the first of new mount, pid, host name and ipc namespaces, as
// unshare(1) does. Its pid as seen from here is the whole node's: killing it ends the node.
func isolated() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Setpgid:    true, // a Ctrl-C at the tests ends the nodes by their cleanup, not under it
	}
}
