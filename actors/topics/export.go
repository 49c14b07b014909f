package topics

import (
	"sync/atomic"

	"emqttd/cluster"
	"emqttd/protocol/topic"
)

// Change is one change of what a node wants from the others: that it wants the
// messages of a filter, or has members of a shared group of it, or does not any
// more.
type Change struct {
	Filter topic.Filter
	Group  string // empty: ordinary subscriptions
	// Weight of a group is the number of members of which a client is connected:
	// its share of the messages.
	Weight uint32
	Gone   bool
}

// Digest tells whether two nodes have the same idea of a set of routes: their
// number, and the XOR of their hashes.
type Digest struct {
	Count int64
	Sum   uint64
}

func (d *Digest) add(c *Change) {
	d.Count++
	d.Sum ^= c.hash()
}

func (d *Digest) remove(c *Change) {
	d.Count--
	d.Sum ^= c.hash()
}

// Add adds a digest of changes, which may be negative.
func (d *Digest) Add(o Digest) {
	d.Count += o.Count
	d.Sum ^= o.Sum
}

func (c *Change) hash() uint64 {
	h := cluster.Hash(string(c.Filter))
	if c.Group != "" {
		h = h*31 + cluster.Hash(c.Group) + uint64(c.Weight)*0x9E3779B97F4A7C15
	}
	return h
}

// exports is what a table has for other nodes. It is nil where there is no
// cluster. All but filters belongs to the writer.
type exports struct {
	filters atomic.Int64 // with subscriptions of this node

	log    []Change // not told to the neighbours yet
	groups []*group // have changed and are not in the log yet
	seq    uint64   // number of changes so far, those in the log included
	digest Digest   // of what has been told or is in the log

	neighbours []*neighbour
	waiting    []answer
	handled    int // messages since the log was told
}

// standing is what a filter means to this node.
type standing struct {
	own    bool // somebody here subscribes
	wanted bool // with an ordinary subscription that is not $local
}

func (t *table) standing(id uint32) standing {
	word := t.entries.At(id).Load()
	switch {
	case word == 0:
		return standing{}
	case !isSet(word):
		own := !t.router.ofPeer(row(word))
		return standing{own, own && !row(word).local()}
	default:
		s := t.set(word)
		return standing{s.own > 0, s.wanted > 0}
	}
}

// ofPeer tells whether a row is a route of another node. The caller is the
// writer, or inside the epochs.
func (r *Router) ofPeer(at row) bool {
	s := r.subscribers.At(at.subscriber()).Load()
	return s != nil && s.is(peer)
}

// moved notes what a change of a filter's rows means to others.
func (x *exports) moved(f topic.Filter, before, after standing) {
	if before.own != after.own {
		if after.own {
			x.filters.Add(1)
		} else {
			x.filters.Add(-1)
		}
	}
	if before.wanted != after.wanted {
		x.add(Change{Filter: f, Gone: !after.wanted})
	}
}

func (x *exports) add(c Change) {
	x.seq++
	if c.Gone {
		x.digest.remove(&c)
	} else {
		x.digest.add(&c)
	}
	x.log = append(x.log, c)
}

// touched notes that the members of a group have changed, or which of them are
// connected.
func (x *exports) touched(g *group) {
	if !g.dirty {
		g.dirty = true
		x.groups = append(x.groups, g)
	}
}

// collect moves what has become of groups into the log: one change for each,
// however often it has changed.
func (x *exports) collect() {
	for _, g := range x.groups {
		g.dirty = false
		now := told{has: g.own > 0, weight: uint32(g.connected)}
		if now == g.told {
			continue
		}
		c := Change{Filter: g.filter, Group: g.name, Weight: now.weight, Gone: !now.has}
		if g.told.has { // what it was goes out of the digest
			was := c
			was.Weight = g.told.weight
			x.digest.remove(&was)
		}
		if now.has {
			x.digest.add(&c)
		}
		x.seq++
		x.log = append(x.log, c)
		g.told = now
	}
	clear(x.groups)
	x.groups = x.groups[:0]
}

// told is what the neighbours know of a group.
type told struct {
	has    bool
	weight uint32
}
