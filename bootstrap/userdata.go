package bootstrap

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// MaxUserData is the most that clouds take as user data, in bytes: Amazon EC2's limit, before
// base64 (its user guide, "Run commands when you launch an EC2 instance").
const MaxUserData = 16 << 10

// archHole stands in a URL for the machine's architecture, amd64 or arm64.
const archHole = "{arch}"

//go:embed fetch.sh
var fetchScript string

// UserData is what the user data of a machine that is to be a node is made of.
type UserData struct {
	URL      string    // http or https: where the machine gets the program; "{arch}" in it is amd64 or arm64 there
	Programs *Programs // has the same program here: its SHA-256 is what counts there
	User     string    // login that may push; empty for none but root
	Remotes  []Remote  // that the node pulls from
}

// certificates are where Debian has those that https needs.
const certificates = "/etc/ssl/certs/ca-certificates.crt"

// firstPull ends the script. The timer may pull as soon as there is a remote, and a remote that
// does not let the node in yet is looked at again by it.
const firstPull = `echo "troops: this node's key: $("$bin" node key)"

# Lines of your own, for what has to be there before the first pull, go here.

while read -r name url; do
    [ -z "$name" ] || set_remote "$name" "$url"
done <<END
$pulls
END
[ -z "$pulls" ] || "$bin" node pull || true
`

// loginName is what useradd(8) of Debian lets be a user.
var loginName = regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,31}$`)

// Script is a shell script that makes a machine a node at its first boot, as cloud-init runs it, with
// no connection to it: it has apt-get install what is missing, fetches the program, checks its
// SHA-256, and does what [All] does then. Missing are the architectures that it has no program for.
func (u UserData) Script() (script string, missing []string, err error) {
	address, err := url.Parse(strings.ReplaceAll(u.URL, archHole, "arch"))
	if err != nil || address.Host == "" || address.Scheme != "https" && address.Scheme != "http" {
		return "", nil, fmt.Errorf("bad URL %q of the program: https://... is wanted", u.URL)
	}
	if address.User != nil {
		return "", nil, errors.New("the URL of the program has a password, or a name: everything on a machine can read its user data")
	}
	if u.User != "" && !loginName.MatchString(u.User) {
		return "", nil, fmt.Errorf("bad user %q", u.User)
	}
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Made by `troops userdata`: makes this machine a node at its first boot, as root.\n")
	var errs []error
	for _, uname := range []string{"x86_64", "aarch64"} {
		prog, err := u.Programs.forArch(uname)
		if err != nil {
			missing, errs = append(missing, architectures[uname]), append(errs, err)
			continue
		}
		fmt.Fprintf(&b, "sum_%[1]s=%[2]s size_%[1]s=%[3]d\n", prog.arch, prog.sum, prog.size)
	}
	switch {
	case len(missing) == len(architectures):
		return "", missing, errors.Join(errs...)
	case len(missing) == 0 && !strings.Contains(u.URL, archHole):
		return "", nil, fmt.Errorf("there are programs for amd64 and arm64, and one URL: write %s where its name has the architecture, or choose one with --binary", archHole)
	}
	user := u.User
	if user == "" {
		user = "root"
	}
	for _, v := range [][2]string{{"url", u.URL}, {"user", user}, {"remotes", ""}, {"pulls", remoteLines(u.Remotes)},
		{"packages", "git python3 python3-venv ca-certificates"}} {
		fmt.Fprintf(&b, "%s=%s\n", v[0], quote(v[1]))
	}
	b.WriteString("\nif ! git --version || ! python3 -I -c 'import ensurepip, venv' || ! [ -e " + certificates + " ]; then\n(\n" + packagesScript + ") || exit 1\nfi\n\n")
	b.WriteString(fetchScript + "\n" + applyScript)
	b.WriteString("\n" + firstPull)
	return b.String(), missing, nil
}
