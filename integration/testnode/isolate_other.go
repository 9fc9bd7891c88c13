//go:build !linux

package testnode

import "syscall"

// isolated is never reached: [Possible] fails first.
func isolated() *syscall.SysProcAttr { return nil }
