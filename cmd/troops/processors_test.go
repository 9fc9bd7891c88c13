package main

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// TestOneProcessor has a command begin with one processor, but where the user has said how many.
func TestOneProcessor(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "2")
	oneProcessor(t.Context())()
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("%d processors, and the user has chosen", n)
	}
	t.Setenv("GOMAXPROCS", "")
	stop := oneProcessor(t.Context())
	if n := runtime.GOMAXPROCS(0); n != 1 {
		t.Errorf("%d processors", n)
	}
	stop()
}

// TestWhenBusy tells a process that works from one that does not.
func TestWhenBusy(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	busy := make(chan bool, 1)
	go func() { busy <- whenBusy(ctx, time.Millisecond, 0.001) }()
	for worked := 0; ; worked++ { // which is what it waits for
		select {
		case got := <-busy:
			if !got {
				t.Error("a process that works is not found to be busy")
			}
			cancel()
			if whenBusy(ctx, time.Hour, 0) {
				t.Error("busy, after the end")
			}
			return
		default:
		}
	}
}
