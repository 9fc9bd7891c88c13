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
// flight keep it busy, more would only wait there.
const (
	maxAgentSigns    = 16
	agentListTimeout = 10 * time.Second
)

// agents are the ssh-agents of a Client, one connection for each socket.
type agents struct {
	wg    *sync.WaitGroup // of the Client: calls that outlive their caller
	signs *semaphore.Weighted

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
	keys   []*agent.Key
	err    error
}

// errNoAgent is a machine, or a host's configuration, without agent.
var errNoAgent = errors.New("no agent is running (SSH_AUTH_SOCK is not set)")

func newAgents(wg *sync.WaitGroup) *agents {
	return &agents{wg: wg, signs: semaphore.NewWeighted(maxAgentSigns), open: make(map[string]*agentConn)}
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
		ac = &agentConn{socket: socket, ready: make(chan struct{})}
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

// connect dials the socket and lists the keys, within agentListTimeout.
func (a *agents) connect(ac *agentConn) {
	defer close(ac.ready)
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
	if ac.keys, ac.err = ac.client.List(); ac.err != nil {
		conn.Close()
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

// SignWithAlgorithm implements [ssh.AlgorithmSigner].
func (s *agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA256:
		flags = agent.SignatureFlagRsaSha256
	case ssh.KeyAlgoRSASHA512:
		flags = agent.SignatureFlagRsaSha512
	}
	ctx, agents := s.attempt.ctx, s.attempt.client.agents
	if err := agents.signs.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	type answer struct {
		sig *ssh.Signature
		err error
	}
	done := make(chan answer, 1)
	agents.start(func() {
		defer agents.signs.Release(1)
		sig, err := s.conn.client.SignWithFlags(s.private, data, flags)
		done <- answer{sig, err}
	})
	select {
	case a := <-done:
		if a.err != nil {
			return nil, fmt.Errorf("the agent did not sign: %w", a.err)
		}
		return a.sig, nil
	case <-ctx.Done():
		return nil, errors.New("the agent did not sign in time")
	}
}

// plainAgentKey gives a key of an agent as what it is, or as it is where it is of no type
// that is known here.
func plainAgentKey(k *agent.Key) ssh.PublicKey {
	if key, err := ssh.ParsePublicKey(k.Blob); err == nil {
		return key
	}
	return k
}
