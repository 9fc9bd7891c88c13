package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// settleTime is how long a machine may take to come to rest before it is measured all the same.
	settleTime = 20 * time.Second
	// settleEvery is how often that is looked at.
	settleEvery = 250 * time.Millisecond
	// idleShare of all processors' time is rest.
	idleShare = 0.95
)

// settle waits until the machine is at rest: nodes go on for seconds with what one program left
// them (sessions that end, file systems), which the next one in turn would pay for.
func settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	idle, all, err := processorTime()
	for err == nil {
		select {
		case <-ctx.Done():
			return nil // somebody else is at work here: loads are shown before and after
		case <-tick.C:
		}
		idle0, all0 := idle, all
		if idle, all, err = processorTime(); err == nil && float64(idle-idle0) >= idleShare*float64(all-all0) {
			return nil
		}
	}
	return err
}

// processorTime is how long the machine's processors have been idle, and all of their time, in
// ticks since it started: the first line of proc_stat(5).
func processorTime() (idle, all uint64, err error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return parseProcessorTime(line)
}

func parseProcessorTime(line string) (idle, all uint64, err error) {
	const user, idleField, iowait, steal = 1, 4, 5, 8 // guests' time, which follows, is in user's
	f := strings.Fields(line)
	if len(f) <= steal || f[0] != "cpu" {
		return 0, 0, fmt.Errorf("reading the processors' time: /proc/stat begins with %q", line)
	}
	for i := user; i <= steal; i++ {
		n, err := strconv.ParseUint(f[i], 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("reading the processors' time: %w", err)
		}
		if all += n; i == idleField || i == iowait {
			idle += n
		}
	}
	return idle, all, nil
}
