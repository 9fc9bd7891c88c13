package sshx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/sync/semaphore"
)

// Limits of the agent. It signs one at a time whatever is asked of it; a few requests in
// flight keep it busy, more would only wait there. Of a key that is touched there is one.
const (
	maxAgentSigns    = 16
	agentListTimeout = 10 * time.Second
	agentSlow        = 2 * time.Second // for a signature, before the user is told what is waited for
	agentSignTimeout = 2 * time.Minute // the patience of a person, and of sshd (LoginGraceTime)
)

// agents are the ssh-agents of a Client, one connection for each socket.
type agents struct {
	wg    *sync.WaitGroup // of the Client: calls that outlive their caller
	signs *semaphore.Weighted
	warnf func(string, ...any)

	slow, signTimeout time.Duration // see the constants

	mu     sync.Mutex
	open   map[string]*agentConn
	closed bool
}

// agentConn is one agent and the keys it had when it was first asked.
type agentConn struct {
	socket string
	ready  chan struct{} // closed once the fields below are set
	conn   net.Conn
	client agent.ExtendedAgent
	keys   []ssh.PublicKey
	names  []string // of keys, safe to show
	err    error

	touch  *semaphore.Weighted // one signature with a key that is touched
	warned sync.Map            // keys that the user was told of
}

// errNoAgent is a machine, or a host's configuration, without agent.
var errNoAgent = errors.New("no agent is running (SSH_AUTH_SOCK is not set)")

func newAgents(wg *sync.WaitGroup, warnf func(string, ...any)) *agents {
	return &agents{wg: wg, signs: semaphore.NewWeighted(maxAgentSigns), warnf: warnf,
		slow: agentSlow, signTimeout: agentSignTimeout, open: make(map[string]*agentConn)}
}

// get connects to the agent of a host's settings, once for all hosts. Without agent it
// gives nil and the reason.
func (a *agents) get(ctx context.Context, socket string) (*agentConn, error) {
	if socket == "none" {
		return nil, errors.New("no agent is used (IdentityAgent none)")
	}
	if socket == "" {
		if socket = os.Getenv("SSH_AUTH_SOCK"); socket == "" {
			return nil, errNoAgent
		}
	}
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil, ErrClosed
	}
	ac, ok := a.open[socket]
	if !ok {
		ac = &agentConn{socket: socket, ready: make(chan struct{}), touch: semaphore.NewWeighted(1)}
		a.open[socket] = ac
		a.wg.Go(func() { a.connect(ac) })
	}
	a.mu.Unlock()
	select {
	case <-ac.ready:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if ac.err != nil {
		return nil, fmt.Errorf("the agent at %s does not answer: %v", printable(socket), plainNetError(ac.err))
	}
	return ac, nil
}

// connect dials the socket and lists the keys, within agentListTimeout. An agent that cannot
// be reached is no error: there may be other keys.
func (a *agents) connect(ac *agentConn) {
	defer close(ac.ready)
	defer func() {
		if ac.err != nil && !errors.Is(ac.err, ErrClosed) {
			a.warnf("the agent at %s does not answer: %v", printable(ac.socket), plainNetError(ac.err))
		}
	}()
	conn, err := net.DialTimeout("unix", ac.socket, agentListTimeout)
	if err != nil {
		ac.err = err
		return
	}
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		conn.Close()
		ac.err = ErrClosed
		return
	}
	ac.conn = conn
	a.mu.Unlock()
	timer := time.AfterFunc(agentListTimeout, func() { conn.Close() })
	defer timer.Stop()
	ac.client = agent.NewClient(conn)
	held, err := ac.client.List()
	if err != nil {
		ac.err = err
		conn.Close()
		return
	}
	for _, k := range held {
		ac.keys = append(ac.keys, plainAgentKey(k))
		name := k.Comment
		if name == "" {
			name = ssh.FingerprintSHA256(k)
		}
		ac.names = append(ac.names, printable(name)+" (agent)")
	}
}

// start runs f, for which Close of the Client waits. Once it closes f runs here and now: its
// agents have hung up, so it ends at once.
func (a *agents) start(f func()) {
	a.mu.Lock()
	if !a.closed {
		a.wg.Go(f)
		a.mu.Unlock()
		return
	}
	a.mu.Unlock()
	f()
}

