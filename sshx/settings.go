package sshx

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// local is what the workstation itself contributes to a resolution.
type local struct {
	home     string // $HOME
	user     string // the local user's name
	hostname string
	moved    bool // home is not the one of the password database, where ssh looks
}

// raw are a host's keywords before expansion: the first value of each, every value of
// those that accumulate, one list of arguments a value.
type raw map[string][][]string

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
	TCPKeepAlive       bool
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

// defaultIdentities are the files that ssh tries where no IdentityFile is configured.
var defaultIdentities = []string{"~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ecdsa_sk", "~/.ssh/id_ed25519", "~/.ssh/id_ed25519_sk"}

// first gives the first word of a keyword's first value.
func (r raw) first(keyword string) string {
	if v := r[keyword]; len(v) > 0 && len(v[0]) > 0 {
		return v[0][0]
	}
	return ""
}

// word is first, empty for "none".
func (r raw) word(keyword string) string {
	if v := r.first(keyword); !strings.EqualFold(v, "none") {
		return v
	}
	return ""
}

// list gives the words of a keyword's first value, or def.
func (r raw) list(keyword string, def ...string) []string {
	if v := r[keyword]; len(v) > 0 {
		return v[0]
	}
	return def
}

// all gives the first word of every value of a keyword.
func (r raw) all(keyword string) []string {
	var out []string
	for _, v := range r[keyword] {
		if len(v) > 0 {
			out = append(out, v[0])
		}
	}
	return out
}

// settings types and expands the keywords of target. expanded says which of them
// `ssh -G` has expanded already.
func (r raw) settings(t Target, l local, expanded map[string]bool) (*settings, error) {
	s := &settings{Alias: t.Name, User: t.User, Port: t.Port}
	if err := r.name(s, l, expanded); err != nil {
		return nil, err
	}
	if err := r.scalars(s); err != nil {
		return nil, err
	}
	tok := s.tokensOf(l)
	if err := r.paths(s, l, tok, expanded); err != nil {
		return nil, err
	}
	if cmd := r.word("proxycommand"); s.ProxyJump == "" && cmd != "" {
		s.ProxyTemplate = cmd
		expandedCommand, err := expandTokens(cmd, tok)
		if err != nil {
			return nil, fmt.Errorf("proxycommand: %w", err)
		}
		s.ProxyCommand = expandedCommand
	}
	return s, nil
}

// name settles who is asked for and where: user, port, host name.
func (r raw) name(s *settings, l local, expanded map[string]bool) error {
	s.HostName = s.Alias
	if v := r.first("hostname"); v != "" && expanded["hostname"] {
		s.HostName = v
	} else if v != "" {
		name, err := expandTokens(v, tokens{'h': s.Alias})
		if err != nil {
			return fmt.Errorf("hostname: %w", err)
		}
		s.HostName = name
	}
	if !strings.Contains(s.HostName, ":") {
		s.HostName = strings.ToLower(s.HostName)
	}
	if !validHost(s.HostName) {
		return fmt.Errorf("hostname %s contains invalid characters", quote(s.HostName))
	}
	if s.User == "" {
		s.User = r.first("user")
	}
	if s.User == "" {
		s.User = l.user
	}
	if !validUser(s.User) {
		return fmt.Errorf("user %s contains invalid characters", quote(s.User))
	}
	if s.Port == 0 {
		s.Port = 22
		if v := r.first("port"); v != "" {
			p, err := parsePort(v)
			if err != nil {
				return err
			}
			s.Port = p
		}
	}
	s.HostKeyAlias = r.first("hostkeyalias")
	if jump := r.first("proxyjump"); !strings.EqualFold(jump, "none") {
		s.ProxyJump = jump
	}
	return nil
}

