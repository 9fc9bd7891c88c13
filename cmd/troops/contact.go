package main

import (
	"context"

	"troops/push"
	"troops/sshx"
)

// contact prepares what contacts the selected hosts and leaves this machine's files alone: a
// rollout that can dial, and the client behind it, which the caller closes. Warnings have been told.
func (o *pushOptions) contact(ctx context.Context, g *global) (*push.Rollout, *sshx.Client, error) {
	repo, err := openRepository(ctx, g.dir)
	if err != nil {
		return nil, nil, err
	}
	r, warnings, err := o.rollout(ctx, repo)
	if err != nil {
		return nil, nil, err
	}
	options, err := repo.sshOptions(ctx, g, o.transport)
	if err != nil {
		return nil, nil, err
	}
	options.ReadOnly = true
	g.fitFiles(r, &options)
	client, err := sshx.New(options)
	if err != nil {
		return nil, nil, err
	}
	r.Dial = push.SSH(client)
	g.warn(warnings)
	sayTouches(ctx, client, r, options.Warnf)
	return r, client, nil
}
