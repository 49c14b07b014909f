package access

import (
	"context"
	"math"
	"sync"
	"time"

	"emqttd/actors/access/acl"
	"emqttd/protocol/topic"
)

// Identity is a client that was admitted: who it is, and what it may do. Its
// methods may be called from any goroutine.
type Identity struct {
	chain  *Chain
	client acl.Client // the address and the identifier do not change

	mu        sync.Mutex
	notes     *notes // nil until there are some: most clients are idle
	seen      uint32 // how many changes were announced when it was admitted or refreshed
	expires   uint32 // Unix seconds; 0 is never
	epoch     uint32 // grows with each Refresh: what was asked for before it is not kept
	step      int16  // the module that admitted it; -1 none
	superuser bool
	hasClaims bool
}

// notes are what an Identity remembers of rules.
type notes struct {
	cred    *Credentials // without the password; nil if no module needs them
	version uint64       // of the chain's rules that the cache is about
	cache   cache
	claims  []acl.Rule // those of a token
	loaded  *loaded    // rules of the modules; nil: to be asked for
}

// note makes the notes. The caller holds mu.
func (id *Identity) note() *notes {
	if id.notes == nil {
		id.notes = new(notes)
	}
	return id.notes
}

// loaded are the rules of each module, by its place in the chain.
type loaded struct {
	rules [][]acl.Rule
	line  *line // whose modules they are
	at    uint32
}

// Reviewer is a Module that can judge a client it has admitted anew, without its
// password: Deny says that it must go, for its user exists no longer; Allow that
// it may stay, with the Superuser, Expires and Rules that now hold; Ignore that
// it may stay as it was.
type Reviewer interface {
	Review(ctx context.Context, c *Credentials) (Result, error)
}

// take notes what a module said of the client.
func (id *Identity) take(r Result) {
	id.superuser, id.hasClaims = r.Superuser, r.HasRules
	if r.HasRules || id.notes != nil {
		id.note().claims = r.Rules
	}
	if id.expires = 0; !r.Expires.IsZero() {
		id.expires = uint32(min(max(r.Expires.Unix(), 1), math.MaxUint32))
	}
}

// ClientID is the client's identifier.
func (id *Identity) ClientID() string { return id.client.ClientID }

// Username is the client's user name, which the module that admitted it may have
// replaced.
func (id *Identity) Username() string { return id.client.Username }

// Superuser tells whether no access rule binds the client.
func (id *Identity) Superuser() bool {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.superuser
}

// Expires is when the client must be gone; zero is never. Nothing is allowed
// afterwards.
func (id *Identity) Expires() time.Time {
	id.mu.Lock()
	defer id.mu.Unlock()
	if id.expires == 0 {
		return time.Time{}
	}
	return time.Unix(int64(id.expires), 0)
}

// Module is the name of the module that admitted the client, or empty.
func (id *Identity) Module() string {
	if id.step < 0 {
		return ""
	}
	return id.chain.name(id.step)
}

// Is tells whether a change concerns the client.
func (id *Identity) Is(s Selector) bool { return s.Matches(id.client.ClientID, id.client.Username) }

// MayPublish decides about one PUBLISH, or about a will. It does not allocate
// when the topic is in the cache; else it may wait for a back end.
func (id *Identity) MayPublish(t topic.Name) bool { return id.may(acl.Publish, string(t)) }

// MaySubscribe decides about one filter of a SUBSCRIBE, without its prefix:
// $share/g/x, $queue/x and $local/x are judged as x. It is as MayPublish.
func (id *Identity) MaySubscribe(f topic.Filter) bool { return id.may(acl.Subscribe, string(f)) }

func (id *Identity) may(a acl.Action, t string) bool {
	c := id.chain
	line := c.line.Load()
	id.mu.Lock()
	if id.expires != 0 && time.Now().Unix() >= int64(id.expires) {
		id.mu.Unlock()
		return false
	}
	if id.superuser || !line.judges && !id.hasClaims {
		allow := id.superuser || c.settings.Load().NoMatchAllow
		id.mu.Unlock()
		return allow
	}
	now, version, epoch := c.clock(), c.version.Load(), id.epoch
	var allow, ok bool
	if n := id.notes; n != nil && n.version == version {
		allow, ok = n.cache.get(a, t, now)
	}
	id.mu.Unlock()
	if ok {
		return allow
	}
	allow, _, keep := id.decide(context.Background(), a, t)
	// Who asks nobody far away need not remember what is asked once.
	if keep && c.settings.Load().CacheSize > 0 && (a == acl.Publish || line.remote) {
		id.keep(version, epoch, func(k *cache) { k.put(a, t, allow, now+c.ttl(), c.settings.Load().CacheSize) })
	}
	return allow
}

// keep enters a decision into the cache, unless what it was based on has changed.
func (id *Identity) keep(version uint64, epoch uint32, put func(*cache)) {
	id.mu.Lock()
	defer id.mu.Unlock()
	n := id.note()
	if n.version < version {
		n.cache, n.version = cache{}, version
	}
	if n.version == version && id.epoch == epoch {
		put(&n.cache)
	}
}

