package topics

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"emqttd/protocol"
)

// Strategy says which member of a shared group gets a message. Whatever it
// picks, the next member which is online is taken instead of one that is not,
// and one that is offline only if none is online.
type Strategy uint8

// The strategies.
const (
	Random       Strategy = iota // EMQ 2.x knows no other
	RoundRobin                   // one after the other
	HashClientID                 // by the publishing client: keeps its order
	HashTopic                    // by the topic name: keeps the order of a topic
	Sticky                       // always the same one, until it goes offline
	Local                        // at random, but of this node while a member here is online
)

var strategies = [...]string{"random", "round_robin", "hash_clientid", "hash_topic", "sticky", "local"}

// String returns the name that ParseStrategy takes.
func (s Strategy) String() string { return strategies[s] }

// ParseStrategy reads the name of a strategy as it stands in the configuration.
func ParseStrategy(name string) (Strategy, error) {
	for i, s := range strategies {
		if s == name {
			return Strategy(i), nil
		}
	}
	return 0, fmt.Errorf("unknown shared subscription strategy %q", name)
}

// maxProbes bounds the search for a member which is online: beyond it an
// offline one is taken, so that a group of many sleeping clients cannot make a
// PUBLISH cost more than some ten microseconds.
const maxProbes = 1024

// pick returns the member at this node that gets m, or nil if there is none.
func (g *group) pick(b *Batch, m *protocol.Message) (row, *Subscriber) {
	members := g.members.all()
	if len(members) == 0 {
		return 0, nil
	}
	at, s, _ := g.pickFrom(b, members, g.start(b.router, b, m))
	return at, s
}

// lastOf is who got the last message of those that a batch publishes.
func (g *group) lastOf(b *Batch) *atomic.Uint32 {
	if b.remote {
		return &g.held
	}
	return &g.stuck
}

// pickFrom returns the first member from a position on that is online and has
// room, or else any: then ready is false.
func (g *group) pickFrom(b *Batch, members []atomic.Uint64, start uint32) (_ row, _ *Subscriber, ready bool) {
	r, n := b.router, uint32(len(members))
	if n == 0 {
		return 0, nil, false
	}
	if r.options.Strategy == Sticky {
		if at, s := g.pickStuck(b, members); s != nil {
			return at, s, true
		}
	}
	start %= n
	var asleep *Subscriber
	var asleepRow row
	for i := uint32(0); i < n && (i < maxProbes || asleep == nil); i++ {
		at := row(members[(start+i)%n].Load())
		if at == 0 || b.remote && at.local() {
			continue
		}
		s := r.subscriber(at.subscriber())
		if s == nil {
			continue
		}
		if s.is(online) && !s.is(full) {
			g.lastOf(b).Store(at.subscriber())
			return at, s, true
		}
		if asleep == nil {
			asleep, asleepRow = s, at
		}
	}
	return asleepRow, asleep, false
}

// pickStuck finds the member that got the last message, if it can have another.
func (g *group) pickStuck(b *Batch, members []atomic.Uint64) (row, *Subscriber) {
	id := g.lastOf(b).Load()
	s := b.router.subscriber(id)
	if s == nil || !s.is(online) || s.is(full) {
		return 0, nil
	}
	for i := range members {
		if at := row(members[i].Load()); at != 0 && at.subscriber() == id {
			return at, s
		}
	}
	return 0, nil // has left the group
}

func (g *group) start(r *Router, b *Batch, m *protocol.Message) uint32 {
	switch r.options.Strategy {
	case RoundRobin:
		return g.turn.Add(1) - 1
	case HashClientID:
		return uint32(r.space.Hash(m.From) >> 32)
	case HashTopic:
		return uint32(b.probe.Hash() >> 32)
	default:
		return rand.Uint32()
	}
}
