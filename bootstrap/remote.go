package bootstrap

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// Remote is a git remote of a node's repository.
type Remote struct{ Name, URL string }

var remoteName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// remoteHelper is how a URL begins that has git run a program, such as ext::.
var remoteHelper = regexp.MustCompile(`^[A-Za-z0-9]*::`)

// ParseRemote parses NAME=URL. A URL with a password is refused: all members of the node's
// group troops can read it.
func ParseRemote(s string) (Remote, error) {
	name, address, ok := strings.Cut(s, "=")
	bad := func(why string) (Remote, error) {
		return Remote{}, fmt.Errorf("bad remote %q: %s", name, why) // without the URL: it may have a password
	}
	if !ok || !remoteName.MatchString(name) {
		return bad("a remote is NAME=URL, the name of letters, digits, '.', '_' and '-'")
	}
	hasSpace := strings.ContainsFunc(address, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	if address == "" || strings.HasPrefix(address, "-") || hasSpace || remoteHelper.MatchString(address) {
		return bad("the URL is ssh://, https:// or user@host:path, without spaces")
	}
	if u, err := url.Parse(address); err == nil && u.User != nil {
		if _, has := u.User.Password(); has {
			return bad("its URL has a password, which all members of group troops could read: give the node's own key access instead")
		}
	}
	return Remote{name, address}, nil
}

// remoteLines are remotes as apply.sh reads them.
func remoteLines(remotes []Remote) string {
	var b strings.Builder
	for _, r := range remotes {
		b.WriteString(r.Name + " " + r.URL + "\n")
	}
	return b.String()
}
