package sshx

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// defaultHostKeyOrder is OpenSSH's preference of host key algorithms (myproposal.h).
var defaultHostKeyOrder = []string{
	ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
	ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
	ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

// algorithms are those to offer the server, the types that are known for the host first, so
// that the server shows the key that is on file.
func (c *hostKeyCheck) algorithms() ([]string, error) {
	base, err := rememberedAlgorithmList("hostkeyalgorithms", c.s.HostKeyAlgorithms, func() algorithmSets {
		return algorithmSets{defaultHostKeyOrder, ssh.SupportedAlgorithms().HostKeys, ssh.InsecureAlgorithms().HostKeys}
	})
	if err != nil {
		return nil, fmt.Errorf("hostkeyalgorithms: %w", err)
	}
	if !orderIsFree(c.s.HostKeyAlgorithms, base) {
		return base, nil
	}
	types := knownKinds(c.files, c.name, c.exact)
	c.guessed = types.guessed
	return orderAlgorithms(base, types), nil
}

// orderIsFree reports whether the order of the algorithms is not the user's own: ssh uses a
// list, or one that begins with ^, as it stands. `ssh -G` writes the default as a list, too.
func orderIsFree(spec string, base []string) bool {
	return spec == "" || spec[0] == '-' || spec[0] == '+' || slices.Equal(base, defaultHostKeyOrder)
}

// otherTypes reports whether the types of key that were asked for were a guess, and a wrong one.
func (c *hostKeyCheck) otherTypes() bool {
	if !c.guessed {
		return false
	}
	used, err := c.algorithms()
	if err != nil {
		return false // the same error as before the dial, so there was none
	}
	exact := *c
	exact.exact = true
	want, _ := exact.algorithms()
	return !slices.Equal(used, want)
}

// orderAlgorithms is order_hostkeyalgs of sshconnect2.c: where a key of the most wanted type
// is known the list stays as it is, else the types that are known go first, and certificates
// with them where an authority is. The name without port is not looked at.
func orderAlgorithms(base []string, types knownTypes) []string {
	if types.kinds[keyTypeOf(base[0])] {
		return base
	}
	var first, last []string
	for _, a := range base {
		if types.kinds[keyTypeOf(a)] || types.ca && isCertAlgorithm(a) {
			first = append(first, a)
		} else {
			last = append(last, a)
		}
	}
	return append(first, last...)
}

// certSuffix ends the names of algorithms for certificates.
const certSuffix = "-cert-v01@openssh.com"

func isCertAlgorithm(a string) bool { return strings.HasSuffix(a, certSuffix) }

// keyTypeOf is the type of key that makes an algorithm's signatures, that of the key in the
// certificate for one of certificates.
func keyTypeOf(algorithm string) string {
	plain := strings.TrimSuffix(algorithm, certSuffix)
	if plain == ssh.KeyAlgoRSASHA256 || plain == ssh.KeyAlgoRSASHA512 {
		return ssh.KeyAlgoRSA
	}
	return plain
}
