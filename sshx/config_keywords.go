package sshx

import "strings"

// argKind is what a keyword's arguments must look like.
type argKind int

const (
	oneWord   argKind = iota + 1
	manyWords         // `none` only alone
	restWords         // their number is not looked at
	command           // the rest of the line as it stands
	jumps             // the rest of the line, hosts at commas
	algorithms
	flag
	choice // of wordChoices
	number
	size
	duration
	portNumber
	strictness
	agentPath
)

// keywords are those that bear on a connection. Their first value counts, but for
// identityfile and certificatefile, of which every value does.
var keywords = map[string]argKind{
	"hostname": oneWord, "user": oneWord, "port": portNumber, "addressfamily": choice, "bindaddress": oneWord,
	"bindinterface": oneWord, "connecttimeout": duration, "connectionattempts": number, "tag": oneWord,
	"identityfile": oneWord, "certificatefile": oneWord, "identitiesonly": flag, "identityagent": agentPath,
	"proxyjump": jumps, "proxycommand": command, "proxyusefdpass": flag, "hostkeyalias": oneWord,
	"userknownhostsfile": manyWords, "globalknownhostsfile": manyWords, "stricthostkeychecking": strictness,
	"hashknownhosts": flag, "revokedhostkeys": oneWord, "knownhostscommand": command,
	"serveraliveinterval": duration, "serveralivecountmax": number, "batchmode": flag, "requiredrsasize": number,
	"ciphers": algorithms, "macs": algorithms, "kexalgorithms": algorithms, "hostkeyalgorithms": algorithms,
	"pubkeyacceptedalgorithms": algorithms, "casignaturealgorithms": algorithms,
	"canonicalizehostname": choice, "canonicalizepermittedcnames": restWords, "refuseconnection": oneWord,
	"nohostauthenticationforlocalhost": flag, "numberofpasswordprompts": number, "pubkeyauthentication": choice,
	"preferredauthentications": oneWord, "gssapiauthentication": flag, "hostbasedauthentication": flag,
	"pkcs11provider": oneWord, "controlpath": oneWord, "tcpkeepalive": flag, "rekeylimit": size,
}

// wordChoices are the values of the keywords that take one of a few words, besides
// `yes` and `no`.
var wordChoices = map[string][]string{
	"addressfamily":        {"any", "inet", "inet6"},
	"canonicalizehostname": {"yes", "true", "no", "false", "always"},
	"pubkeyauthentication": {"yes", "true", "no", "false", "unbound", "host-bound"},
}

// keywordAlias are older names of keywords.
var keywordAlias = map[string]string{"pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms"}

// accumulates reports whether every value of a keyword counts, not only the first.
func accumulates(keyword string) bool {
	return keyword == "identityfile" || keyword == "certificatefile"
}

// otherKeywords are those of OpenSSH up to 10.2 and of Debian's and Apple's builds that
// do not bear on a connection made here. Any other unknown keyword is ssh's to judge.
var otherKeywords = words(`
	addkeystoagent canonicaldomains canonicalizefallbacklocal canonicalizemaxdots
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
	syslogfacility tisauthentication tunnel tunneldevice updatehostkeys useprivilegedport
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