// decide asks all rules. why names the one that decided; keep says that the
// decision is worth keeping, which one for want of an answer is not.
func (id *Identity) decide(ctx context.Context, a acl.Action, t string) (allow bool, why string, keep bool) {
	c := id.chain
	id.mu.Lock()
	var claims []acl.Rule
	if id.notes != nil {
		claims = id.notes.claims
	}
	id.mu.Unlock()
	strict := c.settings.Load().StrictWildcards
	if i := acl.Judge(claims, &id.client, a, t, strict); i >= 0 {
		return claims[i].Allow, claims[i].Origin, true
	}
	line := c.line.Load()
	rules, err := id.rules(ctx, line)
	if err != nil {
		return false, "rules cannot be read", false
	}
	for i, s := range line.steps {
		if s.rules != nil {
			if n := acl.Judge(rules[i], &id.client, a, t, strict); n >= 0 {
				return rules[i][n].Allow, origin(s, &rules[i][n]), true
			}
		}
		if s.judge == nil {
			continue
		}
		v, err := s.judge.Authorize(ctx, id.credentials(), a, t)
		if err != nil {
			s.count(Ignore, err)
			c.failed(s, err)
			return false, s.Name() + " cannot answer", false
		}
		if v != Ignore {
			return v == Allow, s.Name(), true
		}
	}
	if f := c.o.ACL.rules(); len(f) > 0 {
		if i := acl.Judge(f, &id.client, a, t, strict); i >= 0 {
			return f[i].Allow, f[i].Origin, true
		}
	}
	return c.settings.Load().NoMatchAllow, "acl_nomatch", true
}

func origin(s *step, r *acl.Rule) string {
	if r.Origin == "" {
		return s.Name()
	}
	return r.Origin
}

// rules are those of the modules, asked for when they are too old. Two callers
// at the same time may ask twice; both answers are good.
func (id *Identity) rules(ctx context.Context, line *line) ([][]acl.Rule, error) {
	c := id.chain
	if !line.sourced {
		return nil, nil
	}
	now := c.clock()
	id.mu.Lock()
	l, epoch := id.note().loaded, id.epoch
	id.mu.Unlock()
	if l != nil && l.line == line && now-l.at < c.ttl() {
		return l.rules, nil
	}
	l = &loaded{at: now, line: line, rules: make([][]acl.Rule, len(line.steps))}
	cred := id.credentials()
	for i, s := range line.steps {
		if s.rules == nil {
			continue
		}
		r, err := s.rules.Rules(ctx, cred)
		if err != nil {
			s.count(Ignore, err)
			c.failed(s, err)
			return nil, err
		}
		l.rules[i] = r
	}
	id.mu.Lock()
	if id.epoch == epoch {
		id.note().loaded = l
	}
	id.mu.Unlock()
	return l.rules, nil
}

// Outdated tells whether a change was announced since the client began to be
// admitted, or was last refreshed. Whoever starts to hold an Identity asks once,
// after OnChange can find it, so that a change in between is not missed.
func (id *Identity) Outdated() bool {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.seen != uint32(id.chain.changes.Load())
}

// Refresh judges the client anew after a change: false says that it may not stay
// connected, for it is banned, its token has expired or its user is gone. What
// its topics are about is asked for again when they are next used. A back end
// that cannot answer changes nothing but that.
func (id *Identity) Refresh(ctx context.Context) bool {
	c := id.chain
	id.mu.Lock()
	id.seen = uint32(c.changes.Load())
	id.mu.Unlock()
	if id.banned() || id.Expired() {
		return false
	}
	if id.step >= 0 {
		if s := c.line.Load().step(id.step); s != nil && s.reviewer != nil {
			r, err := s.reviewer.Review(ctx, id.credentials())
			if err != nil {
				s.count(Ignore, err)
				c.failed(s, err)
			}
			if err == nil && r.Verdict == Deny {
				return false
			}
			if err == nil && r.Verdict == Allow {
				id.mu.Lock()
				id.take(r)
				id.mu.Unlock()
			}
		}
	}
	id.mu.Lock()
	if n := id.notes; n != nil {
		n.loaded, n.cache = nil, cache{}
	}
	id.epoch++
	id.mu.Unlock()
	return !id.Expired()
}

// credentials are those the client came with; where it came before there was a
// module that asks for them, what is known of it.
func (id *Identity) credentials() *Credentials {
	id.mu.Lock()
	defer id.mu.Unlock()
	if n := id.notes; n != nil && n.cred != nil {
		return n.cred
	}
	c := &Credentials{ClientID: id.client.ClientID, Username: id.client.Username}
	if id.client.Addr.IsValid() {
		c.Peer = id.client.Addr.String()
	}
	return c
}

func (id *Identity) banned() bool {
	peer := ""
	if id.client.Addr.IsValid() {
		peer = id.client.Addr.String()
	}
	_, banned := id.chain.o.Bans.banned(&Credentials{ClientID: id.client.ClientID, Username: id.client.Username, Peer: peer})
	return banned
}

// Expired tells whether Expires is over.
func (id *Identity) Expired() bool {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.expires != 0 && time.Now().Unix() >= int64(id.expires)
}
