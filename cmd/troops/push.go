package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"troops/inventory"
	"troops/output"
	"troops/push"
	"troops/push/gitwire"
	"troops/sshx"
)

// pushOptions are the flags of troops push.
type pushOptions struct {
	selection selectOptions
	profiles  profiles
	parallel  int
	reconnect time.Duration
	repoPath  string
	branch    string
	transport string
	commit    string // a revision
	waves     waveOptions
	view      viewOptions
	force     forceOptions
	noWait    bool
	noVerify  bool
	dryRun    bool
	pull      bool // the hosts pull from their remotes instead: troops pull
}

func newPush(g *global) *cli.Command {
	var o pushOptions
	return &cli.Command{
		Name:      "push",
		Usage:     "deploy a commit to the hosts of its roles",
		ArgsUsage: "[COMMIT]",
		Description: `Reads the hosts from deploy.py and roles.toml at COMMIT (HEAD), pushes it to each host's
repository, in parallel, and shows what happens there. Hosts that have it already are left alone,
so pushing again deploys what failed or was not reached.

On a terminal, host keys that are not known yet are shown first, all at once, with one question.

--canary 10% deploys to a tenth, always the same hosts, and stops; a plain push then does the rest.
--waves 5%,25%,100% goes on by itself. Both stop at the first host that is not well, or at
--max-fail: no more hosts are started, those that run are followed.

--force shows which hosts lose which commits and asks, then takes away exactly these.

--no-wait leaves once the hosts have taken the run; pushing the same commit again follows it, and
troops cancel ends it.

On a terminal the status is below the lines of the hosts; Enter or Ctrl-\ prints the state of each.

The repository's pre-push hook is run once for all hosts. A push that sends more than 1 GB in all
(git config troops.largePush) says so first and asks, or needs --yes where nobody can be asked.

Ctrl-C once: start no more hosts, follow those that run. Twice: leave; what runs goes on, and
pushing the same commit again follows it.

` + exitStatusHelp,
		Flags: slices.Concat(o.selection.flags(), o.waves.flags(), o.force.flags(), o.view.flags(), []cli.Flag{
			&cli.IntFlag{Name: "parallel", Usage: "push to at most `N` hosts at once", DefaultText: "256, or git config troops.parallel", Destination: &o.parallel},
			&cli.DurationFlag{Name: "reconnect", Usage: "look for a host that was lost during its run for `TIME`", Value: push.DefaultReconnect, Destination: &o.reconnect},
			&cli.StringFlag{Name: "repo-path", Usage: "`PATH` of the repository on the hosts", DefaultText: push.DefaultRepoPath + ", or git config troops.nodePath", Destination: &o.repoPath},
			transportFlag(&o.transport),
			&cli.BoolFlag{Name: "no-wait", Usage: "leave hosts once they have taken the run, and do not show it", DisableDefaultText: true, Destination: &o.noWait},
			&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "look at the hosts, say what would happen, and change nothing", DisableDefaultText: true, Destination: &o.dryRun},
			&cli.BoolFlag{Name: "no-verify", Usage: "leave out the repository's pre-push hook", DisableDefaultText: true, Destination: &o.noVerify},
			&cli.StringFlag{Name: "branch", Usage: "the `NAME` of the branch on hosts that have none yet", DefaultText: "git config troops.branch, or the one checked out", Destination: &o.branch},
			o.profiles.cpuFlag(), o.profiles.memoryFlag(),
		}),
		Action: func(c *cli.Context) error {
			o.commit = "HEAD"
			switch {
			case c.Args().Len() > 1:
				return usagef("push takes one commit, after all options: see troops push --help")
			case o.reconnect <= 0:
				return usagef("--reconnect %v: more than 0", o.reconnect)
			case c.IsSet("parallel") && o.parallel < 1:
				return usagef("--parallel %d: at least 1", o.parallel)
			}
			if c.Args().Present() {
				o.commit = c.Args().First()
			}
			if err := errors.Join(o.waves.parse(c.IsSet), o.view.check(o.dryRun)); err != nil {
				return err
			}
			if o.noWait && (len(o.waves.shares) > 0 || o.waves.failing != nil) {
				return usagef("--no-wait finds out nothing that --canary, --waves or --max-fail could go by: leave it out")
			}
			return o.profiles.around(func() error { return runPush(c.Context, g, o) })
		},
	}
}

func runPush(ctx context.Context, g *global, o pushOptions) error {
	collectLess()
	defer oneProcessor(ctx)()
	color, err := output.ColorFor(g.color, g.out, os.Getenv)
	if err != nil {
		return err
	}
	repo, err := openRepository(ctx, g.dir)
	if err != nil {
		return err
	}
	r, warnings, err := o.rollout(ctx, repo)
	if err != nil {
		return err
	}
	options, err := repo.sshOptions(ctx, g, o.transport)
	if err != nil {
		return err
	}
	agreed, release, err := o.agreement(ctx, repo, g.in)
	defer release()
	if err != nil {
		return err
	}
	options.ReadOnly = o.dryRun
	g.fitFiles(r, &options)
	lines := o.view.open(g, color, hostsOf(targetsOf(r)))
	defer lines.Close() // of a push that does not begin
	if !o.dryRun {
		g.askBeside(lines, &options)
		if g.verbose {
			options.Logf = lines.Printf
		}
	}
	client, err := sshx.New(options)
	if err != nil {
		return err
	}
	sayTouches(ctx, client, r, options.Warnf)
	r.Dial, r.Starting = push.SSH(client), g.stop.soft
	if o.dryRun {
		g.warn(warnings)
		return errors.Join(dryRun(ctx, g.out, r, o.force.force), client.Close())
	}
	if err = askHostKeys(ctx, g.in, lines, client, targetsOf(r)); err == nil {
		err = agreed.seek(ctx, lines, r)
	}
	if err == nil && !o.noVerify && !o.pull && len(targetsOf(r)) > 0 {
		err = repo.prePush(g.stop.soft, g.err, r, o.commit)
	}
	if err != nil {
		return errors.Join(err, client.Close())
	}
	r.Agree = func(_ context.Context, l push.Load) error { return agreed.send(g.stop.soft, lines, r.LargePush, l) }
	deploy := r.Run
	if o.pull {
		deploy = r.Pull
	}
	results, err := show(g, r, deploy, lines, warnings)
	return g.ended(results, errors.Join(err, client.Close()))
}

