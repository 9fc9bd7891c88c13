package sshx

import (
	"fmt"
	"net/netip"
	"net/url"
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

// parseHop reads one jump host of a ProxyJump as ssh does: `[user@]host[:port]`, an IPv6
// address in brackets, or an ssh:// URI. Whether the name is one is seen when it is used.
func parseHop(s string) (Target, error) {
	bad := fmt.Errorf("bad jump host %s", quote(s))
	uri, isURI := strings.CutPrefix(s, "ssh://")
	if isURI {
		s = uri
	}
	var t Target
	at := strings.LastIndexByte(s, '@')
	if isURI {
		at = strings.IndexByte(s, '@')
	}
	if at == 0 {
		return t, bad
	}
	if at > 0 {
		t.User, s = s[:at], s[at+1:]
	}
	if isURI {
		var err error
		t.User, _, _ = strings.Cut(t.User, ";") // connection parameters, which ssh ignores, too
		if t.User, err = url.PathUnescape(t.User); err != nil || at > 0 && t.User == "" {
			return t, bad
		}
	}
	end := strings.IndexAny(s, ":/")
	if strings.HasPrefix(s, "[") {
		if end = strings.IndexByte(s, ']') + 1; end == 0 || end < len(s) && s[end] != ':' && s[end] != '/' {
			return t, bad
		}
	}
	port := ""
	t.Name = s
	if end >= 0 && end < len(s) {
		t.Name, port = s[:end], s[end+1:]
		switch {
		case isURI && s[end] == '/':
			port = "" // it is a path
		case isURI:
			port, _, _ = strings.Cut(port, "/")
		case s[end] == '/':
			return t, bad
		}
	}
	if t.Name = strings.TrimSuffix(strings.TrimPrefix(t.Name, "["), "]"); t.Name == "" || isURI && strings.Contains(t.Name, ":") {
		return t, bad
	}
	if port != "" {
		p, err := parsePortOrService(port)
		if err != nil {
			return t, bad
		}
		t.Port = p
	}
	return t, nil
}

// String writes a target so that [ParseTarget] reads the same.
func (t Target) String() string {
	name := t.Name
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if t.User != "" {
		name = t.User + "@" + name
	}
	if t.Port != 0 {
		name += ":" + strconv.Itoa(t.Port)
	}
	return name
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
