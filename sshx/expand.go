package sshx

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// tokens are the values of the %-tokens of ssh_config(5), without those of %h.
type tokens map[byte]string

// expandTokens replaces %-tokens. A token that is not in t is an error, as in ssh.
func expandTokens(s string, t tokens) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", fmt.Errorf("%s ends with a lone %%", quote(s))
		}
		if s[i] == '%' {
			b.WriteByte('%')
			continue
		}
		v, ok := t[s[i]]
		if !ok {
			return "", fmt.Errorf("unknown token %%%s in %s", printable(s[i:i+1]), quote(s))
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

// expandEnv replaces ${NAME}. A variable that is not set is an error, as in ssh.
func expandEnv(s string, lookup func(string) (string, bool)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(s, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", errors.New("${ without }")
		}
		v, ok := lookup(name)
		if !ok {
			return "", fmt.Errorf("environment variable %s is not set", quote(name))
		}
		b.WriteString(v)
		s = after
	}
}

// expandTilde replaces a leading ~ or ~user.
func expandTilde(s, home string) (string, error) {
	if !strings.HasPrefix(s, "~") {
		return s, nil
	}
	name, rest, _ := strings.Cut(s[1:], "/")
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return "", fmt.Errorf("no home directory of %s: %w", quote(name), err)
		}
		home = u.HomeDir
	}
	return strings.TrimSuffix(home, "/") + "/" + rest, nil
}

// expandPath does all three, in ssh's order: ~, then tokens and variables.
func expandPath(s, home string, t tokens) (string, error) {
	s, err := expandTilde(s, home)
	if err != nil {
		return "", err
	}
	// One pass each: what a variable holds is not looked at for tokens again.
	parts := strings.SplitAfter(s, "}")
	for i, part := range parts {
		head, variable, found := strings.Cut(part, "${")
		if head, err = expandTokens(head, t); err != nil {
			return "", err
		}
		if found {
			if variable, err = expandEnv("${"+variable, os.LookupEnv); err != nil {
				return "", err
			}
		}
		parts[i] = head + variable
	}
	return strings.Join(parts, ""), nil
}

// tokensOf are the tokens that paths of a resolved host may hold.
func (s *settings) tokensOf(l local) tokens {
	alias := s.Alias
	if s.HostKeyAlias != "" {
		alias = strings.ToLower(s.HostKeyAlias)
	}
	return l.tokens(s.Alias, s.HostName, s.User, s.Port, alias, jumpHost(s.ProxyJump))
}

// jumpHost is the name of the last of some jump hosts: the one before the host itself.
func jumpHost(jumps string) string {
	hop, err := parseHop(jumps[strings.LastIndexByte(jumps, ',')+1:])
	if err != nil {
		return "" // there is none
	}
	return hop.Name
}

// tokens are the values of all %-tokens for a host.
func (l local) tokens(given, name, user string, port int, alias, jump string) tokens {
	short, _, _ := strings.Cut(l.hostname, ".")
	p := strconv.Itoa(port)
	hashed := l.hostname + name + p + user
	if jump != "" && (l.hashesJump == nil || l.hashesJump()) {
		hashed += jump
	}
	sum := sha1.Sum([]byte(hashed))
	return tokens{
		'C': hex.EncodeToString(sum[:]), 'd': l.home, 'h': name, 'i': strconv.Itoa(os.Getuid()), 'j': jump,
		'k': alias, 'L': short, 'l': l.hostname, 'n': given, 'p': p, 'r': user, 'u': l.user,
	}
}

// only are the tokens that some keyword allows.
func (t tokens) only(names string) tokens {
	some := make(tokens, len(names))
	for _, c := range []byte(names) {
		some[c] = t[c]
	}
	return some
}

// keyName is what known_hosts calls the host: its alias for keys, or its name.
func (s *settings) keyName() string {
	if s.HostKeyAlias != "" {
		return strings.ToLower(s.HostKeyAlias)
	}
	return s.HostName
}
