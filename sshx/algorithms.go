package sshx

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
)

// algorithmSets are the names of one kind: a list's defaults, and what the ssh library has.
type algorithmSets struct{ defaults, supported, insecure []string }

// algorithmLists remembers, by kind and specification, what the few lists of a configuration come
// to: every connection asks for them.
var algorithmLists sync.Map

// rememberedAlgorithmList is algorithmList, remembered unless it fails. The slice is not to be changed.
func rememberedAlgorithmList(kind, spec string, sets func() algorithmSets) ([]string, error) {
	key := [2]string{kind, spec}
	if list, ok := algorithmLists.Load(key); ok {
		return list.([]string), nil
	}
	s := sets()
	list, err := algorithmList(spec, s.defaults, s.supported, s.insecure)
	if err == nil {
		list = slices.Clip(list)
		algorithmLists.Store(key, list)
	}
	return list, err
}

// algorithmList evaluates a list of ssh_config(5) such as `+a,b`, `-c*`, `^d` or `e,f`
// against the defaults, and leaves out what the ssh library here has not got.
func algorithmList(spec string, defaults, supported, insecure []string) ([]string, error) {
	mine := slices.Concat(supported, insecure)
	names := assembleAlgorithms(spec, defaults, inOrderOfSSH(mine))
	out := slices.DeleteFunc(slices.Clone(names), func(a string) bool { return !slices.Contains(mine, a) })
	if len(out) == 0 {
		return nil, &unsupportedError{spec}
	}
	return out, nil
}

// unsupportedError is a list of algorithms of which none can be used here.
type unsupportedError struct{ spec string }

// Error names the list.
func (e *unsupportedError) Error() string {
	return fmt.Sprintf("none of %s is supported here", quote(e.spec))
}

// inOrderOfSSH sorts names as `ssh -Q` lists them, so that a wildcard stands for the same
// row of names here and there. Names that ssh has not got come last.
func inOrderOfSSH(names []string) []string {
	out, ranks := slices.Clone(names), ranksOfSSH()
	rank := func(name string) int {
		if i, known := ranks[name]; known {
			return i
		}
		return len(knownKeyAlgorithms) // more than any of them has
	}
	slices.SortStableFunc(out, func(a, b string) int { return rank(a) - rank(b) })
	return out
}

// ranksOfSSH are where `ssh -Q` has each name. Every connection asks.
var ranksOfSSH = sync.OnceValue(func() map[string]int {
	ranks := make(map[string]int)
	for _, kind := range []string{"ciphers", "macs", "kexalgorithms", "hostkeyalgorithms"} {
		for i, name := range algorithmKinds[kind].known {
			ranks[name] = i
		}
	}
	return ranks
})

// cryptoConfig settles ciphers, MACs, key exchanges and when keys are renewed.
func (s *settings) cryptoConfig() (ssh.Config, error) {
	// The time in RekeyLimit has no counterpart in the library.
	c := ssh.Config{RekeyThreshold: uint64(s.RekeyBytes)}
	for _, l := range []struct {
		kind, spec string
		dst        *[]string
		of         func(ssh.Algorithms) []string
	}{
		{"ciphers", s.Ciphers, &c.Ciphers, func(a ssh.Algorithms) []string { return a.Ciphers }},
		{"macs", s.MACs, &c.MACs, func(a ssh.Algorithms) []string { return a.MACs }},
		{"kexalgorithms", s.KexAlgorithms, &c.KeyExchanges, func(a ssh.Algorithms) []string { return a.KeyExchanges }},
	} {
		list, err := rememberedAlgorithmList(l.kind, l.spec, func() algorithmSets {
			return algorithmSets{algorithmKinds[l.kind].defaults, l.of(ssh.SupportedAlgorithms()), l.of(ssh.InsecureAlgorithms())}
		})
		if err != nil {
			return c, fmt.Errorf("%s: %w", l.kind, err)
		}
		*l.dst = list
	}
	return c, nil
}

// minRSABits is ssh's default of RequiredRSASize.
const minRSABits = 1024

// errShortKey is part of the error about an RSA key that is too short.
var errShortKey = errors.New("RSA key")

// checkRSASize refuses RSA keys below RequiredRSASize.
func checkRSASize(key ssh.PublicKey, required int) error {
	required = max(required, minRSABits)
	if cert, ok := key.(*ssh.Certificate); ok {
		key = cert.Key
	}
	ck, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	if pub, ok := ck.CryptoPublicKey().(*rsa.PublicKey); ok && pub.N.BitLen() < required {
		return fmt.Errorf("%w of %d bits, at least %d are required", errShortKey, pub.N.BitLen(), required)
	}
	return nil
}
