package inventory

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Host is a host as deploy.py or roles.toml writes it, [user@]name[:port]. It is comparable;
// its zero value is no host.
type Host struct {
	User string // empty: whatever ssh's configuration says
	Name string // what troops.hostname() returns on the node; an IPv6 address without brackets
	Port int    // 1 to 65535; 0: whatever ssh's configuration says
	text string
}

// String returns the host as it is written.
func (h Host) String() string { return h.text }

// MaxHost is the longest host that [ParseHost] takes, in bytes.
const MaxHost = 255

// ParseHost parses [user@]name[:port]. The user ends at the last '@'. The name is made of
// letters, digits, '.', '_' and '-' and begins with a letter or digit, or it is an IPv6
// address without a zone, in brackets. Whatever passes can be given to ssh after "--" and
// shown on a terminal as it is; errors quote what does not.
func ParseHost(s string) (Host, error) {
	h := Host{text: s}
	bad := func(why string) (Host, error) {
		return Host{}, fmt.Errorf("bad host name %s: %s", quoteShort(s), why)
	}
	if s == "" {
		return bad("it is empty")
	}
	if len(s) > MaxHost {
		return bad(fmt.Sprintf("it is longer than %d bytes", MaxHost))
	}
	rest := s
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		h.User, rest = s[:i], s[i+1:]
		if h.User == "" || !(isAlnum(h.User[0]) || h.User[0] == '_') || !all(h.User, isUserByte) {
			return bad("the user before '@' is letters, digits, '.', '_', '+', '@' and '-', and begins with a letter, digit or '_'")
		}
	}
	name, port, hasPort := rest, "", false
	if strings.HasPrefix(rest, "[") {
		addr, after, ok := strings.Cut(rest[1:], "]")
		ip, err := netip.ParseAddr(addr)
		if !ok || err != nil || !ip.Is6() || ip.Zone() != "" {
			return bad("brackets hold an IPv6 address without a zone, such as [2001:db8::1]:22")
		}
		if name = addr; after != "" {
			if after[0] != ':' {
				return bad("only :port may follow the bracket")
			}
			port, hasPort = after[1:], true
		}
	} else {
		name, port, hasPort = strings.Cut(rest, ":")
		if strings.Contains(port, ":") {
			return bad("an IPv6 address stands in brackets, such as [2001:db8::1]:22")
		}
		if name == "" || !isAlnum(name[0]) || !all(name, isNameByte) {
			return bad("a name is letters, digits, '.', '_' and '-', and begins with a letter or digit")
		}
	}
	h.Name = name
	if hasPort {
		var err error
		if h.Port, err = strconv.Atoi(port); err != nil || h.Port < 1 || h.Port > 65535 || port != strconv.Itoa(h.Port) {
			return bad("a port is a number from 1 to 65535")
		}
	}
	return h, nil
}

// MaxRole is the longest name of a role, in bytes.
const MaxRole = 64

// ValidRole reports whether s can name a role: letters, digits, '.', '_' and '-', beginning
// with a letter or digit, at most [MaxRole] bytes.
func ValidRole(s string) bool {
	return s != "" && len(s) <= MaxRole && isAlnum(s[0]) && all(s, isNameByte)
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isNameByte(c byte) bool { return isAlnum(c) || c == '.' || c == '_' || c == '-' }

func isUserByte(c byte) bool { return isNameByte(c) || c == '+' || c == '@' }

func all(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}

// quoteShort quotes untrusted text for an error, with its middle left out where it is long.
func quoteShort(s string) string {
	const limit = 80
	if len(s) > limit {
		return strconv.QuoteToASCII(s[:limit-20]) + "..." + strconv.QuoteToASCII(s[len(s)-10:])
	}
	return strconv.QuoteToASCII(s)
}
