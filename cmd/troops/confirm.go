package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"troops/push"
)

// forceOptions are the flags that have nodes do what a push alone would not have them do.
type forceOptions struct {
	rerun, force, yes bool
}

func (f *forceOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "rerun", Usage: "run the deployment again on hosts that have the commit", DisableDefaultText: true, Destination: &f.rerun},
		&cli.BoolFlag{Name: "force", Usage: "go back to an earlier commit, or to one on another branch: hosts and commits are shown first", DisableDefaultText: true, Destination: &f.force},
		&cli.BoolFlag{Name: "yes", Usage: "do not ask about --force, troops.confirm and large pushes", DisableDefaultText: true, Destination: &f.yes},
	}
}

// flag reads a setting of git's configuration that is true or false, the latter where it is not set.
func (r *repository) flag(ctx context.Context, key string) (bool, error) {
	if _, set := r.config["troops."+strings.ToLower(key)]; !set {
		return false, nil
	}
	v, err := r.Line(ctx, "config", "--type=bool", "--get", "troops."+key)
	if err != nil {
		return false, fmt.Errorf("git config troops.%s must be true or false: %w", key, err)
	}
	return v == "true", nil
}

// agreement is what the user has to say yes to before a push.
type agreement struct {
	forceOptions
	confirm bool // a push to more than one host
	console *console
}

// agreement finds out what is to be asked. Whoever forces and cannot be asked has to say so.
func (o *pushOptions) agreement(ctx context.Context, repo *repository, stdin io.Reader) (a agreement, release func(), err error) {
	a.forceOptions, release = o.force, func() {}
	if o.dryRun || o.force.yes {
		return a, release, nil
	}
	if a.confirm, err = repo.flag(ctx, "confirm"); err != nil {
		return a, release, err
	}
	a.console, release = openConsole(stdin)
	if a.force && a.console == nil {
		return a, release, usagef("--force takes commits away from hosts, and nobody can be asked here: look with --force --dry-run, then add --yes")
	}
	return a, release, nil
}

// seek shows what the push will do where the user is to see it first, and asks. An error means
// that nothing is to be deployed.
func (a *agreement) seek(ctx context.Context, lines printer, r *push.Rollout) error {
	ask := a.confirm && a.console != nil && len(targetsOf(r)) > 1
	if !a.force && !ask {
		return nil
	}
	var text strings.Builder
	plans, err := r.Plan(ctx)
	losses := err == nil && a.force && r.AllowForce(plans)
	if err == nil {
		err = printPlan(ctx, &text, r, plans)
	}
	if err != nil {
		return err
	}
	if a.yes {
		for line := range strings.Lines(text.String()) {
			if losses {
				lines.Printf("%s", strings.TrimPrefix(line, "troops: "))
			}
		}
		return nil
	}
	if !losses && !ask {
		return nil
	}
	resume := lines.Silence()
	defer resume()
	question := "Deploy this and go on?"
	if losses {
		question = "Take away what is deployed there and go on?"
	}
	yes, err := a.console.confirm(ctx, text.String()+question)
	if err == nil && !yes {
		err = errors.New("the plan was not accepted: nothing was deployed")
	}
	return err
}

// send has the user agree to a push that sends a lot, or says that it is one. An error keeps
// the packs here.
func (a *agreement) send(ctx context.Context, lines printer, limit int64, l push.Load) error {
	if a.yes {
		lines.Printf("%s", l)
		return nil
	}
	if a.console == nil {
		return fmt.Errorf("%s: more than %s (git config troops.largePush) needs --yes where nobody can be asked", l, push.Bytes(limit))
	}
	resume := lines.Silence()
	defer resume()
	yes, err := a.console.confirm(ctx, fmt.Sprintf("troops: %s\nSend that?", l))
	if err == nil && !yes {
		err = fmt.Errorf("%s was not agreed to", l)
	}
	return err
}
