package sshx

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPeerText is how much of what a peer said goes into an error, in bytes.
const maxPeerText = 512

// printable makes text of unknown origin fit for a one-line message: what is not
// printable is escaped as in Go strings, and the end is cut.
func printable(s string) string {
	cut := ""
	if len(s) > maxPeerText {
		s, cut = s[:maxPeerText], "... [cut]"
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		}
		i += n
	}
	return b.String() + cut
}

// quote is printable text in double quotes.
func quote(s string) string {
	if len(s) > maxPeerText {
		s = s[:maxPeerText] + "... [cut]"
	}
	return strconv.Quote(s)
}

// paren puts s in parentheses after a space; nothing where s is empty.
func paren(s string) string {
	if s == "" {
		return ""
	}
	return " (" + printable(s) + ")"
}

// quoteAll joins peer-given words for a message.
func quoteAll(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = printable(w)
	}
	return printable(strings.Join(out, ", "))
}

// shellWord quotes s for a command shown to the user, where that is needed.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("-_./~:@%+=,", r))
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(printable(s), "'", `'\''`) + "'"
}

// keyscanArgs turns a known_hosts name into arguments of ssh-keyscan.
func keyscanArgs(name string) string {
	if host, port, ok := splitHostPort(name); ok {
		return "-p " + port + " " + shellWord(host)
	}
	return shellWord(name)
}

// splitHostPort takes `[host]:port` apart.
func splitHostPort(name string) (host, port string, ok bool) {
	rest, bracket := strings.CutPrefix(name, "[")
	if !bracket {
		return "", "", false
	}
	return strings.Cut(rest, "]:")
}
