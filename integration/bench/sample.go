package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// sampleInterval is how often memory is looked at: often enough for what lasts a second, too
// seldom to cost.
const sampleInterval = 50 * time.Millisecond

// sample returns, when stop is closed, the greatest sum of the unshared memory of this
// process's descendants that it saw.
func sample(stop <-chan struct{}) (most int64) {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return most
		case <-tick.C:
			most = max(most, unshared(children(os.Getpid())))
		}
	}
}

// unshared is the memory of processes and their descendants that is no file's.
func unshared(pids []int) (sum int64) {
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			continue // it has ended
		}
		if f := strings.Fields(string(b)); len(f) > 2 {
			resident, _ := strconv.ParseInt(f[1], 10, 64)
			shared, _ := strconv.ParseInt(f[2], 10, 64)
			sum += (resident - shared) * int64(os.Getpagesize())
		}
		sum += unshared(children(pid))
	}
	return sum
}

// children lists the processes that a process is the parent of.
func children(pid int) (pids []int) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		for _, f := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
	}
	return pids
}
