package main

import "golang.org/x/sys/unix"

// How the state of a terminal is read, and set with what was typed before dropped.
const (
	ioctlGetTermios   = unix.TCGETS
	ioctlFlushTermios = unix.TCSETSF
)
