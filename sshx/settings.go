package sshx

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// local is what the workstation itself contributes to a resolution.
type local struct {
	home     string // $HOME
	user     string // the local user's name
	hostname string
	moved    bool // home is not the one of the password database, where ssh looks

	hashesJump func() bool // whether %C depends on the jump host, as it does since 9.6; nil for yes
}

// settings are a host's options as one dial needs them, expanded and typed.
type settings struct {
	Alias    string // the name that was asked for
	HostName string // to resolve and connect to, lower case
	User     string
	Port     int

	AddressFamily      string // "any", "inet" or "inet6"
	BindAddress        string
	BindInterface      string
	ConnectTimeout     time.Duration // 0 where not configured
	ConnectionAttempts int
	RekeyBytes         int64 // 0 for the library's default

	IdentityFiles    []string // existing or not, in order
	CertificateFiles []string
	IdentitiesOnly   bool
	IdentityAgent    string // socket; empty for SSH_AUTH_SOCK, "none" for no agent
	BatchMode        bool
	RequiredRSASize  int
	PubkeyAuth       bool
	PreferredAuth    string // as written, empty for ssh's order
	PasswordPrompts  int
	GSSAPI           bool
	Hostbased        bool
	PKCS11Provider   string // empty for none

	ProxyJump      string // empty for none
	ProxyCommand   string // expanded, empty for none
	ProxyTemplate  string // ProxyCommand before its tokens are expanded
	ProxyUseFdpass bool
	ControlPath    string // expanded, empty for none

	HostKeyAlias     string
	UserKnownHosts   []string
	GlobalKnownHosts []string
	StrictHostKey    string // "yes", "ask", "accept-new", "no"
	HashKnownHosts   bool
	RevokedHostKeys  string

	KnownHostsCommand   string // before its tokens are expanded, empty for none
	NoHostAuthLocalhost bool

	Ciphers, MACs, KexAlgorithms, HostKeyAlgorithms, PubkeyAlgorithms, CASignatureAlgorithms string // lists as written, may begin with + - ^

	AliveInterval time.Duration // 0 where not configured
	AliveCount    int           // 0 where not configured
}

// usesKeys reports whether the configuration lets a key prove who the user is, the only way
// of our own connections.
func (s *settings) usesKeys() bool {
	return s.PubkeyAuth && (s.PreferredAuth == "" || slices.Contains(strings.Split(s.PreferredAuth, ","), "publickey"))
}

// The files that ssh looks for where the configuration names none.
var (
	defaultIdentities       = []string{"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ecdsa_sk", "~/.ssh/id_ed25519", "~/.ssh/id_ed25519_sk"}
	defaultUserKnownHosts   = []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}
	defaultGlobalKnownHosts = []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}
)

// settings types and expands the keywords of a target.
func (r raw) settings(t Target, l local) (*settings, error) {
	s := &settings{Alias: t.Name, User: t.User, Port: t.Port}
	if err := r.name(s, l); err != nil {
		return nil, err
	}
	if err := r.scalars(s); err != nil {
		return nil, err
	}
	tok := s.tokensOf(l)
	if err := r.paths(s, l, tok); err != nil {
		return nil, err
	}
	if cmd := r.word("proxycommand"); s.ProxyJump == "" && cmd != "" {
		expanded, err := expandTokens(cmd, tok.only("hknpr"))
		if err != nil {
			return nil, r["proxycommand"][0].fail(err)
		}
		s.ProxyTemplate, s.ProxyCommand = cmd, expanded
	}
	return s, nil
}

// name settles who is asked for and where: user, port, host name.
func (r raw) name(s *settings, l local) error {
	name, err := r.hostname(s.Alias)
	if err != nil {
		return err
	}
	if s.HostName = canonicalName(name, r.first("addressfamily")); !validHost(s.HostName) {
		return fmt.Errorf("hostname %s contains invalid characters", quote(s.HostName))
	}
	for _, user := range []string{r.first("user"), l.user} {
		if s.User == "" {
			s.User = user
		}
	}
	if !validUser(s.User) {
		return fmt.Errorf("user %s contains invalid characters", quote(s.User))
	}
	if v := r.first("port"); s.Port == 0 && v != "" {
		if s.Port, err = parsePortOrService(v); err != nil {
			return err
		}
	} else if s.Port == 0 {
		s.Port = 22
	}
	s.HostKeyAlias = r.first("hostkeyalias")
	if jumps := r.word("proxyjump"); jumps != "" {
		s.ProxyJump, err = canonicalJumps(jumps)
	}
	return err
}

// canonicalJumps writes each jump host of a list in the same way, whoever wrote it.
func canonicalJumps(jumps string) (string, error) {
	hops := strings.Split(jumps, ",")
	for i, h := range hops {
		t, err := parseHop(h)
		if err != nil {
			return "", err
		}
		hops[i] = t.String()
	}
	return strings.Join(hops, ","), nil
}

