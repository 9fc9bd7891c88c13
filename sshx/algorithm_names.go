package sshx

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// algorithmKind is one sort of algorithm list: OpenSSH's default of it, in the order of
// its 10.x, and every name that some OpenSSH since 9.0 knows, in the order of `ssh -Q`,
// which is that of what a wildcard stands for.
type algorithmKind struct {
	defaults, known []string
	wildcards       bool // lists of names may hold patterns; `-` always may
}

// list splits a list as OpenSSH writes it.
func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == '\n' })
}

const (
	plainKeyAlgorithms = `ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,sk-ssh-ed25519@openssh.com,` +
		`sk-ecdsa-sha2-nistp256@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com,rsa-sha2-512,rsa-sha2-256`
	certKeyAlgorithms = `ssh-ed25519-cert-v01@openssh.com,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384-cert-v01@openssh.com,` +
		`ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,` +
		`webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,rsa-sha2-512-cert-v01@openssh.com,rsa-sha2-256-cert-v01@openssh.com`
)

var knownKeyAlgorithms = list(`ssh-ed25519,ssh-ed25519-cert-v01@openssh.com,sk-ssh-ed25519@openssh.com,sk-ssh-ed25519-cert-v01@openssh.com,` +
	`ssh-mldsa44-ed25519@openssh.com,ssh-mldsa44-ed25519-cert-v01@openssh.com,` +
	`ecdsa-sha2-nistp256,ecdsa-sha2-nistp256-cert-v01@openssh.com,ecdsa-sha2-nistp384,ecdsa-sha2-nistp384-cert-v01@openssh.com,` +
	`ecdsa-sha2-nistp521,ecdsa-sha2-nistp521-cert-v01@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com,` +
	`sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,webauthn-sk-ecdsa-sha2-nistp256@openssh.com,` +
	`webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com,ssh-dss,ssh-dss-cert-v01@openssh.com,ssh-rsa,ssh-rsa-cert-v01@openssh.com,` +
	`rsa-sha2-256,rsa-sha2-256-cert-v01@openssh.com,rsa-sha2-512,rsa-sha2-512-cert-v01@openssh.com`)

// algorithmKinds are the keywords that take a list of algorithms.
var algorithmKinds = map[string]*algorithmKind{
	"ciphers": {
		defaults: list(`chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr`),
		known: list(`3des-cbc,aes128-cbc,aes192-cbc,aes256-cbc,rijndael-cbc@lysator.liu.se,aes128-ctr,aes192-ctr,aes256-ctr,` +
			`aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com`),
	},
	"macs": {
		defaults: list(`umac-64-etm@openssh.com,umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,` +
			`hmac-sha1-etm@openssh.com,umac-64@openssh.com,umac-128@openssh.com,hmac-sha2-256,hmac-sha2-512,hmac-sha1`),
		known: list(`hmac-sha1,hmac-sha1-96,hmac-sha2-256,hmac-sha2-512,hmac-md5,hmac-md5-96,umac-64@openssh.com,umac-128@openssh.com,` +
			`hmac-sha1-etm@openssh.com,hmac-sha1-96-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,` +
			`hmac-md5-etm@openssh.com,hmac-md5-96-etm@openssh.com,umac-64-etm@openssh.com,umac-128-etm@openssh.com`),
	},
	"kexalgorithms": {
		defaults: list(`mlkem768x25519-sha256,sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,curve25519-sha256,` +
			`curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,` +
			`diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,diffie-hellman-group14-sha256`),
		known: list(`diffie-hellman-group1-sha1,diffie-hellman-group14-sha1,diffie-hellman-group14-sha256,diffie-hellman-group16-sha512,` +
			`diffie-hellman-group18-sha512,diffie-hellman-group-exchange-sha1,diffie-hellman-group-exchange-sha256,ecdh-sha2-nistp256,` +
			`ecdh-sha2-nistp384,ecdh-sha2-nistp521,mlkem768nistp256-sha256,curve25519-sha256,curve25519-sha256@libssh.org,` +
			`sntrup761x25519-sha512,sntrup761x25519-sha512@openssh.com,mlkem768x25519-sha256`),
	},
	"hostkeyalgorithms":        {defaults: list(certKeyAlgorithms + "," + plainKeyAlgorithms), known: knownKeyAlgorithms, wildcards: true},
	"pubkeyacceptedalgorithms": {defaults: list(certKeyAlgorithms + "," + plainKeyAlgorithms), known: knownKeyAlgorithms, wildcards: true},
	"casignaturealgorithms":    {defaults: list(plainKeyAlgorithms), known: knownKeyAlgorithms, wildcards: true},
}

// check reports whether the names of a list are known here. One that is not may be known
// to the installed ssh: then foreign is true, and err what is wrong if it is not.
func (k *algorithmKind) check(spec string) (foreign bool, err error) {
	if strings.HasPrefix(spec, "-") {
		return false, nil // what is taken away need not be there
	}
	if spec[0] == '+' || spec[0] == '^' {
		spec = spec[1:]
	}
	for _, name := range strings.Split(spec, ",") {
		switch {
		case name == "":
			return false, errors.New("empty name in the list")
		case !isLiteral(name) && !k.wildcards:
			return false, fmt.Errorf("wildcard %s is only possible after a -", quote(name))
		case name[0] == '!':
			return false, fmt.Errorf("negation %s is not possible in the list", quote(name))
		case !slices.ContainsFunc(k.known, func(known string) bool { return matchPattern(known, name) }):
			return true, fmt.Errorf("unknown algorithm %s", quote(name))
		}
	}
	return false, nil
}

// assembleAlgorithms evaluates `+a,b`, `-c*`, `^d` or `e,f` against the defaults, as
// kex_assemble_names of OpenSSH does. known is what a wildcard can stand for.
func assembleAlgorithms(spec string, defaults, known []string) []string {
	if spec == "" {
		return defaults
	}
	names := strings.Split(strings.TrimPrefix(spec, spec[:strings.IndexAny(spec[:1], "+-^")+1]), ",")
	switch spec[0] {
	case '-':
		return slices.DeleteFunc(slices.Clone(defaults), func(a string) bool { return matchList(a, names) })
	case '+':
		names = slices.Concat(defaults, names)
	case '^':
		names = slices.Concat(names, defaults)
	}
	var out []string
	for _, pattern := range names {
		for _, a := range known {
			if matchPattern(a, pattern) && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
	}
	return out
}
