package main

import (
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"troops/push"
)

// waveOptions are the flags that have a rollout reach some hosts before others.
type waveOptions struct {
	canary, waves, maxFail string
	soak                   time.Duration

	shares  []push.Share
	failing *push.Share
}

func (w *waveOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "canary", Usage: "deploy to `N|P%` of the hosts, spread over their roles, and stop", Destination: &w.canary},
		&cli.StringFlag{Name: "waves", Usage: "deploy to `SHARES` of the hosts one after the other, such as 5%,25%,100%", Destination: &w.waves},
		&cli.DurationFlag{Name: "soak", Usage: "wait `TIME` after a wave before its hosts are checked and the next one begins", Destination: &w.soak},
		&cli.StringFlag{Name: "max-fail", Usage: "stop when more than `N|P%` of the hosts are not well", DefaultText: "0 with --canary and --waves, else no limit", Destination: &w.maxFail},
	}
}

// parse reads what was given; isSet tells which flags that is.
func (w *waveOptions) parse(isSet func(string) bool) error {
	switch {
	case isSet("canary") && isSet("waves"):
		return usagef("--canary stops after one wave, --waves goes on: give one of them")
	case isSet("soak") && !isSet("waves") && !isSet("canary"):
		return usagef("--soak is the time after a wave: give --waves or --canary, too")
	case w.soak < 0:
		return usagef("--soak %v: not below 0", w.soak)
	case isSet("canary") && strings.Contains(w.canary, ","):
		return usagef("--canary takes one share; a list is for --waves")
	}
	var err error
	for _, f := range []struct{ name, value string }{{"canary", w.canary}, {"waves", w.waves}} {
		if !isSet(f.name) {
			continue
		}
		if w.shares, err = push.ParseShares(f.value); err != nil {
			return usagef("--%s %v", f.name, err)
		}
	}
	if isSet("max-fail") {
		share, err := push.ParseShare(w.maxFail)
		if err != nil {
			return usagef("--max-fail %v", err)
		}
		w.failing = &share
	}
	return nil
}

// plan gives a rollout its waves.
func (w *waveOptions) plan(r *push.Rollout, o *pushOptions) {
	r.Waves, r.Soak, r.MaxFail = w.shares, w.soak, w.failing
	promote := []string{"troops", "push"}
	for _, f := range []struct {
		name   string
		values []string
	}{{"--role", o.selection.role.Value()}, {"--host", o.selection.host.Value()}, {"--exclude", o.selection.exclude.Value()}} {
		for _, v := range f.values {
			promote = append(promote, f.name, shellQuote(v))
		}
	}
	if o.force.rerun {
		promote = append(promote, "--rerun")
	}
	if o.force.force {
		promote = append(promote, "--force")
	}
	if o.commit != "HEAD" {
		promote = append(promote, shellQuote(o.commit))
	}
	r.Promote = strings.Join(promote, " ")
}

// shellQuote is a word as a shell reads it, for a command that a person may copy.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("@%+=:,./-_", r)
	}
	if s != "" && strings.TrimFunc(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
