package access

import (
	"hash/maphash"
	"strings"

	"emqttd/actors/access/acl"
)

// cache keeps decisions about topics: a hash table of buckets of up to ways
// entries. It grows while it may; then a full bucket gives up the entry that is the oldest.
// There is one for each connection, and most clients use a topic or two: an
// empty one takes no more than its slice, the first four topics 24 bytes each. The zero value is ready.
type cache struct{ entries []entry }

type entry struct {
	topic  string // "" is none
	until  uint32 // by the chain's clock
	action acl.Action
	allow  bool
}

const (
	ways  = 8
	least = 4 // how many it begins with
)

var seed = maphash.MakeSeed()

// bucket are the entries that may hold the topic.
func (c *cache) bucket(t string) []entry {
	if len(c.entries) <= ways {
		return c.entries
	}
	n := uint64(len(c.entries) / ways)
	i := maphash.String(seed, t) % n * ways
	return c.entries[i : i+ways : i+ways]
}

// get looks up a decision that is not older than it may be.
func (c *cache) get(a acl.Action, t string, now uint32) (allow, ok bool) {
	if len(c.entries) == 0 {
		return false, false
	}
	b := c.bucket(t)
	for i := range b {
		if e := &b[i]; e.topic == t && e.action == a && e.until > now {
			return e.allow, true
		}
	}
	return false, false
}

// put adds a decision, with a copy of the topic. limit is how many it may hold,
// rounded up to whole buckets.
func (c *cache) put(a acl.Action, t string, allow bool, until uint32, limit int) {
	if len(c.entries) == 0 {
		c.entries = make([]entry, least)
	}
	for {
		b := c.bucket(t)
		e := victim(b, a, t)
		if e.topic == "" || e.topic == t && e.action == a {
			*e = entry{strings.Clone(t), until, a, allow}
			return
		}
		if len(c.entries) >= limit {
			*e = entry{strings.Clone(t), until, a, allow}
			return
		}
		c.grow(limit)
	}
}

// victim is where the decision is to stand: its own place, an empty one or that
// of the oldest.
func victim(b []entry, a acl.Action, t string) *entry {
	oldest := &b[0]
	for i := range b {
		e := &b[i]
		if e.topic == t && e.action == a {
			return e
		}
		if e.topic == "" && oldest.topic != "" || oldest.topic != "" && e.until < oldest.until {
			oldest = e
		}
	}
	return oldest
}

// grow doubles the table, up to the limit in whole buckets.
func (c *cache) grow(limit int) {
	old := c.entries
	c.entries = make([]entry, min(2*len(old), (limit+ways-1)/ways*ways))
	for _, e := range old {
		if e.topic != "" {
			*victim(c.bucket(e.topic), e.action, e.topic) = e
		}
	}
}
