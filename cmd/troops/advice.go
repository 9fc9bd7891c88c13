package main

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"troops/inventory"
	"troops/push"
)

// advice is how to deploy to hosts once they are nodes.
type advice struct {
	g         *global
	repo      *repository // without configuration outside of a repository
	inside    bool
	hosts     []inventory.Host
	roles     map[string]bool // the names that are in roles
	config    string          // of ssh
	transport string
}

// newAdvice parses the hosts' names; those that are in roles have user and port from there
// where they are given without.
func newAdvice(ctx context.Context, g *global, repo *repository, names []string) (*advice, error) {
	a := &advice{g: g, repo: repo, inside: repo != nil, roles: make(map[string]bool)}
	known := make(map[string]inventory.Host)
	if repo == nil {
		a.repo = &repository{}
	} else if head, err := repo.commit(ctx, "HEAD"); err == nil {
		var all selectOptions
		if entries, _, err := all.hosts(ctx, repo, head.oid); err == nil { // else nothing is known yet: a push will tell
			for _, e := range entries {
				known[e.Host.Name], a.roles[e.Host.Name] = e.Host, true
			}
		}
	}
	for _, name := range names {
		h, err := inventory.ParseHost(name)
		if err != nil {
			return nil, usagef("%v", err)
		}
		if full, ok := known[name]; ok {
			h = full
		}
		if !slices.Contains(a.hosts, h) {
			a.hosts = append(a.hosts, h)
		}
	}
	return a, nil
}

// lines are the commands that now work.
func (a *advice) lines(ctx context.Context) []string {
	if len(a.hosts) == 0 {
		return nil
	}
	branch := "master"
	if a.inside {
		if ref, err := a.repo.branch(ctx, ""); err == nil {
			branch = strings.TrimPrefix(ref, "refs/heads/")
		}
	}
	git, troops := "git ", "troops "
	if a.config != "" {
		git = "GIT_SSH_COMMAND=" + shellQuote("ssh -F "+shellQuote(a.config)) + " git "
		troops += "-F " + shellQuote(a.config) + " "
	}
	if a.g.dir != "." {
		git += "-C " + shellQuote(a.g.dir) + " "
		troops += "-C " + shellQuote(a.g.dir) + " "
	}
	lines := []string{"deploy from your deployment repository, to one host or to many:"}
	deploy, missing := troops+"push", []string(nil)
	if a.transport != "" {
		deploy += " --transport " + shellQuote(a.transport)
	}
	for _, h := range a.hosts {
		lines = append(lines, "  "+git+"push "+shellQuote(gitURL(h))+" "+shellQuote(branch))
		if a.roles[h.Name] {
			deploy += " --host " + shellQuote(h.Name)
		} else {
			missing = append(missing, h.String())
		}
	}
	if len(missing) < len(a.hosts) {
		lines = append(lines, "  "+deploy)
	}
	if len(missing) > 0 {
		lines = append(lines, "  "+troops+"push    # once a role in deploy.py has "+strings.Join(missing, ", "))
	}
	return lines
}

// gitURL is where git finds a node's repository.
func gitURL(h inventory.Host) string {
	user, name := "", h.Name
	if h.User != "" {
		user = h.User + "@"
	}
	if h.Port == 0 && !strings.Contains(name, ":") {
		return user + name + ":" + push.DefaultRepoPath
	}
	if h.Port != 0 {
		name = net.JoinHostPort(name, strconv.Itoa(h.Port))
	} else {
		name = "[" + name + "]"
	}
	return "ssh://" + user + name + push.DefaultRepoPath
}
