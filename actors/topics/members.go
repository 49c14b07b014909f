package topics

import (
	"slices"
	"strings"
	"sync/atomic"

	"emqttd/protocol/topic"
)

// group is one shared group of one filter.
type group struct {
	name    string
	filter  topic.Filter // with a cluster only
	members rows
	turn    atomic.Uint32 // of RoundRobin
	stuck   atomic.Uint32 // subscriber of Sticky
	held    atomic.Uint32 // the same for messages of other nodes

	// With a cluster only:
	online    atomic.Int32            // members here of which a client is connected
	far       atomic.Pointer[farList] // nil while no other node has members
	own       int                     // members here that are not $local: others may pick them
	connected int                     // those of them that are counted in online
	told      told
	dirty     bool
}

// farList are the nodes that have members of a group, by name. It is replaced,
// never changed.
type farList struct {
	nodes  []far
	before int // how many have a name before this node's: hashes walk all nodes in one order
}

func (l *farList) has(s *Subscriber) bool {
	return slices.ContainsFunc(l.nodes, func(f far) bool { return f.sub == s })
}

type far struct {
	sub    *Subscriber
	weight uint32
}

// counted marks the row of a member that is counted in online. Rows of groups have
// no use for the bit: No Local is not allowed with them. [MQTT-3.8.3-4]
const counted row = 2

// join adds or replaces a member.
func (g *group) join(t *table, s *Subscriber, r row) (added bool) {
	if t.out == nil {
		return g.members.put(r)
	}
	r &^= counted
	if pos, ok := g.members.find(r.key()); ok {
		r |= row(g.members.array.Load().slots[pos].Load()) & counted
	}
	if added = g.members.put(r); added && !r.local() {
		g.own++
	}
	g.count(t, s, r.key())
	t.out.touched(g)
	return added
}

// part takes a member out.
func (g *group) part(t *table, k rowKey) bool {
	pos, ok := g.members.find(k)
	if !ok {
		return false
	}
	if t.out != nil {
		g.setCounted(pos, false)
		if k&1 == 0 {
			g.own--
		}
		t.out.touched(g)
	}
	return g.members.remove(k)
}

// count brings what is known of a member's client up to date.
func (g *group) count(t *table, s *Subscriber, k rowKey) {
	if pos, ok := g.members.find(k); ok && g.setCounted(pos, s.Online()) {
		t.out.touched(g)
	}
}

func (g *group) setCounted(pos uint32, yes bool) (changed bool) {
	slot := &g.members.array.Load().slots[pos]
	at := row(slot.Load())
	if yes == (at&counted != 0) {
		return false
	}
	n := int32(1)
	if !yes {
		n = -1
	}
	slot.Store(uint64(at ^ counted))
	g.online.Add(n)
	if !at.local() {
		g.connected += int(n)
	}
	return true
}

// empty tells whether nobody is a member, here or elsewhere.
func (g *group) empty() bool { return g.members.live == 0 && g.far.Load() == nil }

// putFar sets how many connected members another node has.
func (g *group) putFar(node string, s *Subscriber, weight uint32) (was uint32, added bool) {
	var nodes []far
	if l := g.far.Load(); l != nil {
		nodes = append(nodes, l.nodes...)
	}
	for i := range nodes {
		if nodes[i].sub == s {
			was = nodes[i].weight
			nodes[i].weight = weight
			g.setFar(node, nodes)
			return was, false
		}
	}
	nodes = append(nodes, far{s, weight})
	slices.SortFunc(nodes, func(a, b far) int { return strings.Compare(a.sub.id, b.sub.id) })
	g.setFar(node, nodes)
	return 0, true
}

// removeFar says that another node has no members any more.
func (g *group) removeFar(node string, s *Subscriber) (was uint32, removed bool) {
	l := g.far.Load()
	if l == nil {
		return 0, false
	}
	var left []far
	for _, f := range l.nodes {
		if f.sub == s {
			was, removed = f.weight, true
		} else {
			left = append(left, f)
		}
	}
	if removed {
		g.setFar(node, left)
	}
	return was, removed
}

func (g *group) setFar(node string, nodes []far) {
	if len(nodes) == 0 {
		g.far.Store(nil)
		return
	}
	l := &farList{nodes: nodes}
	for l.before < len(nodes) && nodes[l.before].sub.id < node {
		l.before++
	}
	g.far.Store(l)
}

// touch brings what is known of a member up to date.
func (t *table) touch(m *Touch) {
	s := m.Subscriber
	if t.out == nil || !s.hold() {
		return
	}
	defer t.router.letGo(s)
	id, ok := t.filters.Lookup(m.Subscription.Filter)
	if !ok {
		return
	}
	if word := t.entries.At(id).Load(); word != 0 && isSet(word) {
		if g := t.set(word).find(m.Subscription.Group); g != nil {
			g.count(t, s, keyOf(s.index.Load(), m.Subscription.Local))
		}
	}
}
