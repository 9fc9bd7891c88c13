package sshx

import "syscall"

// dieWithUs has the kernel end the child when this program is killed and cannot.
func dieWithUs(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }
