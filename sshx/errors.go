package sshx

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// The stages of a dial, in order, as [DialError] names them.
const (
	StageConfig    = "configuration"
	StageResolve   = "resolve"
	StageConnect   = "connect"
	StageHandshake = "handshake"
	StageHostKey   = "host key"
	StageAuth      = "auth"
	StageJump      = "proxy jump"
)

// DialError says how far a dial came and why it went no further.
type DialError struct {
	Host  string // as the caller gave it
	Addr  string // host:port that was dialled, empty before it is known
	Stage string // one of the Stage constants
	Err   error
}

// Error is one line that is safe to show: text of the peer is escaped and cut.
func (e *DialError) Error() string {
	if hop, ok := e.Err.(*DialError); ok {
		return "sshx: dialling " + e.Host + ": " + e.Stage + ": " + strings.TrimPrefix(hop.Error(), "sshx: ")
	}
	where := e.Host
	if e.Addr != "" && e.Addr != e.Host && !strings.HasPrefix(e.Addr, e.Host+":") {
		where += " (" + e.Addr + ")"
	}
	if own, ok := e.Err.(interface{ wholeSentence() }); ok && own != nil {
		return "sshx: dialling " + where + ": " + e.Err.Error()
	}
	return fmt.Sprintf("sshx: dialling %s: %s: %s", where, e.Stage, printable(e.Err.Error()))
}

// Unwrap gives the cause: *HostKeyError, *AuthError, *ThrottleError, *TimeoutError, the
// *DialError of a jump host, or an error of the network or of the ssh library.
func (e *DialError) Unwrap() error { return e.Err }

// TimeoutError is a stage of a dial, or the start of a command, that took too long.
// It is a net.Error.
type TimeoutError struct {
	What  string // what did not happen
	After string // the limit, such as "10s"
}

// Error names the limit.
func (e *TimeoutError) Error() string { return e.What + " within " + e.After }

// Timeout is true.
func (e *TimeoutError) Timeout() bool { return true }

// Temporary is true: the host may answer another time.
func (e *TimeoutError) Temporary() bool { return true }

// ThrottleError is a server that turned the connection away before it said its version:
// too many others are being made (sshd's MaxStartups), or this address is penalised.
type ThrottleError struct {
	Said  string // what the server said, empty where it just hung up
	Proxy string // the last words of a ProxyCommand, where it was turned away, or the server behind it
	Tries int    // how often it was tried
	Err   error
}

// throttleHint is the way out where a server goes on turning connections away.
const throttleHint = "it limits new connections, see MaxStartups and PerSourcePenalties in its sshd_config"

// penalty reports whether the server may hold something against this address.
func (e *ThrottleError) penalty() bool {
	return strings.Contains(e.Said, penaltyText) || strings.Contains(e.Proxy, penaltyText)
}

// Error says what to look for on the server.
func (e *ThrottleError) Error() string {
	said := "closed the connection before its banner"
	if e.Said != "" {
		said = "said " + quote(e.Said)
	}
	if e.Proxy != "" {
		said += ", or its jump host did: its ProxyCommand said " + quote(e.Proxy)
	}
	return fmt.Sprintf("the server %s (tried %d times): %s", said, e.Tries, throttleHint)
}

// Unwrap gives the error of the network.
func (e *ThrottleError) Unwrap() error { return e.Err }

// HostKeyKind is what is wrong with a host key.
type HostKeyKind string

// The ways in which a host key is not accepted.
const (
	KeyUnknown HostKeyKind = "unknown" // no known_hosts line names the host
	KeyChanged HostKeyKind = "changed" // a line names the host with another key
	KeyRevoked HostKeyKind = "revoked" // @revoked or RevokedHostKeys names the key
)

// HostKeyError is a host key that was not accepted. Nothing was sent but the key exchange.
type HostKeyError struct {
	Host        string      // as known_hosts has it: name or [name]:port
	Kind        HostKeyKind //
	KeyType     string      // such as ssh-ed25519
	Fingerprint string      // SHA256:...
	File        string      // of the line that decided, or the file that a line could be added to
	Line        int         // 0 where no line decided
	Target      string      // what `ssh` would be given, for the hint
	Reason      string      // more about it, may be empty

	check *hostKeyCheck
	key   ssh.PublicKey
}

