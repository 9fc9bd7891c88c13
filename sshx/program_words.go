package sshx

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	permissionDenied = regexp.MustCompile(`(?m)^\S*: ?Permission denied \(([^()\n]*)\)\.?$`)
	throttledWords   = regexp.MustCompile(`(?m)(^(kex|ssh)_exchange_identification: .*([Cc]onnection (closed|reset)|Not allowed at this time|Exceeded MaxStartups)|^Not allowed at this time|^Exceeded MaxStartups)`)
	offendingLine    = regexp.MustCompile(`(?m)^Offending (\S+ )?key (for IP )?in (.+):(\d{1,9})\r?$`)
	configWords      = regexp.MustCompile(`(?m)(Can't open user config file|Bad configuration option|bad configuration options|Bad owner or permissions|^\S*: line \d+: |unknown option|^Unsupported option|^usage: ssh)`)
	hostKeyHost      = regexp.MustCompile(`(?m)^(?:\S+ host key for|Host key for|No \S+ host key is known for) (\S+) `)

	// What ssh says last where it was to connect through something that has ended.
	hungUpWords = regexp.MustCompile(`(?m)^((kex|ssh)_exchange_identification: .*|Connection (closed|reset) by UNKNOWN port \d+)\r?$`)
)

// diagnosis is where and why an ssh program failed, by its words.
type diagnosis struct {
	stage string
	err   error // of a type where the cause has one
	jump  bool  // a jump host has refused, not the host
}

// classify finds out from the words of OpenSSH's ssh where it failed, and for what it gives a
// type the cause. Its words are meant for people and hold text of the server: they decide only
// how a failure is named and whether it may be tried again. proxy is whether it went through a
// ProxyCommand of the user's, which has words of its own.
func classify(said string, s *settings, proxy bool) diagnosis {
	has := func(words string) bool { return strings.Contains(said, words) }
	// A server that says farewell by name can put what it likes into that, and was reached.
	through := hungUpWords.MatchString(said) && !has("Received disconnect from UNKNOWN")
	switch {
	case has("IDENTIFICATION HAS CHANGED"), has("forwarding disabled due to host key check failure"), has("Host key verification failed."),
		has("has changed and you have requested strict checking"), has("was revoked and you have requested strict checking"):
		// Before all else: ssh may go on, with less, where it is told to.
		return diagnosis{StageHostKey, keyWords(said, s), through}
	case permissionDenied.MatchString(said):
		methods := permissionDenied.FindStringSubmatch(said)[1]
		return diagnosis{StageAuth, &AuthError{User: s.User, Host: s.Alias, Methods: strings.Split(methods, ",")}, through}
	case has("Too many authentication failures"):
		return diagnosis{StageAuth, &AuthError{User: s.User, Host: s.Alias}, through}
	case has("Could not resolve hostname"):
		return diagnosis{StageResolve, nil, through}
	case has("stdio forwarding failed"), has("administratively prohibited"):
		return diagnosis{StageConnect, nil, false} // the jump host is there
	case has("ssh: connect to host "):
		return diagnosis{StageConnect, nil, through}
	case throttledWords.MatchString(said) && (!proxy || crowded(said)):
		return diagnosis{StageHandshake, &ThrottleError{Said: lastOf(said), Tries: 1}, false}
	case configWords.MatchString(said):
		return diagnosis{StageConfig, nil, through}
	}
	return diagnosis{StageHandshake, nil, false}
}

// crowded reports whether an ssh behind which a ProxyCommand has ended was turned away for the
// server's load: the command says so, or nothing, as a relay does.
func crowded(said string) bool {
	rest := strings.TrimSpace(hungUpWords.ReplaceAllString(said, ""))
	if rest == "" {
		return true
	}
	for _, words := range []string{startupsText, penaltyText, "Connection closed by ", "Connection reset by "} {
		if strings.Contains(rest, words) {
			return true
		}
	}
	return strings.Contains(said, startupsText) || strings.Contains(said, penaltyText)
}

// keyWords is the error of a host key by ssh's words.
func keyWords(said string, s *settings) *HostKeyError {
	kind := KeyUnknown
	switch {
	case strings.Contains(said, "REVOKED HOST KEY"), strings.Contains(said, "revoked"):
		kind = KeyRevoked
	case strings.Contains(said, "HAS CHANGED"), strings.Contains(said, "has changed and"), strings.Contains(said, "forwarding disabled due to"):
		kind = KeyChanged
	}
	e := &HostKeyError{Host: s.keyName(), Kind: kind, Target: s.Alias}
	if m := hostKeyHost.FindStringSubmatch(said); m != nil {
		e.Host = printable(m[1])
	}
	if m := offendingLine.FindStringSubmatch(said); m != nil {
		e.File = printable(m[3])
		e.Line, _ = strconv.Atoi(m[4]) // digits, by the pattern
	}
	return e
}

// hint is the way out of a failure.
func (p *program) hint(v diagnosis, r *route, said string) string {
	try, more := fmt.Sprintf("`ssh -o BatchMode=yes %s true`", r.target.sshArgs()), fmt.Sprintf("`ssh -v -o BatchMode=yes %s true`", r.target.sshArgs())
	if p.Source != "" {
		more = "-v in " + printable(p.Source)
	}
	switch e := v.err.(type) {
	case *HostKeyError:
		return e.programHint(r)
	case *AuthError:
		who := "it"
		if v.jump {
			who = "its jump host"
		}
		return fmt.Sprintf("%s took none of the keys: load the right one with ssh-add, or name it with IdentityFile in the ssh configuration; %s shows which were tried", who, more)
	}
	switch {
	case strings.Contains(said, "administratively prohibited"):
		return forbiddenHint
	case p.Source == "":
		return "it has to work without questions, as in " + try
	}
	return "it has to work without questions; the native transport does without it"
}

// programHint is the way out where a program did not accept a host key.
func (e *HostKeyError) programHint(r *route) string {
	host := shellWord(e.Host)
	switch {
	case e.Kind == KeyRevoked:
		return fmt.Sprintf("the key of %s is listed as revoked: the host needs a new key", host)
	case e.Kind == KeyChanged && e.Line > 0:
		return fmt.Sprintf("the key of %s is not the one in %s:%d; somebody may be in between, or the host was reinstalled: check the fingerprint "+
			"on the host, then remove the old line with `ssh-keygen -R %[1]s -f %[4]s`", host, e.File, e.Line, shellWord(e.File))
	case e.Kind == KeyChanged:
		return fmt.Sprintf("the key of %s is not the one that is known; somebody may be in between, or the host was reinstalled: check the "+
			"fingerprint on the host, then remove the old line with `ssh-keygen -R %[1]s`", host)
	}
	file := "known_hosts"
	if len(r.s.UserKnownHosts) > 0 {
		file = printable(r.s.UserKnownHosts[0])
	}
	return fmt.Sprintf("the key of %s is not known: connect once by hand, or add the output of `ssh-keyscan %s` to %s after checking it", host, keyscanArgs(e.Host), file)
}
