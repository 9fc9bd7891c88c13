package main

import (
	"os"
	"runtime/debug"
)

// A push makes a few MB of garbage and ends soon: collecting it as often as the runtime does by
// default is a tenth of a push's CPU. Above softMemory, in bytes, it is collected as ever.
const (
	gcPercent  = 400
	softMemory = 400 << 20
)

// collectLess has the garbage collector run less often while memory is little, unless the user
// has set that (GOGC, GOMEMLIMIT).
func collectLess() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(softMemory)
	}
}
