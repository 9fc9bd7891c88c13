package main

import (
	"context"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// A push to many hosts mostly waits: for each packet one goroutine wakes another. With one
// processor that is a switch, with more of them it is a thread that is woken, which was a seventh of
// a push's CPU. One that is kept busy gets all that there are.
const (
	busyEvery = 250 * time.Millisecond // how often that is looked at
	busyShare = 0.6                    // of a processor's time
)

// oneProcessor has the program use one processor until it keeps that busy, unless the user has set
// how many (GOMAXPROCS). stop ends the looking.
func oneProcessor(ctx context.Context) (stop func()) {
	if os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	runtime.GOMAXPROCS(1)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if whenBusy(ctx, busyEvery, busyShare) {
			runtime.SetDefaultGOMAXPROCS()
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// whenBusy returns true once the process has used such a share of a processor between two looks;
// false where ctx ends first.
func whenBusy(ctx context.Context, every time.Duration, share float64) bool {
	tick := time.NewTicker(every)
	defer tick.Stop()
	last, used := time.Now(), cpuTime()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		now, use := time.Now(), cpuTime()
		if float64(use-used) >= share*float64(now.Sub(last)) {
			return true
		}
		last, used = now, use
	}
}

// cpuTime is what the process has used so far, its children not included.
func cpuTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
