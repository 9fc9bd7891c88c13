package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"troops/bootstrap"
)

// userdataOptions are the flags of troops userdata.
type userdataOptions struct {
	url, binary, user string
	remotes           cli.StringSlice
}

func newUserdata(g *global) *cli.Command {
	var o userdataOptions
	return &cli.Command{
		Name:      "userdata",
		Usage:     "print user data that makes a cloud's machine a node at its first boot",
		ArgsUsage: " ",
		Description: `Prints a shell script for cloud-init (and whatever else runs a script as root on a new machine: a
preseed's late_command). It has apt-get install git, python3-venv and ca-certificates where one is
missing, fetches the program from --url, checks that it is the one that is here, by its SHA-256, and makes the machine
a node as 'troops bootstrap' does. With --remote the node deploys by itself from then on. The node's
key, to be let in at a remote by SSH, is printed there: see the machine's console log.

There are no secrets in it. Lines of your own go where it says so, near its end.

Exit codes: 0, or 2 for a usage error.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "url", Usage: "the machine fetches the program from `URL`; {arch} in it becomes amd64 or arm64", Destination: &o.url},
			&cli.StringFlag{Name: "binary", Usage: "`PATH` of the program that is there", DefaultText: "this one, and those of make dist", Destination: &o.binary},
			&cli.StringFlag{Name: "user", Usage: "let the machine's login `NAME` push, such as ubuntu, debian or admin", DefaultText: "root only", Destination: &o.user},
			&cli.StringSliceFlag{Name: "remote", Usage: "have the node pull from the git remote `NAME=URL` (may be given again)", Destination: &o.remotes},
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("userdata takes no arguments but options: see troops userdata --help")
			}
			if o.url == "" {
				return usagef("userdata needs --url, where the machine gets the program: see troops userdata --help")
			}
			return runUserdata(g, o)
		},
	}
}

func runUserdata(g *global, o userdataOptions) error {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	u := bootstrap.UserData{URL: o.url, Programs: bootstrap.NewPrograms(o.binary, own), User: o.user}
	if u.Remotes, err = parseRemotes(o.remotes.Value()); err != nil {
		return err
	}
	script, missing, err := u.Script()
	if err != nil {
		return usagef("userdata: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if len(script) > bootstrap.MaxUserData {
		return usagef("userdata: %d bytes are more than the %d that clouds take: fewer or shorter remotes", len(script), bootstrap.MaxUserData)
	}
	for _, arch := range missing {
		fmt.Fprintf(g.err, "troops: machines of linux/%s will refuse: there is no program for them here (make dist)\n", arch)
	}
	_, err = io.WriteString(g.out, script)
	return err
}

// parseRemotes reads the values of --remote.
func parseRemotes(values []string) (remotes []bootstrap.Remote, err error) {
	for _, s := range values {
		r, err := bootstrap.ParseRemote(s)
		if err != nil {
			return nil, usagef("--remote: %v", err)
		}
		remotes = append(remotes, r)
	}
	return remotes, nil
}
