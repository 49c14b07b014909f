package routes

import (
	"emqttd/actors/topics"
	"emqttd/cluster"
	"emqttd/protocol/topic"
)

// inbox is what one shard of the peer has told. Its tales are applied by several
// shards of this node at once and may be done in any order; they count when all
// before them are done.
type inbox struct {
	tales  []*pending
	digest topics.Digest // of the tales that count
	whole  bool          // all that was to be told at first has been applied
	// In a repair: repeated from when it begins to tell everything again until it
	// has, recorded until the repair is over.
	repeated, recorded bool
}

// pending is a tale, or a part of one, that is being applied.
type pending struct {
	*tale
	delta topics.Digest
	done  bool
	ends  bool // with it everything has been told again
}

func (c *conversation) onTale(t *tale) {
	changes, err := t.changes()
	if err != nil {
		c.routes.unread(c.peer, "routes", err)
		// The digests will not agree, so that all of them are told again.
	}
	t.Changes = nil
	p := &pending{tale: t}
	if !c.expect(p, changes) {
		return
	}
	apply := func() {
		c.routes.router.Apply(c.sub, changes, func(d topics.Digest) { c.applied(p, d) })
	}
	c.order.Lock()
	defer c.order.Unlock()
	if c.sub == nil {
		c.backlog = append(c.backlog, apply)
		return
	}
	apply()
}

// expect puts a tale behind those of its shard that came before.
func (c *conversation) expect(p *pending, changes []topics.Change) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	if c.shards == nil {
		c.shards = make([]inbox, p.Shards)
	}
	if p.Shard >= len(c.shards) {
		c.routes.unread(c.peer, "routes", "a shard that there is not")
		return false
	}
	in := &c.shards[p.Shard]
	in.tales = append(in.tales, p)
	c.record(in, p, changes)
	return true
}

// applied takes note that a tale is in the tables.
func (c *conversation) applied(p *pending, delta topics.Digest) {
	c.mu.Lock()
	p.done, p.delta = true, delta
	in := &c.shards[p.Shard]
	heard := heard{Shard: p.Shard}
	differs, swept := false, false
	for len(in.tales) > 0 && in.tales[0].done {
		head := in.tales[0]
		in.tales = in.tales[1:]
		in.digest.Add(head.delta)
		if head.More {
			continue
		}
		heard.Number = head.Number
		if !head.Whole {
			continue
		}
		if !in.whole {
			in.whole = true
			c.whole++
		}
		told := topics.Digest{Count: head.Count, Sum: head.Sum}
		if head.ends {
			swept = c.repeatedOne()
		} else if told != in.digest && c.repair == nil {
			differs = true
		}
		in.digest = told
	}
	if differs {
		c.repair = &repair{known: make(map[uint64]struct{}), left: len(c.shards)}
	}
	ended := c.ended
	c.mu.Unlock()
	if ended {
		return
	}
	if heard.Number > 0 {
		c.peer.Send(&heard)
	}
	if differs {
		c.routes.mismatches.Add(1)
		c.routes.log.Error("the routes of a peer are not what it has told; they are told again", "node", c.name, "shard", p.Shard)
		c.peer.Send(&repeat{})
	}
	if swept {
		c.routes.router.Sweep(c.sub, c.known, c.repaired)
	}
	c.announce()
}

// repair is under way when the routes of a peer are told again: what is there and
// was not told goes when all has been told.
type repair struct {
	known map[uint64]struct{} // hashes of what was told and is still so
	left  int                 // shards of the peer that have not told all
}

// record notes what is told during a repair, before it is applied.
func (c *conversation) record(in *inbox, p *pending, changes []topics.Change) {
	if c.repair == nil {
		in.repeated, in.recorded = false, false
		return
	}
	if p.First && !in.recorded {
		in.repeated, in.recorded = true, true
	}
	if !in.recorded {
		return
	}
	if in.repeated && p.Whole {
		p.ends, in.repeated = true, false
	}
	for i := range changes {
		key := keyOf(changes[i].Filter, changes[i].Group)
		if changes[i].Gone {
			delete(c.repair.known, key)
		} else {
			c.repair.known[key] = struct{}{}
		}
	}
}

func keyOf(f topic.Filter, group string) uint64 {
	return cluster.Hash(string(f)) ^ 31*cluster.Hash(group)
}

// repeatedOne takes note that one shard has told everything again, and tells
// whether it was the last.
func (c *conversation) repeatedOne() bool {
	c.repair.left--
	return c.repair.left == 0
}

func (c *conversation) known(f topic.Filter, group string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.repair.known[keyOf(f, group)]
	return ok
}

func (c *conversation) repaired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.repair = nil
}
