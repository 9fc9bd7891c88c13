package main

import "testing"

func TestProcessorTime(t *testing.T) {
	idle, all, err := parseProcessorTime("cpu  10 1 20 500 5 2 3 4 100 0")
	if err != nil || idle != 505 || all != 545 {
		t.Errorf("%d of %d, %v", idle, all, err)
	}
	for _, line := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3", "cpu 1 2 3 x 5 6 7 8"} {
		if _, _, err := parseProcessorTime(line); err == nil {
			t.Errorf("%q is taken", line)
		}
	}
	if _, _, err := processorTime(); err != nil {
		t.Error(err)
	}
}
