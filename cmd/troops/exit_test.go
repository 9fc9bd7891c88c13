package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"troops/nodeside/deployment"
	"troops/push"
)

func TestExitCodes(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want int
		says string
	}{
		{"nothing wrong", nil, 0, ""},
		{"nodes, shown already", &nodesError{exitUnknown}, 4, ""},
		{"usage", usagef("no such thing: see --help"), 2, "troops: no such thing: see --help\n"},
		{"any other error", errors.New("disk full"), 2, "troops: disk full\n"},
		{"interrupted", fmt.Errorf("reading: %w", context.Canceled), 130, "troops: interrupted\n"},
		{"a deployment here", deployError(&deployment.ExitError{Command: "deploy.py", Code: 7}), 7, "troops: "},
		{"a deployment here that was killed", deployError(&deployment.ExitError{Command: "deploy.py", Signal: "killed"}), 1, "troops: "},
		{"several lines", errors.New("two things:\n  deploy.py:3: one\n"), 2, "troops: two things:\ntroops:   deploy.py:3: one\n"},
		{"pip, in a deployment here", deployError(&deployment.ExitError{Command: "pip install", Code: 1}), 2, "troops: "},
		{"hostile text", errors.New("node said \x1b]0;pwned\a"), 2, "troops: node said "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if got := exitCode(tt.err, &out); got != tt.want {
				t.Errorf("exit code %d, want %d", got, tt.want)
			}
			if !bytes.HasPrefix(out.Bytes(), []byte(tt.says)) || (tt.says == "" && out.Len() > 0) {
				t.Errorf("said %q, want %q", out.String(), tt.says)
			}
			if bytes.ContainsAny(out.Bytes(), "\x1b\a") {
				t.Errorf("printed control characters: %q", out.String())
			}
		})
	}
}

func TestRolloutCode(t *testing.T) {
	deployed, current := push.Deployed{}, push.Current{}
	tests := []struct {
		outcomes    []push.Outcome
		interrupted bool
		want        int
	}{
		{nil, false, 0},
		{[]push.Outcome{deployed, current}, false, 0},
		{[]push.Outcome{deployed, current}, true, 0},
		{[]push.Outcome{push.Started{}, current}, false, 0},
		{[]push.Outcome{deployed, push.Failed{}}, false, 1},
		{[]push.Outcome{push.Refused{}}, false, 1},
		{[]push.Outcome{push.Unreachable{}}, false, 1},
		{[]push.Outcome{push.Superseded{}}, false, 1},
		{[]push.Outcome{push.Failed{}, push.NotStarted{}}, false, 3},
		{[]push.Outcome{push.Unknown{}, push.NotStarted{}, push.Failed{}}, false, 4},
		{[]push.Outcome{push.NotStarted{}, deployed}, true, 130},
	}
	for _, tt := range tests {
		var results []push.NodeResult
		for _, o := range tt.outcomes {
			results = append(results, push.NodeResult{Outcome: o})
		}
		if got := rolloutCode(results, tt.interrupted); got != tt.want {
			t.Errorf("%v, interrupted %v: exit code %d, want %d", tt.outcomes, tt.interrupted, got, tt.want)
		}
	}
}
