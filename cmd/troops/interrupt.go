package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// stopping carries the two stages of an interruption. The first Ctrl-C ends soft, on which
// a rollout starts no more nodes but follows those that run; the second ends hard. A signal
// that leaves nobody to watch (SIGTERM, SIGHUP) ends both at once.
type stopping struct {
	soft, hard context.Context
	release    func() // stops listening for signals and waits for the listener
}

func interrupts() stopping {
	hard, endHard := context.WithCancelCause(context.Background())
	soft, endSoft := context.WithCancelCause(hard)
	sigs := make(chan os.Signal, 4)
	signal.Notify(sigs, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Caught, not ignored (children would inherit that): writing to a closed pipe is an error
	// then, and `troops push | head` does not end the rollout.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case s := <-sigs:
				if s != os.Interrupt || soft.Err() != nil {
					endHard(errInterrupted)
				}
				endSoft(errInterrupted)
			}
		}
	})
	return stopping{soft: soft, hard: hard, release: func() {
		signal.Stop(sigs)
		close(done)
		wg.Wait()
		endHard(nil)
	}}
}
