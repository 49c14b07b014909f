package routes

import (
	"emqttd/actors/topics"
)

// inbox is what one shard of the peer has told. Its tales are applied by several
// shards of this node at once and may be done in any order; they count when all
// before them are done.
type inbox struct {
	tales  []*pending
	digest topics.Digest // of the tales that count
	whole  bool          // all that was to be told at first has been applied
}

// pending is a tale, or a part of one, that is being applied.
type pending struct {
	*tale
	delta topics.Digest
	done  bool
}

func (c *conversation) onTale(t *tale) {
	changes, err := t.changes()
	if err != nil {
		c.routes.unread(c.peer, "routes", err)
		// The digests will not agree, so that all of them are told again.
	}
	t.Changes = nil
	p := &pending{tale: t}
	if !c.expect(p) {
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
func (c *conversation) expect(p *pending) bool {
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
	return true
}

// applied takes note that a tale is in the tables.
func (c *conversation) applied(p *pending, delta topics.Digest) {
	c.mu.Lock()
	p.done, p.delta = true, delta
	in := &c.shards[p.Shard]
	heard := heard{Shard: p.Shard}
	differs := false
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
		if told := (topics.Digest{Count: head.Count, Sum: head.Sum}); told != in.digest {
			in.digest = told
			differs = true
		}
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
		c.repair(p.Shard)
	}
	c.announce()
}

func (c *conversation) repair(shard int) {
	c.routes.mismatches.Add(1)
	c.routes.log.Error("the routes of a peer are not what it has told; they are told again", "node", c.name, "shard", shard)
	c.peer.Send(&repeat{})
}