// scalars types the flags, numbers and times. Their form was checked when a file was
// read; `ssh -G` is checked here.
func (r raw) scalars(s *settings) error {
	s.AddressFamily, s.BindAddress, s.BindInterface = strings.ToLower(r.first("addressfamily")), r.first("bindaddress"), r.first("bindinterface")
	s.PreferredAuth, s.PKCS11Provider, s.KnownHostsCommand = r.first("preferredauthentications"), r.word("pkcs11provider"), r.word("knownhostscommand")
	s.Ciphers, s.MACs, s.KexAlgorithms = r.first("ciphers"), r.first("macs"), r.first("kexalgorithms")
	s.HostKeyAlgorithms, s.PubkeyAlgorithms = r.first("hostkeyalgorithms"), r.first("pubkeyacceptedalgorithms")
	s.CASignatureAlgorithms = r.first("casignaturealgorithms")
	var err error
	set := func(keyword string, parse func(string) error) {
		if v := r.first(keyword); v != "" && err == nil {
			if e := parse(v); e != nil {
				err = fmt.Errorf("%s: %w", keyword, e)
			}
		}
	}
	asFlag := func(dst *bool) func(string) error {
		return func(v string) (e error) { *dst, e = parseFlag(v); return }
	}
	asNumber := func(dst *int) func(string) error {
		return func(v string) (e error) { *dst, e = strconv.Atoi(v); return }
	}
	asTime := func(dst *time.Duration) func(string) error {
		return func(v string) (e error) { *dst, e = parseDuration(v); return }
	}
	s.StrictHostKey, s.PasswordPrompts, s.PubkeyAuth, s.TCPKeepAlive = "ask", 3, true, true
	set("stricthostkeychecking", func(v string) (e error) { s.StrictHostKey, e = parseStrictness(v); return })
	set("identitiesonly", asFlag(&s.IdentitiesOnly))
	set("batchmode", asFlag(&s.BatchMode))
	set("hashknownhosts", asFlag(&s.HashKnownHosts))
	set("nohostauthenticationforlocalhost", asFlag(&s.NoHostAuthLocalhost))
	set("tcpkeepalive", asFlag(&s.TCPKeepAlive))
	set("gssapiauthentication", asFlag(&s.GSSAPI))
	set("hostbasedauthentication", asFlag(&s.Hostbased))
	set("proxyusefdpass", asFlag(&s.ProxyUseFdpass))
	set("pubkeyauthentication", func(v string) error {
		on, err := parseFlag(v)
		s.PubkeyAuth = on || err != nil // also "unbound" and "host-bound"
		return nil
	})
	set("numberofpasswordprompts", asNumber(&s.PasswordPrompts))
	set("rekeylimit", func(v string) (e error) { s.RekeyBytes, e = parseRekeyBytes(v); return })
	set("requiredrsasize", asNumber(&s.RequiredRSASize))
	set("connectionattempts", asNumber(&s.ConnectionAttempts))
	set("connecttimeout", asTime(&s.ConnectTimeout))
	set("serveraliveinterval", asTime(&s.AliveInterval))
	set("serveralivecountmax", asNumber(&s.AliveCount))
	return err
}

// paths expands what names files and sockets.
func (r raw) paths(s *settings, l local, tok tokens, expanded map[string]bool) error {
	expand := func(keyword, v string) (string, error) {
		if expanded[keyword] {
			return v, nil
		}
		out, err := expandPath(v, l.home, tok)
		if err != nil {
			return "", fmt.Errorf("%s: %w", keyword, err)
		}
		return out, nil
	}
	files := func(keyword string, values []string) ([]string, error) {
		var out []string
		for _, v := range values {
			if strings.EqualFold(v, "none") {
				continue
			}
			p, err := expand(keyword, v)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		return out, nil
	}
	identities := r.all("identityfile")
	if len(identities) == 0 {
		identities = defaultIdentities
	}
	userFiles := r.list("userknownhostsfile", "~/.ssh/known_hosts", "~/.ssh/known_hosts2")
	etc := filepath.Dir(systemConfig)
	globalFiles := r.list("globalknownhostsfile", etc+"/ssh_known_hosts", etc+"/ssh_known_hosts2")
	var err error
	for _, f := range []struct {
		dst     *[]string
		keyword string
		values  []string
	}{
		{&s.IdentityFiles, "identityfile", identities}, {&s.CertificateFiles, "certificatefile", r.all("certificatefile")},
		{&s.UserKnownHosts, "userknownhostsfile", userFiles}, {&s.GlobalKnownHosts, "globalknownhostsfile", globalFiles},
	} {
		if *f.dst, err = files(f.keyword, f.values); err != nil {
			return err
		}
	}
	if v := r.first("revokedhostkeys"); v != "" && !strings.EqualFold(v, "none") {
		if s.RevokedHostKeys, err = expand("revokedhostkeys", v); err != nil {
			return err
		}
	}
	if v := r.word("controlpath"); v != "" {
		if s.ControlPath, err = expand("controlpath", v); err != nil {
			return err
		}
	}
	return r.agentSocket(s, expand)
}

// agentSocket settles IdentityAgent, which may name an environment variable.
func (r raw) agentSocket(s *settings, expand func(string, string) (string, error)) (err error) {
	switch v := r.first("identityagent"); {
	case v == "" || v == "SSH_AUTH_SOCK":
	case strings.EqualFold(v, "none"):
		s.IdentityAgent = "none"
	case strings.HasPrefix(v, "$") && !strings.HasPrefix(v, "${"):
		s.IdentityAgent = envOr(v[1:], "none")
	default:
		s.IdentityAgent, err = expand("identityagent", v)
	}
	return err
}
