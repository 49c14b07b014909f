package access

import "time"

// Settings are those Options that may change while a Chain is in use.
type Settings struct {
	AllowAnonymous  bool
	NoMatchAllow    bool
	StrictWildcards bool
	CacheSize       int
	CacheTTL        time.Duration // 0 is a minute
}

// Set puts other Settings in force, at once and for all clients: those that are
// there are judged anew. It may be called from any goroutine.
func (c *Chain) Set(s Settings) {
	c.set(s)
	c.Announce(Selector{})
}

func (c *Chain) set(s Settings) {
	if s.CacheTTL == 0 {
		s.CacheTTL = time.Minute
	}
	c.settings.Store(&s)
}

// ttl is how long decisions and rules are kept, in seconds.
func (c *Chain) ttl() uint32 {
	return uint32(max(c.settings.Load().CacheTTL, time.Second) / time.Second)
}

// Backoff is what makes those wait who give wrong passwords; nil if there is none.
func (c *Chain) Backoff() *Backoff { return c.o.Backoff }
