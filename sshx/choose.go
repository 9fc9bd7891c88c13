package sshx

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/semaphore"
)

// Transport is what forces how hosts are reached.
type Transport string

// The transports. The automatic one is the ssh program of the user's git where there is one, a
// living ControlMaster, ssh where only that can do what the configuration asks for or where it
// can authenticate and we cannot, and else a connection of our own.
const (
	TransportAuto    Transport = ""
	TransportNative  Transport = "native"  // our own and nothing else
	TransportOpenSSH Transport = "openssh" // a ControlMaster or an ssh program
)

// ParseTransport reads a transport's name: auto, native or openssh. Empty is auto.
func ParseTransport(s string) (Transport, error) {
	switch t := Transport(s); t {
	case TransportAuto, TransportNative, TransportOpenSSH:
		return t, nil
	case "auto":
		return TransportAuto, nil
	}
	return "", fmt.Errorf("transport %s: it is auto, native or openssh", quote(s))
}

// nativeTransport describes a connection of our own.
const nativeTransport = string(TransportNative)

// otherTransports are those that are not our own, for all hosts of a Client.
type otherTransports struct {
	git      *program // that the user has git use; nil for none
	ssh      *program // the machine's; see openssh
	sshErr   error
	programs *semaphore.Weighted // MaxPrograms
	sockets  socketDir
	ticket   func() bool // is there a Kerberos ticket?

	mu     sync.Mutex
	groups map[string]string // of hosts that ssh could authenticate at and we could not: why
}

// newOtherTransports prepares them; it runs nothing. file is the configuration of -F.
func newOtherTransports(git *Program, file string, l local) *otherTransports {
	o := &otherTransports{programs: semaphore.NewWeighted(MaxPrograms), ticket: sync.OnceValue(hasTicket), groups: make(map[string]string)}
	var args []string
	if file != "" {
		args = []string{"-F", file}
	}
	if git != nil {
		o.git = &program{Program: *git, args: args}
	}
	if args == nil && l.moved {
		if mine := filepath.Join(l.home, ".ssh", "config"); isFile(mine) {
			args = []string{"-F", mine} // ssh would look in the home directory of the password database
		}
	}
	path, err := exec.LookPath("ssh")
	o.ssh, o.sshErr = &program{Program: Program{Command: path}, args: args, system: true, variant: variantSSH}, err
	return o
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// openssh gives the machine's ssh program.
func (o *otherTransports) openssh(why string) (*program, error) {
	if o.sshErr != nil {
		return nil, fmt.Errorf("only the ssh program can reach it (%s), and none is installed: install openssh-client", printable(why))
	}
	return o.ssh, nil
}

// close removes what is left of the masters. Their connections are closed before.
func (o *otherTransports) close() error { return o.sockets.close() }

// dial reaches a host by the transport that it takes, natively if nothing speaks against that.
func (c *Client) dial(ctx context.Context, r *route) (*Conn, error) {
	if c.opts.Transport == TransportNative {
		if why := onlySSH(r.s); why != "" {
			err := fmt.Errorf("only the ssh program can do that (%s): drop the native transport for this host", why)
			return nil, r.fail(StageConfig, err)
		}
		return c.dialNative(ctx, r)
	}
	if c.other.git != nil {
		return c.dialProgram(ctx, r, c.other.git, c.other.git.Source)
	}
	conn, err := c.dialSocket(ctx, r)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() == nil && !errors.Is(err, errNoMaster):
		c.opts.Logf("sshx: dialling %s: the ControlMaster at %s is not used: %v", r.shown, r.s.ControlPath, err)
	}
	if why := c.wantsSSH(r); why != "" {
		return c.dialSSH(ctx, r, why)
	}
	conn, err = c.dialNative(ctx, r)
	if err == nil {
		return conn, nil
	}
	why := c.elsewhere(r, err)
	if why == "" || ctx.Err() != nil {
		return nil, err
	}
	conn, second := c.dialSSH(ctx, r, why)
	if second != nil {
		return nil, twice(err, second)
	}
	c.other.mu.Lock()
	c.other.groups[groupOf(r.s)] = why
	c.other.mu.Unlock()
	return conn, nil
}

