package sshx

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/user"
	"sync"
	"time"
)

// The limits of a dial where neither [Options] nor the configuration sets them.
const (
	DefaultConnectTimeout    = 10 * time.Second // one TCP connect, or a jump host's
	DefaultHandshakeTimeout  = 15 * time.Second // banner, key exchange, host key
	DefaultAuthTimeout       = 20 * time.Second // all keys of one connection
	DefaultExecTimeout       = 20 * time.Second // a session and the start of its command
	DefaultKeepaliveInterval = 15 * time.Second // silence before the server is asked for a sign
	DefaultKeepaliveCount    = 3                // signs that may stay out before the connection is closed
)

// Options are how a Client differs from plain ssh. The zero value is good.
type Options struct {
	ConfigFile string // as ssh -F: replaces the user's and the system's; "none" for no configuration

	// Limits above zero go before the user's configuration (ConnectTimeout,
	// ServerAliveInterval, ServerAliveCountMax), that before the defaults above.
	ConnectTimeout    time.Duration
	HandshakeTimeout  time.Duration
	AuthTimeout       time.Duration
	ExecTimeout       time.Duration
	KeepaliveInterval time.Duration
	KeepaliveCount    int

	Interactive   bool                              // a person may be asked, by the function below
	AskPassphrase func(path string) ([]byte, error) // once for each locked key file, if a server takes the key

	Transport Transport // how hosts are reached, unless automatic
	Program   *Program  // the ssh program that the user has git use; nil for none

	ReadOnly bool       // known_hosts stays as it is: keys that are accepted are known to the Client alone
	Trace    func(Step) // called for what each dial finds out, from many goroutines

	Home string               // instead of $HOME
	User string               // instead of the local user's name
	Logf func(string, ...any) // what is not worth an error; text in it may be the server's, quoted
}

// Client dials hosts with one user's OpenSSH configuration. It is safe for concurrent use.
// Configuration, key files and known_hosts files are read once and kept.
type Client struct {
	opts    Options
	local   local
	config  *resolver
	known   *hostKeys
	agents  *agents
	keys    *keyring
	winners *winners
	pace    *pacer
	jumps   *jumpPool
	other   *otherTransports

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	backoff func(ctx context.Context, try int) error // waits before another try
}

// New reads the configuration. A file that cannot be read or understood is a *ConfigError.
func New(opts Options) (*Client, error) {
	l, err := localFacts(opts)
	if err != nil {
		return nil, err
	}
	config, err := newResolver(opts.ConfigFile, l)
	if err != nil {
		return nil, err
	}
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	for _, err := range config.cfg.unread {
		opts.Logf("%v: it is passed over, as by ssh", err)
	}
	if !opts.Interactive {
		opts.AskPassphrase = nil
	}
	c := &Client{opts: opts, local: l, config: config, known: newHostKeys(l.home, opts.Logf), keys: newKeyring(opts.AskPassphrase),
		winners: &winners{key: make(map[string]string)}, pace: newPacer(), backoff: waitBackoff}
	c.known.readOnly = opts.ReadOnly
	c.agents = newAgents(&c.wg)
	c.jumps = &jumpPool{conns: make(map[string]*sharedConn)}
	c.other = newOtherTransports(opts.Program, opts.ConfigFile, l)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// localFacts finds out about the workstation.
func localFacts(opts Options) (local, error) {
	l := local{home: opts.Home, user: opts.User, hashesJump: sync.OnceValue(hashesJump)}
	var passwdHome string
	if u, err := user.Current(); err == nil {
		passwdHome = u.HomeDir
		if l.user == "" {
			l.user = u.Username
		}
	}
	if l.user == "" {
		l.user = os.Getenv("USER")
	}
	if l.home == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return l, fmt.Errorf("sshx: reading ssh configuration: the home directory is not known: set HOME")
		}
		l.home = home
	}
	l.moved = l.home != passwdHome
	l.hostname, _ = os.Hostname() // only for %l, %L and %C; ssh does with an empty one, too
	return l, nil
}

// Close ends the connections to agents and jump hosts, and with these every connection
// through them, and waits for what the Client started. Close the Conns first.
func (c *Client) Close() error {
	c.cancel()
	c.agents.close()
	c.jumps.close()
	c.wg.Wait()
	c.other.close()
	return nil
}

// Backoff between tries at a server that turns connections away: full jitter below a
// limit that doubles.
const (
	maxThrottleTries = 6
	firstBackoff     = 500 * time.Millisecond
	maxBackoff       = 30 * time.Second
)

// waitBackoff waits before try number try+1, or until ctx ends.
func waitBackoff(ctx context.Context, try int) error {
	limit := min(firstBackoff<<(try-1), maxBackoff)
	timer := time.NewTimer(rand.N(limit) + limit/10)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// firstPositive gives the first of the values above zero.
func firstPositive[T time.Duration | int](values ...T) T {
	for _, v := range values {
		if v > 0 {
			return v
		}
	}
	return 0
}
