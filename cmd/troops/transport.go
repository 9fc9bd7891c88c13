package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"troops/gitcli"
	"troops/sshx"
)

// transportFlag forces how the hosts are reached.
func transportFlag(dst *string) cli.Flag {
	return &cli.StringFlag{
		Name: "transport", Usage: "reach the hosts by `WAY`: native, openssh or auto", EnvVars: []string{"TROOPS_TRANSPORT"},
		DefaultText: "auto, or git config troops.transport", Destination: dst,
	}
}

// sshOptions are the options of ssh by the command line, the environment and git's configuration.
func (r *repository) sshOptions(ctx context.Context, g *global, transport string) (sshx.Options, error) {
	o := sshx.Options{ConfigFile: r.setting(g.sshConfig, "sshConfig")}
	g.ask(&o)
	var err error
	if o.Transport, err = sshx.ParseTransport(r.setting(transport, "transport")); err != nil {
		return o, usagef("%v (--transport, $TROOPS_TRANSPORT or git config troops.transport)", err)
	}
	o.Program, err = r.gitSSH(ctx, os.LookupEnv)
	return o, err
}

// gitSSH is the ssh program that the user has git use, by git's own rules: what
// GIT_SSH_COMMAND, core.sshCommand and GIT_SSH say, in this order; nil where none is set.
func (r *repository) gitSSH(ctx context.Context, env func(string) (string, bool)) (*sshx.Program, error) {
	config := r.config
	if config == nil {
		var err error
		if config, err = r.values(ctx, `^(core\.sshcommand|ssh\.variant)$`); err != nil {
			return nil, err
		}
	}
	var p sshx.Program
	if v, ok := env("GIT_SSH_COMMAND"); ok {
		p = sshx.Program{Command: v, Shell: true, Source: "GIT_SSH_COMMAND"}
	} else if v, ok := config["core.sshcommand"]; ok {
		p = sshx.Program{Command: v, Shell: true, Source: "core.sshCommand"}
	} else if v, ok := env("GIT_SSH"); ok {
		p = sshx.Program{Command: v, Source: "GIT_SSH"}
	}
	if strings.TrimSpace(p.Command) == "" {
		return nil, nil
	}
	variant, set := env("GIT_SSH_VARIANT")
	if !set {
		variant, set = config["ssh.variant"]
	}
	if p.Variant = variant; set && variant == "" {
		p.Variant = "ssh" // as whatever git does not know
	}
	return &p, nil
}

// values are the settings of git's configuration whose names match a pattern, by name in lower case.
func (r *repository) values(ctx context.Context, pattern string) (map[string]string, error) {
	out, err := r.Run(ctx, nil, "config", "-z", "--get-regexp", pattern)
	var ge *gitcli.Error
	if err != nil && !(errors.As(err, &ge) && ge.ExitCode() == 1) { // 1: nothing matches
		return nil, err
	}
	config := make(map[string]string)
	for kv := range strings.SplitSeq(string(out), "\x00") {
		switch key, value, ok := strings.Cut(kv, "\n"); {
		case ok:
			config[key] = value
		case key != "":
			config[key] = "true" // a key alone, git-config(1)
		}
	}
	return config, nil
}