// scalars types the words, flags, numbers and times. Their form was checked when a file
// was read; `ssh -G` is checked here.
func (r raw) scalars(s *settings) error {
	s.StrictHostKey, s.PasswordPrompts, s.PubkeyAuth = "ask", 3, true
	for keyword, dst := range map[string]*string{
		"bindaddress": &s.BindAddress, "bindinterface": &s.BindInterface, "preferredauthentications": &s.PreferredAuth,
		"ciphers": &s.Ciphers, "macs": &s.MACs, "kexalgorithms": &s.KexAlgorithms, "hostkeyalgorithms": &s.HostKeyAlgorithms,
		"pubkeyacceptedalgorithms": &s.PubkeyAlgorithms, "casignaturealgorithms": &s.CASignatureAlgorithms,
	} {
		*dst = r.first(keyword)
	}
	s.AddressFamily = strings.ToLower(r.first("addressfamily"))
	s.PKCS11Provider, s.KnownHostsCommand = r.word("pkcs11provider"), r.word("knownhostscommand")
	if v := r.first("pubkeyauthentication"); v != "" {
		on, err := parseFlag(v)
		s.PubkeyAuth = on || err != nil // also "unbound" and "host-bound"
	}
	return cmp.Or(
		typed(r, "stricthostkeychecking", &s.StrictHostKey, parseStrictness),
		typed(r, "identitiesonly", &s.IdentitiesOnly, parseFlag),
		typed(r, "batchmode", &s.BatchMode, parseFlag),
		typed(r, "hashknownhosts", &s.HashKnownHosts, parseFlag),
		typed(r, "nohostauthenticationforlocalhost", &s.NoHostAuthLocalhost, parseFlag),
		typed(r, "gssapiauthentication", &s.GSSAPI, parseFlag),
		typed(r, "hostbasedauthentication", &s.Hostbased, parseFlag),
		typed(r, "proxyusefdpass", &s.ProxyUseFdpass, parseFlag),
		typed(r, "numberofpasswordprompts", &s.PasswordPrompts, parseNumber),
		typed(r, "requiredrsasize", &s.RequiredRSASize, parseNumber),
		typed(r, "connectionattempts", &s.ConnectionAttempts, parseAttempts),
		typed(r, "serveralivecountmax", &s.AliveCount, parseNumber),
		typed(r, "connecttimeout", &s.ConnectTimeout, parseDuration),
		typed(r, "serveraliveinterval", &s.AliveInterval, parseDuration),
		typed(r, "rekeylimit", &s.RekeyBytes, parseSize),
	)
}

// typed parses a keyword's value into dst, which keeps its default where there is none.
func typed[T any](r raw, keyword string, dst *T, parse func(string) (T, error)) error {
	v := r.first(keyword)
	if v == "" {
		return nil
	}
	value, err := parse(v)
	if err != nil {
		return r[keyword][0].fail(err)
	}
	*dst = value
	return nil
}

// parseAttempts is parseNumber for ConnectionAttempts, which ssh wants above zero.
func parseAttempts(s string) (int, error) {
	n, err := parseNumber(s)
	if err == nil && n == 0 {
		err = errors.New("no attempt at all")
	}
	return n, err
}

// paths expands what names files and sockets.
func (r raw) paths(s *settings, l local, tok tokens) (err error) {
	if s.IdentityFiles, err = r.files("identityfile", l.home, tok, defaultIdentities); err != nil {
		return err
	}
	if s.CertificateFiles, err = r.files("certificatefile", l.home, tok, nil); err != nil {
		return err
	}
	if s.UserKnownHosts, err = r.files("userknownhostsfile", l.home, tok, defaultUserKnownHosts); err != nil {
		return err
	}
	if s.GlobalKnownHosts, err = r.files("globalknownhostsfile", l.home, nil, defaultGlobalKnownHosts); err != nil {
		return err
	}
	for keyword, dst := range map[string]*string{"revokedhostkeys": &s.RevokedHostKeys, "controlpath": &s.ControlPath} {
		if r.word(keyword) == "" {
			continue
		}
		if *dst, err = r[keyword][0].path(r.word(keyword), l.home, tok); err != nil {
			return err
		}
	}
	return r.agentSocket(s, l.home, tok)
}

// files gives the paths of a keyword that takes several, or def, expanded; `none` is no path.
func (r raw) files(keyword, home string, tok tokens, def []string) ([]string, error) {
	values := r[keyword]
	if len(values) == 0 {
		values = []*directive{{keyword: keyword, args: def}}
	}
	var out []string
	for _, d := range values {
		for _, v := range d.args {
			if strings.EqualFold(v, "none") {
				continue
			}
			p, err := d.path(v, home, tok)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
	}
	return out, nil
}

// path expands one path of a directive. Without tokens, ssh replaces only the ~.
func (d *directive) path(v, home string, tok tokens) (out string, err error) {
	switch {
	case d.literal:
		return v, nil
	case tok == nil:
		out, err = expandTilde(v, home)
	default:
		out, err = expandPath(v, home, tok)
	}
	if err != nil {
		return "", d.fail(err)
	}
	return out, nil
}

// agentSocket settles IdentityAgent, which may name an environment variable.
func (r raw) agentSocket(s *settings, home string, tok tokens) (err error) {
	switch v := r.first("identityagent"); {
	case v == "" || v == "SSH_AUTH_SOCK":
	case strings.EqualFold(v, "none"):
		s.IdentityAgent = "none"
	case strings.HasPrefix(v, "$") && !strings.HasPrefix(v, "${"):
		s.IdentityAgent = envOr(v[1:], "none")
	default:
		s.IdentityAgent, err = r["identityagent"][0].path(v, home, tok)
	}
	return err
}