// ended is what a rollout's end means for the program's.
func (g *global) ended(results []push.NodeResult, err error) error {
	if results == nil {
		return err // nothing was contacted
	}
	code := rolloutCode(results, g.stop.soft.Err() != nil)
	if err != nil {
		// Such as a full disk under standard output: what the nodes did counts, and this does.
		printError(g.err, err)
		code = max(code, exitNodes)
	}
	if code != exitOK {
		return &nodesError{code}
	}
	return nil
}

// rollout makes the options a rollout, all but how to reach the hosts, and gives what is to
// be told to the user as warnings.
func (o *pushOptions) rollout(ctx context.Context, repo *repository) (*push.Rollout, []inventory.Problem, error) {
	commit, err := repo.commit(ctx, o.commit)
	if err != nil {
		return nil, nil, err
	}
	r := &push.Rollout{
		Repo: repo.Repo, Layout: repo.layout, Commit: gitwire.OID(commit.oid), Parent: gitwire.OID(commit.parent),
		Subject: commit.subject, By: whoami(),
		RepoPath: repo.setting(o.repoPath, "nodePath"), Parallel: o.parallel, Reconnect: o.reconnect,
		Rerun: o.force.rerun, NoWait: o.noWait,
	}
	if r.Branch, err = repo.branch(ctx, o.branch); err != nil {
		return nil, nil, err
	}
	if r.Parallel == 0 {
		if r.Parallel, err = repo.number("parallel"); err != nil {
			return nil, nil, err
		}
	}
	if r.LargePush, err = repo.size(ctx, "largePush"); err != nil {
		return nil, nil, err
	}
	entries, warnings, err := o.selection.hosts(ctx, repo, commit.oid)
	if o.waves.plan(r, o); len(r.Waves) > 0 {
		entries = inventory.CanaryOrder(entries, o.selection.role.Value())
	}
	for _, e := range entries {
		r.Targets = append(r.Targets, push.Target{Host: e.Host.String(), Name: e.Host.Name, Roles: e.Roles, Complete: e.Complete})
	}
	return r, warnings, err
}

// show runs the rollout by deploy, a method of it, and prints it.
func show(g *global, r *push.Rollout, deploy func(context.Context) ([]push.NodeResult, error), lines *view, warnings []inventory.Problem) ([]push.NodeResult, error) {
	r.Sink = lines.sink
	for _, w := range warnings {
		lines.Printf("warning: %s", w)
	}
	release := context.AfterFunc(g.stop.soft, func() {
		lines.Printf("interrupted: no more hosts are started, following those that run; Ctrl-C again to leave them")
	})
	lines.watch()
	results, err := deploy(g.stop.hard)
	release()
	err = errors.Join(err, lines.end(results != nil))
	return results, err
}

// selectOptions are the flags that choose hosts, shared by the commands that contact them.
type selectOptions struct {
	role, host, exclude cli.StringSlice
	knownOnly           bool
}

func (s *selectOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "role", Usage: "only hosts with role `R` (may be given again)", Destination: &s.role},
		&cli.StringSliceFlag{Name: "host", Usage: "only hosts that match `PATTERN`, such as 'web-*' (may be given again)", Destination: &s.host},
		&cli.StringSliceFlag{Name: "exclude", Usage: "not the hosts that match `PATTERN` (may be given again)", Destination: &s.exclude},
		&cli.BoolFlag{Name: "known-only", Usage: "go on with the hosts that can be known where the roles depend on what only a node knows", DisableDefaultText: true, Destination: &s.knownOnly},
	}
}

// given reports whether any of the flags was given.
func (s *selectOptions) given() bool {
	return len(s.role.Value()) > 0 || len(s.host.Value()) > 0 || len(s.exclude.Value()) > 0 || s.knownOnly
}

// hosts reads the inventory of a commit and selects from it. The problems are to be told to
// the user as warnings.
func (s *selectOptions) hosts(ctx context.Context, repo *repository, oid string) ([]inventory.Entry, []inventory.Problem, error) {
	sel := inventory.Selection{Roles: s.role.Value(), Hosts: s.host.Value(), Exclude: s.exclude.Value(), KnownOnly: s.knownOnly}
	inv, err := inventory.Read(ctx, repo.Repo, oid, inventory.Options{})
	if err != nil && !(inventory.Unavailable(err) && sel.Literal()) {
		return nil, nil, err
	}
	entries, err := inv.Select(sel) // of nothing, where the hosts are not known: the names alone
	return entries, inv.Notes(sel), err
}
