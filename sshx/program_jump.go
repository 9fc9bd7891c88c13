package sshx

import (
	"slices"
	"strings"
)

// jumpCommand is a ProxyCommand that goes through a jump host. It is what ssh itself makes of
// ProxyJump, but that the hop, too, does nothing but reach the next one: ssh would run the
// LocalCommand of each, and go into the background where its configuration says so.
func (p *program) jumpCommand(r *route, o masterOptions) string {
	words := append([]string{p.Command}, p.args...)
	words = append(words, "-T", "-a", "-x", "-o", "ControlMaster=no", "-o", "LogLevel=INFO") // at which it says why a jump host does not forward
	words = append(words, o.args(r.s)...)
	if r.jump != nil {
		words = append(words, "-o", "ProxyUseFdpass=no", "-o", "ProxyCommand="+p.jumpCommand(r.jump, o))
	}
	words = append(words, r.target.args()...)
	// Its host and port are for ssh to fill in: they are the next one's, by its own configuration.
	words = slices.Insert(words, 1, "-W", "[%h]:%p")
	for i, w := range words {
		if i != 2 {
			w = strings.ReplaceAll(w, "%", "%%")
		}
		words[i] = escapeWord(w)
	}
	return strings.Join(words, " ")
}

// escapeWord is s as one word of any user's shell. ssh splits a ProxyCommand by rules of its
// own before, which know of backslashes but not of quotes in quotes.
func escapeWord(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		plain := c >= 0x80 || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_./:@%+=,", c) >= 0
		if !plain {
			b.WriteByte('\\')
		}
		b.WriteByte(c)
	}
	return b.String()
}
