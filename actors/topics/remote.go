package topics

import (
	"emqttd/cluster"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// Share says that a node is to give a message to one member of a shared group.
type Share struct {
	Filter topic.Filter
	Group  string
	// Passed says that it was another node's turn first, which has no member any
	// more: it is not passed on again.
	Passed bool
}

// Shares are the shared groups for which the peer that d is for was picked with an
// item. Valid until Done.
func (d *Deliver) Shares(it *Delivery, fn func(Share)) {
	for _, i := range it.MoreIDs {
		fn(d.shares[i])
	}
}

// serials are the numbers that a batch takes at once, so that publishers do not
// meet at a counter for each message.
const serials = 1 << 12

// Stamp gives a message that this node takes over its Origin and Serial, unless it
// has them or there is no cluster. Publish does it, too: call it before where
// somebody else sees the message first.
func (b *Batch) Stamp(m *protocol.Message) {
	if b.router.origin != 0 && m.Origin == 0 {
		b.stamp(m)
	}
}

func (b *Batch) stamp(m *protocol.Message) {
	if b.left == 0 {
		b.left = serials
		b.serial = b.router.serial.Add(serials) - serials
	}
	b.left--
	b.serial++
	m.Origin, m.Serial = b.router.origin, b.serial
}

// NewRemoteBatch returns an empty batch for what another node has taken over: its
// messages reach subscriptions of this node only, and none that are $local, and of
// shared groups those only which PublishShare names.
func (r *Router) NewRemoteBatch() *Batch {
	b := r.NewBatch()
	b.remote = true
	return b
}

// PublishShare gives m to one member of a shared group of this node. If none of
// those is ready it is passed on to another node that has one, once. It tells
// whether somebody gets it.
func (b *Batch) PublishShare(m *protocol.Message, s Share) bool {
	r := b.router
	b.begin()
	b.seq++
	guard := r.space.Enter(b.stripe)
	defer guard.Leave()
	t := r.tableFor(s.Filter)
	id, ok := t.filters.Lookup(s.Filter)
	if !ok {
		return false
	}
	word := t.word(id)
	if word == 0 || !isSet(word) {
		return false
	}
	g := t.set(word).find(s.Group)
	if g == nil {
		return false
	}
	b.probe.Reset(r.space, m.Topic) // for HashTopic
	at, to, ready := g.pickFrom(b, g.members.all(), g.start(r, b, m))
	if !ready && !s.Passed {
		if l := g.far.Load(); l != nil {
			if x := l.total(); x > 0 {
				b.accepted += b.assign(l.at(g.point(b, m)%x), g, m, true)
				return true
			}
		}
	}
	if to == nil {
		return false
	}
	b.add(b.receiver(to), at, m, true)
	b.accepted++
	return true
}

// spread picks who of all nodes' members gets m.
func (b *Batch) spread(g *group, l *farList, m *protocol.Message) (deliveries int) {
	r := b.router
	members := g.members.all()
	if r.options.Strategy == Sticky {
		if f := l.stuck(g.stuck.Load()); f != nil {
			return b.assign(f, g, m, false)
		}
		if at, s := g.pickStuck(b, members); s != nil {
			b.add(b.receiver(s), at, m, true)
			return 1
		}
	}
	here, there := uint64(max(g.online.Load(), 0)), l.total()
	x := g.point(b, m)
	switch {
	case here+there == 0:
		return b.asleep(g, l, m, x)
	case r.options.Strategy == Local && here > 0:
		x, there = x%here, 0
	default:
		x %= here + there
	}
	// In the order of the nodes' names x is before this node's members, among
	// them, or behind them.
	first := l.upTo(l.before)
	switch {
	case there > 0 && x < first:
		return b.assign(l.at(x), g, m, false)
	case there > 0 && x >= first+here:
		return b.assign(l.at(x-here), g, m, false)
	case there > 0:
		x -= first
	}
	at, to, ready := g.pickFrom(b, members, uint32(x))
	if !ready && l.total() > 0 { // those here are full
		return b.assign(l.at(x%l.total()), g, m, false)
	}
	if to == nil {
		return 0
	}
	b.add(b.receiver(to), at, m, true)
	return 1
}

// asleep gives m to somebody although no member is connected: here, if there is
// one.
func (b *Batch) asleep(g *group, l *farList, m *protocol.Message, x uint64) int {
	if at, to, _ := g.pickFrom(b, g.members.all(), uint32(x)); to != nil {
		b.add(b.receiver(to), at, m, true)
		return 1
	}
	for i := range l.nodes {
		if f := &l.nodes[(x+uint64(i))%uint64(len(l.nodes))]; !f.sub.is(closed) {
			return b.assign(f, g, m, false)
		}
	}
	return 0
}

// assign has a peer give m to one of its members. It is one copy with what the
// peer gets anyway.
func (b *Batch) assign(f *far, g *group, m *protocol.Message, passed bool) (deliveries int) {
	g.stuck.Store(f.sub.index.Load())
	to := b.receiver(f.sub)
	if to.seq != b.seq {
		to.seq, to.item = b.seq, int32(len(to.out.Items))
		b.add(to, peerRow(f.sub), m, true)
		deliveries = 1
	}
	d := to.out
	d.shares = append(d.shares, Share{Filter: g.filter, Group: g.name, Passed: passed})
	d.addID(&d.Items[to.item], uint32(len(d.shares)-1))
	return deliveries
}

// point is a number by which the strategy picks among all nodes' members: of
// hashes the same one on each node.
func (g *group) point(b *Batch, m *protocol.Message) uint64 {
	switch b.router.options.Strategy {
	case HashClientID:
		return cluster.Hash(m.From) >> 32
	case HashTopic:
		return cluster.Hash(string(m.Topic)) >> 32
	default:
		return uint64(g.start(b.router, b, m))
	}
}

// usable tells whether members of a node can be picked now.
func (f *far) usable() bool { return !f.sub.is(closed | stalled) }

func (l *farList) total() uint64 { return l.upTo(len(l.nodes)) }

// upTo is the number of connected members of the first n nodes.
func (l *farList) upTo(n int) (sum uint64) {
	for i := range l.nodes[:n] {
		if f := &l.nodes[i]; f.usable() {
			sum += uint64(f.weight)
		}
	}
	return sum
}

// at is the node that has the x-th of these members. If one has gone meanwhile it
// is the last that is left, or any.
func (l *farList) at(x uint64) *far {
	last := &l.nodes[0]
	for i := range l.nodes {
		f := &l.nodes[i]
		if !f.usable() || f.weight == 0 {
			continue
		}
		if last = f; x < uint64(f.weight) {
			break
		}
		x -= uint64(f.weight)
	}
	return last
}

// stuck finds the node that got the last message, if it can have another.
func (l *farList) stuck(index uint32) *far {
	for i := range l.nodes {
		if f := &l.nodes[i]; f.sub.index.Load() == index && f.usable() && f.weight > 0 {
			return f
		}
	}
	return nil
}
