package topics

import (
	"sync"

	"emqttd/actors/kernel"
	"emqttd/protocol/topic"
)

// Apply changes the routes of a peer, which keeps nothing of changes but the texts
// of groups. done is called once, with what has become different, when every
// PUBLISH at this node finds it: on the goroutine of a shard, which it must not
// block. It does not wait.
func (r *Router) Apply(p *Subscriber, changes []Change, done func(Digest)) {
	parts := make([][]Change, len(r.tables))
	if len(r.tables) == 1 {
		parts[0] = changes
	} else {
		for i := range changes {
			n := r.shardNumber(changes[i].Filter)
			if parts[n] == nil {
				parts[n] = make([]Change, 0, 2*len(changes)/len(r.tables)+8)
			}
			parts[n] = append(parts[n], changes[i])
		}
	}
	a := &application{peer: p, done: done, left: 1} // ours, so that it is not over before all are told
	for _, part := range parts {
		if len(part) > 0 {
			a.left++
		}
	}
	for n, part := range parts {
		if len(part) > 0 {
			r.system.Root.Send(r.tables[n].pid.Load(), &apply{to: a, changes: part})
		}
	}
	a.part(Digest{})
}

// application is one Apply on its way through the shards.
type application struct {
	peer *Subscriber
	done func(Digest)

	mu    sync.Mutex
	left  int
	delta Digest
}

func (a *application) part(d Digest) {
	a.mu.Lock()
	a.left--
	a.delta.Add(d)
	over, delta := a.left == 0, a.delta
	a.mu.Unlock()
	if over {
		a.done(delta)
	}
}

// apply is the part of one shard.
type apply struct {
	to      *application
	changes []Change
}

// MailboxClass keeps the order with Forget.
func (*apply) MailboxClass() kernel.Class { return kernel.Subscribe }

func (t *table) apply(m *apply) {
	var d Digest
	defer func() { m.to.part(d) }() // also after a panic: others wait for it
	for i := range m.changes {
		t.applyOne(m.to.peer, &m.changes[i], &d)
	}
}

func (t *table) applyOne(p *Subscriber, c *Change, d *Digest) {
	switch {
	case c.Group != "":
		t.applyGroup(p, c, d)
	case c.Gone:
		if t.removePeer(p, c.Filter) {
			d.remove(c)
		}
	default:
		if t.addPeer(p, c.Filter) {
			d.add(c)
		}
	}
}

// peerRow is a row with the highest QoS and the flag as published: what applies to
// each subscription is known where it is.
func peerRow(s *Subscriber) row { return row(s.index.Load())<<33 | 2<<2 | 1 }

func (t *table) addPeer(s *Subscriber, f topic.Filter) bool {
	if s.is(closed) || !s.hold() {
		return false
	}
	id := t.insert(f)
	if !t.put(id, topic.Subscription{Filter: f}, s, peerRow(s)) {
		t.router.letGo(s)
		return false
	}
	t.router.routes.Add(1)
	return true
}

// insert returns the id of a filter, which it adds if need be.
func (t *table) insert(f topic.Filter) uint32 {
	id, created := t.filters.Insert(f)
	t.entries.Grow(id)
	if created && f.HasWildcard() {
		t.router.wildcards.Add(1)
	}
	return id
}

func (t *table) removePeer(s *Subscriber, f topic.Filter) bool {
	id, ok := t.filters.Lookup(f)
	if !ok || !t.take(id, topic.Subscription{Filter: f}, s) {
		return false
	}
	t.router.routes.Add(-1)
	t.router.letGo(s)
	return true
}

// applyGroup sets what another node has of a shared group.
func (t *table) applyGroup(p *Subscriber, c *Change, d *Digest) {
	was := *c
	if c.Gone {
		id, ok := t.filters.Lookup(c.Filter)
		if !ok {
			return
		}
		if was.Weight, ok = t.removeFar(id, p, c.Group); ok {
			d.remove(&was)
		}
		return
	}
	if p.is(closed) || !p.hold() {
		return
	}
	sub := topic.Subscription{Filter: c.Filter, Group: c.Group}
	id := t.insert(c.Filter)
	entry := t.entries.At(id)
	word := entry.Load()
	to := t.setOf(word)
	weight, added := t.group(to, sub).putFar(t.router.node, p, c.Weight)
	t.settle(entry, word, to)
	if added {
		t.router.routes.Add(1)
	} else {
		t.router.letGo(p)
		was.Weight = weight
		d.remove(&was)
	}
	d.add(c)
}

func (t *table) removeFar(id uint32, p *Subscriber, name string) (weight uint32, removed bool) {
	word := t.entries.At(id).Load()
	if word == 0 || !isSet(word) {
		return 0, false
	}
	from := t.set(word)
	g := from.find(name)
	if g == nil {
		return 0, false
	}
	if weight, removed = g.removeFar(t.router.node, p); !removed {
		return 0, false
	}
	from.prune(g)
	t.shrink(id, from)
	t.router.routes.Add(-1)
	t.router.letGo(p)
	return weight, true
}

// forgetPeer takes what a peer has out of one entry.
func (t *table) forgetPeer(id uint32, s *Subscriber) {
	if t.take(id, topic.Subscription{}, s) {
		t.router.routes.Add(-1)
		t.router.letGo(s)
	}
	word := t.entries.At(id).Load()
	if word == 0 || !isSet(word) {
		return
	}
	for _, g := range t.set(word).groupList() {
		t.removeFar(id, s, g.name)
	}
}

// Sweep takes those routes of a peer away that are not to be kept, of ordinary
// subscriptions those without a group. keep may be called from the goroutines of
// several shards at once; done is called when it is not called any more.
func (r *Router) Sweep(p *Subscriber, keep func(f topic.Filter, group string) bool, done func()) {
	a := &application{peer: p, done: func(Digest) { done() }, left: len(r.tables)}
	r.toShards(&sweep{a, keep, 1})
}

// sweep is the part of a shard, from a filter on.
type sweep struct {
	to   *application
	keep func(f topic.Filter, group string) bool
	from uint32
}

// MailboxClass lets others have their turns.
func (*sweep) MailboxClass() kernel.Class { return kernel.Subscribe }

// sweep looks at some filters. It returns where to go on, and 0 at the end.
func (t *table) sweep(m *sweep) (next uint32) {
	p := m.to.peer
	for id := m.from; id < t.entries.Len(); id++ {
		if id-m.from >= sweepLen {
			return id
		}
		plain, groups := t.of(p, id)
		if !plain && groups == nil {
			continue
		}
		f := t.filters.Filter(id)
		if plain && !m.keep(f, "") {
			t.removePeer(p, f)
		}
		for _, g := range groups {
			if !m.keep(f, g) {
				t.removeFar(id, p, g)
			}
		}
	}
	return 0
}

// of tells what a peer has of a filter.
func (t *table) of(p *Subscriber, id uint32) (plain bool, groups []string) {
	word := t.entries.At(id).Load()
	if word == 0 {
		return false, nil
	}
	if !isSet(word) {
		return row(word).subscriber() == p.index.Load(), nil
	}
	s := t.set(word)
	_, plain = s.plain.find(keyOf(p.index.Load(), false))
	for _, g := range s.groupList() {
		if l := g.far.Load(); l != nil && l.has(p) {
			groups = append(groups, g.name)
		}
	}
	return plain, groups
}