// Error names the key, the deciding line, and the way out.
func (e *HostKeyError) Error() string {
	key := e.KeyType + " " + e.Fingerprint
	switch e.Kind {
	case KeyChanged:
		return fmt.Sprintf("host key of %s has CHANGED: the server's %s is not the one in %s:%d; somebody may be in between, or the host was "+
			"reinstalled: check the fingerprint on the host, then remove the old line with `ssh-keygen -R %s -f %s`",
			e.Host, key, e.File, e.Line, shellWord(e.Host), shellWord(e.File))
	case KeyRevoked:
		at := e.File
		if e.Line > 0 {
			at = fmt.Sprintf("%s:%d", e.File, e.Line)
		}
		return fmt.Sprintf("host key of %s is REVOKED: %s%s is listed in %s; the host needs a new key", e.Host, key, paren(e.Reason), at)
	}
	return fmt.Sprintf("host key of %s is not known (%s)%s: connect once with `ssh %s`, or add the output of `ssh-keyscan %s` to %s after checking it",
		e.Host, key, paren(e.Reason), e.Target, keyscanArgs(e.Host), e.File)
}

func (e *HostKeyError) wholeSentence() {}

// AuthError is a server that let none of the user's keys in.
type AuthError struct {
	User    string   // the remote user
	Host    string   //
	Tried   []string // keys that the server refused or that failed to sign, in order
	Skipped []string // keys that were not offered, each with the reason
	Methods []string // what the server would have accepted
	Limit   bool     // keys were left over: at most [MaxKeyTries] are offered on each of [MaxKeyConnections]
	Err     error    // what ended it, may be nil

	Elsewhere string // why ssh could get in where we cannot; empty for no reason
}

// Error lists the keys and the way out.
func (e *AuthError) Error() string {
	var b strings.Builder
	who := e.User + "@" + e.Host
	if len(e.Tried) == 0 {
		fmt.Fprintf(&b, "no usable key for %s", who)
	} else {
		fmt.Fprintf(&b, "%s refused: the server took none of %s", who, strings.Join(e.Tried, ", "))
	}
	if len(e.Skipped) > 0 {
		fmt.Fprintf(&b, "; not offered: %s", strings.Join(e.Skipped, ", "))
	}
	switch {
	case len(e.Methods) > 0 && !slices.Contains(e.Methods, "publickey"):
		fmt.Fprintf(&b, "; the server accepts only %s, and only keys are supported here", quoteAll(e.Methods))
	case e.Limit:
		fmt.Fprintf(&b, "; only %d keys are tried: name the right one with IdentityFile in your ssh configuration", MaxKeyTries*MaxKeyConnections)
	case len(e.Tried) == 0:
		b.WriteString("; load a key with ssh-add, or name one with IdentityFile in your ssh configuration")
	default:
		fmt.Fprintf(&b, "; add one of these keys to ~%s/.ssh/authorized_keys on the host, or name the right one with IdentityFile", e.User)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, " (%s)", printable(e.Err.Error()))
	}
	return b.String()
}

// Unwrap gives what ended the authentication, if it was more than a refusal.
func (e *AuthError) Unwrap() error { return e.Err }

func (e *AuthError) wholeSentence() {}

// ChannelError is a command that the server did not start on a connection that works:
// a second session is refused (MaxSessions), or so is every command.
type ChannelError struct {
	Host   string
	Op     string // "open" for the channel, "exec" for the command
	Reason string // what the server said, safe to show
}

// Error says which step was refused.
func (e *ChannelError) Error() string {
	if e.Op == "exec" {
		return fmt.Sprintf("sshx: running a command on %s: the server refused it: %s", e.Host, e.Reason)
	}
	return fmt.Sprintf("sshx: opening a session on %s: the server refused it: %s (see MaxSessions in its sshd_config)", e.Host, e.Reason)
}

// ExitError is a command that ran and did not end with status 0.
type ExitError struct {
	Status int    // exit status; -1 where a signal ended it
	Signal string // without SIG, such as "KILL" (RFC 4254 section 6.10); escaped
	Msg    string // what the server says about it; escaped
}

// Error names the status or the signal.
func (e *ExitError) Error() string {
	if e.Signal != "" {
		return "command ended by signal " + e.Signal + paren(e.Msg)
	}
	return fmt.Sprintf("command exited with status %d", e.Status)
}

// LostError is a connection, or a session, that ended before the command's exit status:
// the command may have ended either way, or still run.
type LostError struct {
	Host string
	Err  error
}

// Error says what ended the connection.
func (e *LostError) Error() string {
	return fmt.Sprintf("sshx: connection to %s lost: %s", e.Host, printable(e.Err.Error()))
}

// Unwrap gives what ended the connection.
func (e *LostError) Unwrap() error { return e.Err }

// ErrNoStatus is the cause of a *LostError where the server closed a session without a status.
var ErrNoStatus = errors.New("the server ended the session without an exit status")

// ErrClosed is the cause of errors after Close.
var ErrClosed = errors.New("closed")
