package sshx

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// algorithmList evaluates a list of ssh_config(5) such as `+a,b`, `-c*`, `^d` or `e,f`
// against the defaults, and leaves out what the ssh library here has not got. Insecure
// algorithms are used only where the user names them without a wildcard.
func algorithmList(spec string, defaults, supported, insecure []string) ([]string, error) {
	list := defaults
	names := strings.Split(strings.TrimLeft(spec, "+-^"), ",")
	switch {
	case spec == "":
	case spec[0] == '+':
		list = append(slices.Clone(defaults), names...)
	case spec[0] == '^':
		list = append(slices.Clone(names), defaults...)
	case spec[0] == '-':
		list = slices.DeleteFunc(slices.Clone(defaults), func(a string) bool { return matchList(a, names) })
	default:
		list = names
	}
	var out []string
	for _, a := range list {
		if (slices.Contains(supported, a) || slices.Contains(insecure, a)) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
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

// cryptoConfig settles ciphers, MACs and key exchanges.
func (s *settings) cryptoConfig() (ssh.Config, error) {
	c := ssh.Config{RekeyThreshold: uint64(s.RekeyBytes)}
	supported, insecure := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	for _, l := range []struct {
		name, spec          string
		dst                 *[]string
		supported, insecure []string
	}{
		{"ciphers", s.Ciphers, &c.Ciphers, supported.Ciphers, insecure.Ciphers},
		{"macs", s.MACs, &c.MACs, supported.MACs, insecure.MACs},
		{"kexalgorithms", s.KexAlgorithms, &c.KeyExchanges, supported.KeyExchanges, insecure.KeyExchanges},
	} {
		if l.spec == "" {
			continue // the library's own defaults
		}
		list, err := algorithmList(l.spec, l.supported, l.supported, l.insecure)
		if err != nil {
			return c, fmt.Errorf("%s: %w", l.name, err)
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
