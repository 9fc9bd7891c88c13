package main

import "golang.org/x/sys/unix"

// How the state of a terminal is read, and set, as it is or with what was typed before dropped.
const (
	ioctlGetTermios   = unix.TCGETS
	ioctlSetTermios   = unix.TCSETS
	ioctlFlushTermios = unix.TCSETSF
)