// close hangs up on every agent, which ends every call.
func (a *agents) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, ac := range a.open {
		if ac.conn != nil {
			ac.conn.Close()
		}
	}
}

// agentSigner signs with a key of an agent. Sign gives up with the dial; the request it
// leaves behind ends with the agent's answer or with the Client.
type agentSigner struct {
	attempt *authAttempt
	conn    *agentConn
	private ssh.PublicKey // which of the agent's
	key     ssh.PublicKey // the same, or a certificate for it
}

var _ ssh.AlgorithmSigner = (*agentSigner)(nil)

// PublicKey implements [ssh.Signer].
func (s *agentSigner) PublicKey() ssh.PublicKey { return s.key }

// Sign implements [ssh.Signer].
func (s *agentSigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(nil, data, "")
}

// SignWithAlgorithm implements [ssh.AlgorithmSigner]. The dial's clock stands meanwhile: a
// person may have to touch the key or to confirm.
func (s *agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA256:
		flags = agent.SignatureFlagRsaSha256
	case ssh.KeyAlgoRSASHA512:
		flags = agent.SignatureFlagRsaSha512
	}
	var sig *ssh.Signature
	var err error
	s.attempt.pause(func() { sig, err = s.sign(data, flags) })
	return sig, err
}

// sign waits for its turns, and has the agent sign unless the connection is gone by then.
func (s *agentSigner) sign(data []byte, flags agent.SignatureFlags) (*ssh.Signature, error) {
	ctx, agents := s.attempt.ctx, s.attempt.client.agents
	leave := func() {}
	if s.touch() {
		s.attempt.waited = true
		if err := s.conn.touch.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		leave = func() { s.conn.touch.Release(1) }
	}
	if err := agents.signs.Acquire(ctx, 1); err != nil {
		leave()
		return nil, err
	}
	if s.attempt.wire.broken.Load() != nil {
		agents.signs.Release(1)
		leave()
		return nil, errBroken
	}
	return s.request(data, flags, func() { agents.signs.Release(1); leave() })
}

// request has the agent sign, and tells the user where that takes long. leave is called when
// the agent has answered, which may be later than the dial ends.
func (s *agentSigner) request(data []byte, flags agent.SignatureFlags, leave func()) (*ssh.Signature, error) {
	ctx, agents := s.attempt.ctx, s.attempt.client.agents
	type answer struct {
		sig *ssh.Signature
		err error
	}
	done := make(chan answer, 1)
	agents.start(func() {
		defer leave()
		sig, err := s.conn.client.SignWithFlags(s.private, data, flags)
		done <- answer{sig, err}
	})
	slow, end := time.NewTimer(agents.slow), time.NewTimer(agents.signTimeout)
	defer slow.Stop()
	defer end.Stop()
	for {
		select {
		case a := <-done:
			if a.err != nil {
				return nil, &agentError{a.err}
			}
			return a.sig, nil
		case <-slow.C:
			s.attempt.waited = true
			s.warn()
		case <-end.C:
			return nil, &TimeoutError{What: "the agent did not sign", After: agents.signTimeout.String()}
		case <-ctx.Done():
			return nil, errors.New("the agent did not sign in time")
		}
	}
}

// warn says what is waited for: once for each key, each time for one that is touched.
func (s *agentSigner) warn() {
	name := s.attempt.currentName()
	if s.touch() {
		s.attempt.client.opts.Warnf("waiting for the agent: touch the key %s for %s", name, printable(s.attempt.s.Alias))
		return
	}
	if _, again := s.conn.warned.LoadOrStore(keyBlob(s.key), true); !again {
		s.attempt.client.opts.Warnf("waiting for the agent to sign with %s: does it want to be touched, or confirmed?", name)
	}
}

// agentError is an agent that refused to sign: the user said no, or the key has constraints
// on hosts that only ssh can prove to be met.
type agentError struct{ err error }

// Error gives the agent's words.
func (e *agentError) Error() string { return "the agent did not sign: " + e.err.Error() }

// Unwrap gives the error of the protocol.
func (e *agentError) Unwrap() error { return e.err }

// plainAgentKey gives a key of an agent as what it is, or as it is where it is of no type
// that is known here.
func plainAgentKey(k *agent.Key) ssh.PublicKey {
	if key, err := ssh.ParsePublicKey(k.Blob); err == nil {
		return key
	}
	return k
}
