package sshx

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Target is a host as the user writes it: `[user@]name[:port]`.
type Target struct {
	User string // empty where not given
	Name string // alias, host name or IP address, without brackets, in the user's case
	Port int    // 0 where not given
}

// ParseTarget reads `[user@]name[:port]`. An IPv6 address with a port needs brackets.
// The last @ ends the user, as in ssh. Names that ssh refuses are errors.
func ParseTarget(s string) (Target, error) {
	var t Target
	rest := s
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		t.User, rest = s[:i], s[i+1:]
		if !validUser(t.User) {
			return Target{}, fmt.Errorf("sshx: parsing host %s: not a user name before the @", quote(s))
		}
	}
	port, hasPort := "", false
	switch {
	case strings.HasPrefix(rest, "["):
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return Target{}, fmt.Errorf("sshx: parsing host %s: no closing bracket", quote(s))
		}
		t.Name = rest[1:end]
		if tail := rest[end+1:]; tail != "" {
			if tail[0] != ':' {
				return Target{}, fmt.Errorf("sshx: parsing host %s: text after the bracket", quote(s))
			}
			port, hasPort = tail[1:], true
		}
	case strings.Count(rest, ":") == 1:
		t.Name, port, hasPort = strings.Cut(rest, ":")
	default:
		t.Name = rest
	}
	if !validHost(t.Name) {
		return Target{}, fmt.Errorf("sshx: parsing host %s: not a host name", quote(s))
	}
	if hasPort {
		p, err := parsePort(port)
		if err != nil {
			return Target{}, fmt.Errorf("sshx: parsing host %s: %w", quote(s), err)
		}
		t.Port = p
	}
	return t, nil
}

// parsePort accepts the decimal numbers 1 to 65535.
func parsePort(s string) (int, error) {
	p, err := strconv.ParseUint(s, 10, 16)
	if err != nil || p == 0 {
		return 0, fmt.Errorf("bad port %s", quote(s))
	}
	return int(p), nil
}

// validHost is ssh's own check of host names (valid_hostname in ssh.c), and stricter
// where a name could reach a shell by a ProxyCommand: a colon or percent sign stands
// only in an IPv6 address.
func validHost(s string) bool {
	if s == "" || len(s) > 1025 || s[0] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c == 0x7f || strings.IndexByte("'`\"$\\;&<>|(){},#*?!/@[]", c) >= 0 {
			return false
		}
	}
	if !strings.ContainsAny(s, ":%") {
		return true
	}
	_, err := netip.ParseAddr(s)
	return err == nil
}

// validUser is ssh's check of user names (valid_ruser in ssh.c of 9.6 and later).
func validUser(s string) bool {
	if s == "" || len(s) > 1025 || s[0] == '-' || s[len(s)-1] == '\\' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == 0x7f || strings.IndexByte("'`\";&<>|(){}", c) >= 0 {
			return false
		}
		if s[i] == ' ' && i+1 < len(s) && s[i+1] == '-' {
			return false
		}
	}
	return true
}
