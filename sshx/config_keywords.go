package sshx

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// argKind is what a keyword's arguments must look like.
type argKind int

const (
	oneWord   argKind = iota + 1
	firstWord         // what follows is not looked at
	manyWords
	command // the rest of the line as it stands
	flag
	number
	duration
	portNumber
	strictness
)

// keywords are those that bear on a connection. Their first value counts, but for
// identityfile and certificatefile, of which every value does.
var keywords = map[string]argKind{
	"hostname": oneWord, "user": oneWord, "port": portNumber, "addressfamily": oneWord, "bindaddress": oneWord,
	"bindinterface": oneWord, "connecttimeout": duration, "connectionattempts": number,
	"identityfile": oneWord, "certificatefile": oneWord, "identitiesonly": flag, "identityagent": oneWord,
	"proxyjump": firstWord, "proxycommand": command, "proxyusefdpass": flag, "hostkeyalias": oneWord,
	"userknownhostsfile": manyWords, "globalknownhostsfile": manyWords, "stricthostkeychecking": strictness,
	"hashknownhosts": flag, "revokedhostkeys": oneWord, "knownhostscommand": command,
	"serveraliveinterval": duration, "serveralivecountmax": number, "batchmode": flag, "requiredrsasize": number,
	"ciphers": oneWord, "macs": oneWord, "kexalgorithms": oneWord, "hostkeyalgorithms": oneWord,
	"pubkeyacceptedalgorithms": oneWord, "casignaturealgorithms": oneWord, "canonicalizehostname": oneWord,
	"nohostauthenticationforlocalhost": flag, "numberofpasswordprompts": number, "pubkeyauthentication": oneWord,
	"preferredauthentications": oneWord, "gssapiauthentication": flag, "hostbasedauthentication": flag,
	"pkcs11provider": oneWord, "controlpath": oneWord, "tcpkeepalive": flag, "rekeylimit": manyWords,
}

// keywordAlias are older names of keywords.
var keywordAlias = map[string]string{"pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms"}

// accumulates reports whether every value of a keyword counts, not only the first.
func accumulates(keyword string) bool {
	return keyword == "identityfile" || keyword == "certificatefile"
}

// checkArgs refuses what ssh refuses at parse time, whether or not the block applies.
func checkArgs(keyword string, args []string) error {
	kind := keywords[keyword]
	if kind == command {
		return nil
	}
	if len(args) == 0 || args[0] == "" {
		return errors.New("missing argument")
	}
	if len(args) > 1 && kind != manyWords && kind != firstWord {
		return fmt.Errorf("extra argument %s at the end of the line", quote(args[1]))
	}
	var err error
	switch kind {
	case flag:
		_, err = parseFlag(args[0])
	case number:
		_, err = strconv.ParseUint(args[0], 10, 31)
	case duration:
		_, err = parseDuration(args[0])
	case portNumber:
		_, err = parsePort(args[0])
	case strictness:
		_, err = parseStrictness(args[0])
	}
	if err != nil {
		return fmt.Errorf("bad value %s", quote(args[0]))
	}
	return nil
}

func parseFlag(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "yes", "true":
		return true, nil
	case "no", "false":
		return false, nil
	}
	return false, errors.New("neither yes nor no")
}

// parseStrictness gives one of "yes", "ask", "accept-new" and "no".
func parseStrictness(s string) (string, error) {
	switch s = strings.ToLower(s); s {
	case "yes", "true":
		return "yes", nil
	case "no", "false", "off":
		return "no", nil
	case "ask", "accept-new":
		return s, nil
	}
	return "", errors.New("not yes, ask, accept-new or no")
}

// parseDuration reads the time format of sshd_config(5), such as 90, 1m30s or 2h; "none" is 0.
func parseDuration(s string) (time.Duration, error) {
	if s == "none" {
		return 0, nil
	}
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	var total time.Duration
	if s == "" {
		return 0, errors.New("empty time")
	}
	for s != "" {
		end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
		unit, next := time.Second, len(s)
		if end < 0 {
			end = len(s)
		} else {
			u, ok := units[s[end]|0x20]
			if !ok || end == 0 {
				return 0, fmt.Errorf("bad time %s", quote(s))
			}
			unit, next = u, end+1
		}
		n, err := strconv.ParseUint(s[:end], 10, 31)
		if err != nil || n > uint64((1<<62)/unit) {
			return 0, fmt.Errorf("bad time %s", quote(s))
		}
		total += time.Duration(n) * unit
		if total < 0 || total > 1<<61 {
			return 0, fmt.Errorf("bad time %s", quote(s))
		}
		s = s[next:]
	}
	return total, nil
}

// otherKeywords are those of OpenSSH up to 10.2 and of Debian's and Apple's builds that
// do not bear on a connection made here. Any other unknown keyword is ssh's to judge.
var otherKeywords = words(`
	addkeystoagent canonicaldomains canonicalizefallbacklocal canonicalizemaxdots canonicalizepermittedcnames
	challengeresponseauthentication channeltimeout checkhostip clearallforwardings compression compressionlevel controlmaster
	controlpersist dsaauthentication dynamicforward enableescapecommandline enablesshkeysign escapechar
	exitonforwardfailure fallbacktorsh fingerprinthash forkafterauthentication forwardagent forwardx11
	forwardx11timeout forwardx11trusted gatewayports gssapiclientidentity
	gssapidelegatecredentials gssapikexalgorithms gssapikeyexchange gssapirenewalforcesrekey
	gssapiserveridentity gssapitrustdns hostbasedacceptedalgorithms hostbasedkeytypes
	identityfile2 ipqos kbdinteractiveauthentication kbdinteractivedevices keepalive localcommand
	localforward loglevel logverbose
	obscurekeystroketiming passwordauthentication permitlocalcommand permitremoteopen
	protocol
	remotecommand remoteforward requesttty rhostsauthentication rhostsrsaauthentication rsaauthentication securitykeyprovider sendenv
	sessiontype setenv skeyauthentication smartcarddevice stdinnull streamlocalbindmask streamlocalbindunlink
	syslogfacility tag tisauthentication tunnel tunneldevice updatehostkeys useprivilegedport
	verifyhostkeydns versionaddendum visualhostkey warnweakcrypto xauthlocation usersh useroaming cipher
	afstokenpassing kerberosauthentication kerberostgtpassing`)

// words makes a set of the words of s.
func words(s string) map[string]bool {
	set := make(map[string]bool)
	for _, w := range strings.Fields(s) {
		set[w] = true
	}
	return set
}
