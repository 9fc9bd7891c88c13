//go:build !linux

package sshx

import "syscall"

// dieWithUs does nothing: a child notices by itself, at the end of its connection.
func dieWithUs(*syscall.SysProcAttr) {}
