package access

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xdg-go/scram"

	"emqttd/actors/access/acl"
)

// Options say what a Chain consists of. The zero Options let nobody in.
type Options struct {
	// AllowAnonymous is the answer to a CONNECT about which no module decides.
	AllowAnonymous bool
	// NoMatchAllow is the answer about a topic about which no rule decides.
	NoMatchAllow bool
	// StrictWildcards refuses filters that have a topic in common with a denied one.
	StrictWildcards bool
	// CacheSize is how many decisions an Identity keeps, 0 none, and CacheTTL how
	// long it keeps them and the rules of back ends; 0 is a minute.
	CacheSize int
	CacheTTL  time.Duration
	// PollInterval is how often everybody is announced to have changed, if there
	// is a module with rules or users that is no Watcher; 0 is never.
	PollInterval time.Duration
	// Modules in the order in which they are asked. Those that wait for somebody
	// else are behind a Guard.
	Modules []Module
	// ACL, Bans, Backoff and Scram may be nil.
	ACL     *ACLFile
	Bans    *Bans
	Backoff *Backoff
	Scram   *Scram
	// Users and Clients are what Chain.Users and Chain.Clients return.
	Users, Clients *Accounts
	Log            *slog.Logger // nil: none
}

// Chain is the sequence of modules that decides: those of its Options, behind those
// that were added since.
type Chain struct {
	o        Options
	line     atomic.Pointer[line] // written under adding
	adding   sync.Mutex
	names    []string // of all modules there have been, by step.index
	started  time.Time
	context  context.Context // of Run; nil before
	scram    *scram.Server   // nil: no enhanced authentication
	settings atomic.Pointer[Settings]
	version  atomic.Uint64 // grows with each change that concerns everybody
	told     announcer
	changes  atomic.Uint64 // how many were announced
}

// line is the modules as they stand. It is never changed, but replaced.
type line struct {
	steps   []*step
	judges  bool // there is something that decides about topics
	sourced bool // a module has rules
	remote  bool // a module is asked about admitted clients: Identities must keep their Credentials
}

// step is a module with what else it can do.
type step struct {
	Module
	index    int16      // the same for all modules of a name
	rules    RuleSource // nil: none
	judge    Judge      // nil: none
	reviewer Reviewer   // nil: none
	watcher  Watcher    // nil: none
	guard    *Guarded   // nil: none
	counters
}

// NewChain makes a chain. Run does what goes on besides answering.
func NewChain(o Options) *Chain {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Chain{o: o, started: time.Now()}
	c.set(Settings{o.AllowAnonymous, o.NoMatchAllow, o.StrictWildcards, o.CacheSize, o.CacheTTL})
	var steps []*step
	for _, m := range o.Modules {
		s := newStep(m)
		s.index = int16(len(steps))
		steps = append(steps, s)
		c.names = append(c.names, m.Name())
	}
	c.line.Store(c.lineOf(steps))
	c.scram = c.scramServer()
	for _, n := range []notifier{o.Users, o.Clients, o.Bans} {
		n.notify(c.Announce)
	}
	return c
}

func (c *Chain) lineOf(steps []*step) *line {
	l := &line{steps: steps, judges: c.o.ACL != nil}
	for _, s := range steps {
		l.judges = l.judges || s.rules != nil || s.judge != nil
		l.sourced = l.sourced || s.rules != nil
		l.remote = l.remote || s.rules != nil || s.judge != nil || s.reviewer != nil
	}
	return l
}

// step finds a module by its index, nil if there is none now.
func (l *line) step(index int16) *step {
	for _, s := range l.steps {
		if s.index == index {
			return s
		}
	}
	return nil
}

func newStep(m Module) *step {
	s := &step{Module: m}
	inner := m
	if g, ok := m.(*Guarded); ok {
		s.guard, inner = g, g.module
	}
	if _, ok := inner.(RuleSource); ok {
		s.rules, _ = m.(RuleSource)
	}
	if _, ok := inner.(Judge); ok {
		s.judge, _ = m.(Judge)
	}
	if _, ok := inner.(Reviewer); ok {
		s.reviewer, _ = m.(Reviewer)
	}
	s.watcher, _ = inner.(Watcher)
	return s
}

