package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/urfave/cli/v2"

	"troops/doctor"
	"troops/nodeside/python"
	"troops/output"
	"troops/sshx"
)

// maxExamined is how many hosts troops doctor examines at once.
const maxExamined = 32

// doctorOptions are the flags of troops doctor.
type doctorOptions struct {
	selection selectOptions
	repoPath  string
	transport string
}

func newDoctor(g *global) *cli.Command {
	var o doctorOptions
	return &cli.Command{
		Name:      "doctor",
		Usage:     "show step by step how hosts are reached, and what a push would find there",
		ArgsUsage: "[HOST...]",
		Description: `Resolves each HOST (by default those of the roles at HEAD), connects as a push does, and looks at
what is there, without changing anything here or there: an unknown host key is not added.
A HOST need not be in the roles; without any, this works outside of a repository, too.

Exit codes: 0, 1 if a push to some host would not work, 2 for a usage, repository or inventory error.`,
		Flags: append(o.selection.flags(),
			&cli.StringFlag{Name: "repo-path", Usage: "`PATH` of the repository on the hosts", DefaultText: "as troops push", Destination: &o.repoPath},
			transportFlag(&o.transport),
		),
		Action: func(c *cli.Context) error {
			if c.Args().Present() && o.selection.given() {
				return usagef("doctor takes hosts, or options that select them, not both")
			}
			return runDoctor(c.Context, g, o, c.Args().Slice())
		},
	}
}

func runDoctor(ctx context.Context, g *global, o doctorOptions, names []string) error {
	color, err := output.ColorFor(g.color, g.out, os.Getenv)
	if err != nil {
		return err
	}
	repo, err := openRepository(ctx, g.dir)
	if err != nil {
		if len(names) == 0 || g.dir != "." {
			return err
		}
		repo = &repository{}
	}
	hosts, warnings, err := o.hosts(ctx, repo, err == nil, names)
	if err != nil {
		return err
	}
	options, err := repo.sshOptions(ctx, g, o.transport)
	if err != nil {
		return err
	}
	d, err := doctor.New(doctor.Options{SSH: options, RepoPath: repo.setting(o.repoPath, "nodePath")})
	if err != nil {
		return err
	}
	defer d.Close() // has no errors that a reader could act on
	p := &reportPrinter{w: g.out, color: color}
	p.print(workstation(ctx, options))
	for _, w := range warnings {
		p.say("warning: %s", w)
	}
	well := 0
	for r := range d.ExamineAll(ctx, hosts, maxExamined) {
		p.print(r)
		if r.Well() {
			well++
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	p.say("%d of %d hosts are well", well, len(hosts))
	if p.err == nil && well < len(hosts) {
		return &nodesError{exitNodes}
	}
	return p.err
}

// hosts are those to examine: the names, with the user and port of their role where they are
// in one and have none, or all that are selected.
func (o *doctorOptions) hosts(ctx context.Context, repo *repository, inRepo bool, names []string) ([]string, []string, error) {
	if !inRepo {
		return names, nil, nil
	}
	var hosts, warnings []string
	head, err := repo.commit(ctx, "HEAD")
	if err != nil && len(names) > 0 {
		return names, nil, nil // as outside of a repository
	}
	if err != nil {
		return nil, nil, err
	}
	entries, problems, err := o.selection.hosts(ctx, repo, head.oid)
	if err != nil && len(names) == 0 {
		return nil, nil, err
	}
	for _, p := range problems {
		warnings = append(warnings, p.String())
	}
	known := make(map[string]string)
	for _, e := range entries {
		hosts = append(hosts, e.Host.String())
		known[e.Host.Name] = e.Host.String()
	}
	if len(names) == 0 {
		return hosts, warnings, nil
	}
	hosts = nil
	for _, name := range names {
		if full, ok := known[name]; ok {
			name = full
		}
		hosts = append(hosts, name)
	}
	return hosts, nil, nil
}

// workstation is what this machine brings along.
func workstation(ctx context.Context, o sshx.Options) doctor.Report {
	r := doctor.Report{Host: "this machine"}
	add := func(topic, text string) {
		r.Findings = append(r.Findings, doctor.Finding{Topic: topic, Level: doctor.Good, Text: text})
	}
	add("troops", fmt.Sprintf("%s, %s/%s", python.Version(), runtime.GOOS, runtime.GOARCH))
	add("git", firstLine(ctx, "git", "--version"))
	add("ssh", firstLine(ctx, "ssh", "-V"))
	config := "~/.ssh/config and the system's"
	if o.ConfigFile != "" {
		config = o.ConfigFile
	}
	add("configuration", config)
	agent := "none (SSH_AUTH_SOCK is not set)"
	if s := os.Getenv("SSH_AUTH_SOCK"); s != "" {
		agent = s
	}
	add("agent", agent)
	return r
}

// firstLine runs a program for its version.
func firstLine(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil && line == "" {
		return "not installed"
	}
	return line
}

// reportPrinter prints reports, made safe, until the first error.
type reportPrinter struct {
	w     io.Writer
	color output.Color
	err   error
}

func (p *reportPrinter) say(format string, args ...any) {
	p.write("troops: " + clean(fmt.Sprintf(format, args...)) + "\n")
}

func (p *reportPrinter) write(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

// print prints one report.
func (p *reportPrinter) print(r doctor.Report) { p.write(output.Report(r, p.color)) }