// dialSSH connects by the machine's ssh program.
func (c *Client) dialSSH(ctx context.Context, r *route, why string) (*Conn, error) {
	p, err := c.other.openssh(why)
	if err != nil {
		return nil, r.fail(StageConfig, err)
	}
	return c.dialProgram(ctx, r, p, why)
}

// wantsSSH says why a host is left to the ssh program without a try of our own; empty for not.
func (c *Client) wantsSSH(r *route) string {
	if c.opts.Transport == TransportOpenSSH {
		return "the transport openssh"
	}
	if why := onlySSH(r.s); why != "" {
		return why
	}
	c.other.mu.Lock()
	defer c.other.mu.Unlock()
	return c.other.groups[groupOf(r.s)]
}

// onlySSH names what the configuration of a host asks for that only ssh can do; empty for nothing.
func onlySSH(s *settings) string {
	switch {
	case s.KnownHostsCommand != "":
		return "KnownHostsCommand"
	case s.ProxyUseFdpass && s.ProxyCommand != "":
		return "ProxyUseFdpass"
	case s.PKCS11Provider != "":
		return "PKCS11Provider"
	case s.Hostbased:
		return "HostbasedAuthentication"
	case s.BindInterface != "":
		return "BindInterface"
	case !s.usesKeys():
		return "authentication without keys"
	}
	var unsupported *unsupportedError
	if _, err := s.cryptoConfig(); errors.As(err, &unsupported) {
		return err.Error()
	}
	return ""
}

// elsewhere says why ssh could succeed where our own connection has failed; empty for no reason.
func (c *Client) elsewhere(r *route, err error) string {
	var auth *AuthError
	var unsupported *unsupportedError
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case viaJump(err):
	case errors.As(err, &unsupported):
		return unsupported.Error()
	case errors.As(err, &negotiation):
		return "algorithms that are not supported here"
	case !errors.As(err, &auth):
	case auth.Elsewhere != "":
		return auth.Elsewhere
	case r.s.GSSAPI && slices.Contains(auth.Methods, "gssapi-with-mic") && c.other.ticket():
		return "GSSAPIAuthentication"
	}
	return ""
}

// twice is the error of a host that neither we nor ssh could reach.
func twice(first, second error) error {
	var de, other *DialError
	if !errors.As(first, &de) || !errors.As(second, &other) {
		return errors.Join(first, second)
	}
	both := *de
	both.Err = &twiceError{de.Err, other.Err}
	return &both
}

// twiceError is a failure of ours with that of ssh, which was tried then.
type twiceError struct{ first, second error }

// Error gives both.
func (e *twiceError) Error() string { return e.first.Error() + "; then " + e.second.Error() }

// Unwrap gives both.
func (e *twiceError) Unwrap() []error { return []error{e.first, e.second} }

func (e *twiceError) wholeSentence() {}

// klistTimeout is how long klist may take to look into a ticket cache.
const klistTimeout = 5 * time.Second

// hasTicket reports whether there seems to be a Kerberos ticket: a cache where one is looked
// for by default, or one that only the library can look into.
func hasTicket() bool {
	cache := envOr("KRB5CCNAME", fmt.Sprintf("FILE:/tmp/krb5cc_%d", os.Getuid()))
	if path, ok := strings.CutPrefix(cache, "FILE:"); ok || strings.HasPrefix(cache, "/") {
		if isFile(path) {
			return true
		}
		// Distributions configure other caches as the default, which its own tool knows.
		ctx, cancel := context.WithTimeout(context.Background(), klistTimeout)
		defer cancel()
		return os.Getenv("KRB5CCNAME") == "" && exec.CommandContext(ctx, "klist", "-s").Run() == nil
	}
	return true
}