// Users and Clients are the node's own users and clients, nil if there are none.
func (c *Chain) Users() *Accounts { return c.o.Users }

// Clients: see Users.
func (c *Chain) Clients() *Accounts { return c.o.Clients }

// Judges tells whether there is anything that decides about topics, so that what
// is allowed may change. Besides, a token may bring rules.
func (c *Chain) Judges() bool {
	l := c.line.Load()
	return l.judges || l.remote
}

// Bans is the list of banned clients, nil if there is none.
func (c *Chain) Bans() *Bans { return c.o.Bans }

// AllowAnonymous tells whether a client about which no module decides may come in.
func (c *Chain) AllowAnonymous() bool { return c.settings.Load().AllowAnonymous }

// clock counts seconds from 1.
func (c *Chain) clock() uint32 { return uint32(time.Since(c.started)/time.Second) + 1 }

// Admit decides about a CONNECT. Only with Accept there is an Identity. why says
// in a few words which rule or module decided; it is for logs, holds no secret,
// and is not for the client. The Credentials are not kept and may be changed
// afterwards, except for what Password and Header point to.
//
// Errors of back ends are logged, counted, and decide as Unavailable.
func (c *Chain) Admit(ctx context.Context, cred *Credentials) (*Identity, Decision, string) {
	before := c.changes.Load()
	if why, banned := c.o.Bans.banned(cred); banned {
		return nil, Banned, why
	}
	if wait := c.o.Backoff.Wait(cred.Peer, cred.Username); wait > 0 {
		return nil, TooManyAttempts, "back-off after wrong passwords"
	}
	s, r, d := c.ask(ctx, cred)
	switch d {
	case Accept:
		c.o.Backoff.Succeeded(cred.Peer, cred.Username)
		id := c.admitted(cred, s, r)
		id.seen = uint32(before)
		return id, Accept, r.Why
	case BadCredential:
		c.o.Backoff.Failed(cred.Peer, cred.Username)
	}
	return nil, d, r.Why
}

// Vouched is Admit for a client that has proved by an Exchange that it is
// cred.Username: no module is asked for its password.
func (c *Chain) Vouched(cred *Credentials) (*Identity, Decision, string) {
	before := c.changes.Load()
	if why, banned := c.o.Bans.banned(cred); banned {
		return nil, Banned, why
	}
	c.o.Backoff.Succeeded(cred.Peer, cred.Username)
	s, r := c.vouching(cred.Username)
	id := c.admitted(cred, s, r)
	id.seen = uint32(before)
	return id, Accept, "enhanced authentication"
}

// vouching is the step of the node's own users if the user is one of them, and
// what it knows of him.
func (c *Chain) vouching(user string) (*step, Result) {
	r := Result{Verdict: Allow}
	own := c.own()
	if own == nil || c.o.Scram.knows(user) {
		return nil, r
	}
	for _, s := range c.line.Load().steps {
		if x, ok := own.get(user); ok && s.Module == Module(own) {
			r.Superuser = x.superuser
			return s, r
		}
	}
	return nil, r
}

// MayTry tells whether an Exchange may begin: not for somebody who is banned, or
// must wait after wrong passwords. user may be empty where it is not known yet.
func (c *Chain) MayTry(peer, clientID, user string) Decision {
	if _, banned := c.o.Bans.banned(&Credentials{Peer: peer, ClientID: clientID, Username: user}); banned {
		return Banned
	}
	if c.o.Backoff.Wait(peer, user) > 0 {
		return TooManyAttempts
	}
	return Accept
}

// Wait is how long MayTry will still say TooManyAttempts.
func (c *Chain) Wait(peer, user string) time.Duration { return c.o.Backoff.Wait(peer, user) }

// Failed notes that an Exchange failed: a wrong password, as in Admit.
func (c *Chain) Failed(peer, user string) { c.o.Backoff.Failed(peer, user) }

