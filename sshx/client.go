package sshx

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// The limits of a dial where neither [Options] nor the configuration sets them.
const (
	DefaultConnectTimeout    = 10 * time.Second // one TCP connect, or a jump host's
	DefaultHandshakeTimeout  = 15 * time.Second // banner, key exchange, host key
	DefaultAuthTimeout       = 20 * time.Second // all keys of one connection, without the time of agents and persons
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

	Interactive bool // a person may be asked, by the function below

	// AskPassphrase asks for the passphrase of a key file that a server would take, again after
	// a wrong one (NumberOfPasswordPrompts), and once for all hosts. It must end with ctx.
	AskPassphrase func(ctx context.Context, path string) ([]byte, error)

	Transport Transport // how hosts are reached, unless automatic
	Program   *Program  // the ssh program that the user has git use; nil for none

	MaxSurvey int // most hosts that UnknownKeys asks at once; 0 for the default

	ReadOnly bool       // known_hosts stays as it is: keys that are accepted are known to the Client alone
	Trace    func(Step) // called for what each dial finds out, from many goroutines

	Home string               // instead of $HOME
	User string               // instead of the local user's name
	Logf func(string, ...any) // what is not worth an error; text in it may be the server's, quoted

	// Warnf is told what the user should know although nothing has failed, each thing once:
	// a key or an agent that cannot be used, an agent that seems to wait for a touch.
	Warnf func(string, ...any)
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
	scouts  *scouts
	jumps   *jumpPool
	other   *otherTransports

	touching *semaphore.Weighted // maxTouchDials

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	backoff  func(ctx context.Context, d time.Duration) error // waits before another try
	scouting func()                                           // called before a host waits for another's keys
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
	if opts.Warnf == nil {
		opts.Warnf = func(string, ...any) {}
	}
	for _, err := range config.cfg.unread {
		opts.Logf("%v: it is passed over, as by ssh", err)
	}
	if !opts.Interactive {
		opts.AskPassphrase = nil
	}
	c := &Client{opts: opts, local: l, config: config, known: newHostKeys(l.home, opts.Logf), keys: newKeyring(opts.AskPassphrase),
		winners: newWinners(), pace: newPacer(), scouts: newScouts(), backoff: sleep,
		scouting: func() {}, touching: semaphore.NewWeighted(maxTouchDials)}
	c.known.readOnly = opts.ReadOnly
	c.agents = newAgents(&c.wg, opts.Warnf)
	c.jumps = &jumpPool{conns: make(map[string][]*sharedConn)}
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

// firstPositive gives the first of the values above zero.
func firstPositive[T time.Duration | int](values ...T) T {
	for _, v := range values {
		if v > 0 {
			return v
		}
	}
	return 0
}
