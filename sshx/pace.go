package sshx

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The pace of new connections. Sessions on connections that stand are not its concern.
const (
	// MaxHandshakes is how many connections to one sshd are in the making at once. sshd's
	// default MaxStartups begins to drop connections at ten that are not authenticated.
	MaxHandshakes = 8

	// MaxDialRate and MaxDialBurst bound how many connections a second a Client begins, to
	// all hosts together: firewalls and connection trackers on the way have limits, too.
	MaxDialRate  = 100
	MaxDialBurst = 32

	// DialStep is how far apart connections begin that have to wait for that rate: 25 together,
	// and not one every 10 ms. Hosts that begin together are heard together, and not each by a
	// waking of its own, which is a fifth of the CPU of a push to thousands.
	DialStep = 250 * time.Millisecond

	// maxLookups is how many names are resolved at once: more only time out together.
	maxLookups = 32
)

// pacer limits the unauthenticated connections to each sshd, and the rate of all.
type pacer struct {
	mu    sync.Mutex
	slots map[string]*slot

	began   time.Time
	rate    *rate.Limiter
	lookups chan struct{}
}

// slot is one sshd; it is forgotten when nobody uses it.
type slot struct {
	users  int
	tokens chan struct{}
}

func newPacer() *pacer {
	return &pacer{slots: make(map[string]*slot), began: time.Now(), rate: rate.NewLimiter(MaxDialRate, MaxDialBurst), lookups: make(chan struct{}, maxLookups)}
}

// acquire waits for a turn at the sshd that key names. release gives it back and must be
// called once.
func (p *pacer) acquire(ctx context.Context, key string) (release func(), err error) {
	p.mu.Lock()
	s, ok := p.slots[key]
	if !ok {
		s = &slot{tokens: make(chan struct{}, MaxHandshakes)}
		p.slots[key] = s
	}
	s.users++
	p.mu.Unlock()
	leave := func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.users--; s.users == 0 {
			delete(p.slots, key)
		}
	}
	select {
	case s.tokens <- struct{}{}:
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
	release = func() { <-s.tokens; leave() }
	if ctx.Err() != nil {
		release()
		return nil, context.Cause(ctx)
	}
	r := p.rate.Reserve()
	if err := sleep(ctx, p.untilStep(r.Delay())); err != nil {
		r.Cancel()
		release()
		return nil, context.Cause(ctx)
	}
	return release, nil
}

// untilStep is how long to wait so that after at least d a step begins; nothing for nothing.
func (p *pacer) untilStep(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	now := time.Since(p.began)
	at := (now + d + DialStep - 1).Truncate(DialStep)
	return at - now
}

// resolving waits for a turn at the resolver.
func (p *pacer) resolving(ctx context.Context) (release func(), err error) {
	select {
	case p.lookups <- struct{}{}:
		return func() { <-p.lookups }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Waits before another try at a server that turns connections away: full jitter below a
// limit that doubles.
const (
	maxThrottleTries = 6
	firstBackoff     = 500 * time.Millisecond
	maxBackoff       = 30 * time.Second

	// sshd's penalties (PerSourcePenalties) are in force from 15 s on and forgotten as they
	// pass: after penaltyRepeats refusals in a row it is no longer a crowd that goes away.
	penaltyWait    = 16 * time.Second
	penaltyRepeats = 3
)

// throttleWait is how long to wait after the given try. penalised is how often in a row the
// server has said that this address is not allowed now.
func throttleWait(try, penalised int) time.Duration {
	limit := min(firstBackoff<<(try-1), maxBackoff)
	if penalised >= penaltyRepeats {
		return penaltyWait + rand.N(penaltyWait)
	}
	return limit/10 + rand.N(limit)
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// scouts has one dial go first where many lead through one jump host that only a ProxyCommand
// or an ssh program knows: if that host refuses it, the others are not tried. Three refusals
// would have the host block the workstation.
type scouts struct {
	patience time.Duration

	mu  sync.Mutex
	out map[string]*scout // by way
}

// scoutPatience is how long the others wait: a jump host that refuses does so at once, and a
// host behind it that does not answer is no reason to keep the others.
const scoutPatience = 15 * time.Second

func newScouts() *scouts {
	return &scouts{patience: scoutPatience, out: make(map[string]*scout)}
}

// scout is the first dial through a jump host.
type scout struct {
	began   time.Time
	back    chan struct{} // closed when it has ended, for better or worse
	refused error         // what any dial was refused with by the jump host
}

// commonProxy names the jump host of a ProxyCommand where that is the same for all hosts of a
// remote user: nothing of the command depends on the host but the destination it hands on.
func commonProxy(template, user string) string {
	key := strings.NewReplacer("%%", "%%", "%r", user).Replace(template)
	rest := strings.NewReplacer("[%h]:%p", "", "%h:%p", "", "%h %p", "", "'%h' '%p'", "", `"%h" "%p"`, "", "%%", "").Replace(key)
	if strings.Contains(rest, "%") {
		return ""
	}
	return key
}

// enter waits for the scout through a jump host, or makes the caller the one. An empty way is
// none that others go. An error is the refusal that the caller would meet. report must be
// called once with what became of the dial.
func (s *scouts) enter(ctx context.Context, way string) (report func(error), err error) {
	if way == "" {
		return func(error) {}, nil
	}
	s.mu.Lock()
	sc, known := s.out[way]
	if !known {
		sc = &scout{began: time.Now(), back: make(chan struct{})}
		s.out[way] = sc
	}
	s.mu.Unlock()
	if known {
		late := time.NewTimer(time.Until(sc.began.Add(s.patience)))
		defer late.Stop()
		select {
		case <-sc.back:
		case <-late.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if sc.refused != nil {
			return nil, sc.refused
		}
	}
	return func(err error) {
		s.mu.Lock()
		if refused := jumpRefusal(err); refused != nil && sc.refused == nil {
			sc.refused = refused
		}
		s.mu.Unlock()
		if !known {
			close(sc.back)
		}
	}, nil
}