// ask goes through the modules. The step is the one that decided, or nil.
func (c *Chain) ask(ctx context.Context, cred *Credentials) (*step, Result, Decision) {
	steps := c.line.Load().steps
	for _, s := range steps {
		r, err := s.Authenticate(ctx, cred)
		s.count(r.Verdict, err)
		r.Why = cmp.Or(r.Why, s.Name())
		switch {
		case err != nil:
			c.failed(s, err)
			return s, Result{Why: s.Name() + " cannot answer"}, Unavailable
		case r.Verdict == Allow && r.over():
			return s, Result{Why: s.Name() + ": expired"}, BadCredential
		case r.Verdict == Allow:
			return s, r, Accept
		case r.Verdict == Deny:
			return s, r, s.denial()
		}
	}
	if c.settings.Load().AllowAnonymous {
		return nil, Result{Why: "allow_anonymous"}, Accept
	}
	if len(steps) > 0 && cred.Username != "" {
		return nil, Result{Why: "no module knows the client"}, BadCredential
	}
	return nil, Result{Why: "no module decides, and allow_anonymous is false"}, NotAuthorized
}

// over tells whether what was allowed has ended already.
func (r *Result) over() bool { return !r.Expires.IsZero() && !r.Expires.After(time.Now()) }

// denial is what a client is told whom the module denies.
func (s *step) denial() Decision {
	if _, ok := s.Module.(*sources); ok {
		return NotAuthorized // no password would help
	}
	return BadCredential
}

// failed logs that a module could not answer, not more than once in a while.
func (c *Chain) failed(s *step, err error) {
	if s.mayLog(time.Now()) {
		c.o.Log.Warn("authentication module cannot answer", "module", s.Name(), "reason", err)
	}
}

// identify is the Identity of a client that nobody has vouched for.
func (c *Chain) identify(cred *Credentials) *Identity {
	id := &Identity{chain: c, client: acl.Client{ClientID: cred.ClientID, Username: cred.Username}, step: -1}
	if addr, err := netip.ParseAddr(cred.Peer); err == nil {
		id.client.Addr = addr.Unmap().WithZone("")
	}
	if c.line.Load().remote {
		kept := *cred
		kept.Password = nil
		id.notes = &notes{cred: &kept}
	}
	return id
}

func (c *Chain) admitted(cred *Credentials, s *step, r Result) *Identity {
	id := c.identify(cred)
	if r.Username != "" {
		id.client.Username = r.Username
		if id.notes != nil && id.notes.cred != nil {
			id.notes.cred.Username = r.Username
		}
	}
	if s != nil {
		id.step = s.index
	}
	id.take(r)
	return id
}

// ReloadACL reads etc/acl.conf again, as its watch does when the file changes: an
// error says what is wrong with it, and the rules before stay.
func (c *Chain) ReloadACL() error {
	if c.o.ACL == nil {
		return errors.New("there is no file of access rules: mqtt.acl_file is empty")
	}
	changed, err := c.o.ACL.Reload()
	if changed {
		c.Announce(Selector{})
	}
	return err
}

// OnChange calls f whenever something changed that may concern connected clients:
// those the Selector matches should be asked to Refresh, and their subscriptions
// be judged anew. f is called on the goroutine that noticed and must not block.
func (c *Chain) OnChange(f func(Selector)) { c.told.add(f) }

// Announce says that something changed. Decisions that are kept about everybody
// are dropped at once, if it concerns everybody.
func (c *Chain) Announce(s Selector) {
	if s == (Selector{}) {
		c.version.Add(1)
	}
	c.changes.Add(1)
	c.told.tell(s)
}

// Close closes the modules that hold connections. Run has ended before.
func (c *Chain) Close() {
	for _, s := range c.line.Load().steps {
		inner := s.Module
		if s.guard != nil {
			inner = s.guard.module
		}
		if m, ok := inner.(Closer); ok {
			if err := m.Close(); err != nil {
				c.o.Log.Warn("authentication module did not close", "module", s.Name(), "reason", err)
			}
		}
	}
}
