package deployment

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
)

const rolesFile = "roles.toml"

// fqdnTimeout is how long the machine may take to find out its domain.
const fqdnTimeout = 3 * time.Second

// The grammar of names, the same as the Python module's (troops/_names.py).
var (
	roleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	hostSpec = regexp.MustCompile(`^(?:[A-Za-z0-9._+][A-Za-z0-9._+@-]*@)?(?:([A-Za-z0-9][A-Za-z0-9._-]*)|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{1,5}))?$`)
)

// fileRoles returns the roles that roles.toml of the checkout gives a host, sorted.
// Without the file there are none. It does for an executable deploy what the Python
// module does for deploy.py.
func fileRoles(checkout, host string) ([]string, error) {
	data, err := os.ReadFile(filepath.Join(checkout, rolesFile))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("deployment: %w", err)
	}
	roles, err := parseRoles(data, host)
	if err != nil {
		return nil, fmt.Errorf("deployment: %s: %w", rolesFile, err)
	}
	return roles, nil
}

// parseRoles reads the format [role], hosts = ["[user@]name[:port]", ...].
func parseRoles(data []byte, host string) ([]string, error) {
	var file map[string]struct {
		Hosts []string `toml:"hosts"`
	}
	meta, err := toml.Decode(string(data), &file)
	if err != nil {
		return nil, err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s: only hosts is known", unknown[0])
	}
	host = strings.Trim(host, "[]")
	var roles []string
	for role, def := range file {
		if !validRole(role) {
			return nil, fmt.Errorf("%q is no name for a role", role)
		}
		has := false
		for _, h := range def.Hosts {
			m := hostSpec.FindStringSubmatch(h)
			if m == nil || !validPort(m[3]) {
				return nil, fmt.Errorf("[%s]: %q is no host: write [user@]name[:port]", role, h)
			}
			has = has || m[1]+m[2] == host
		}
		if has {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return roles, nil
}

// validPort accepts no port, and 1 to 65535.
func validPort(s string) bool {
	n, err := strconv.Atoi(s)
	return s == "" || err == nil && n >= 1 && n <= 65535
}

// machineName is the machine's own name, with its domain where it can find that out
// quickly: what hostname() of the Python module is without TROOPS_HOSTNAME.
func machineName(ctx context.Context, env []string) string {
	short, err := os.Hostname()
	if err != nil || strings.Contains(short, ".") {
		return short
	}
	ctx, cancel := context.WithTimeout(ctx, fqdnTimeout)
	defer cancel()
	file := lookPath(env, "hostname")
	if file == "" {
		return short
	}
	cmd := exec.CommandContext(ctx, file, "-f")
	cmd.Env, cmd.WaitDelay = env, DrainDelay
	out, err := cmd.Output()
	name := strings.TrimSpace(string(out))
	if err != nil || !strings.HasPrefix(strings.ToLower(name), strings.ToLower(short)+".") {
		return short
	}
	return name
}

// maxRole is the longest name of a role, in bytes.
const maxRole = 64

func validRole(name string) bool { return len(name) <= maxRole && roleName.MatchString(name) }
