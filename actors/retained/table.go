package retained

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"emqttd/cluster/replicas/lww"
	"emqttd/protocol"
	"emqttd/protocol/topic"
)

// table is a trie of topic levels with a message at some of its nodes. It
// belongs to one goroutine at a time. Nodes are found by number: an edge is
// found by hash, the children of a node by a list through their fields.
type table struct {
	seed   maphash.Seed
	chunks []*[chunkLen]node
	free   []uint32
	next   uint32
	edges  edges
	count  int
}

const (
	root     = 0
	chunkLen = 1024 // nodes; 64 KB
)

// node is one level of a topic.
type node struct {
	level  string
	msg    *protocol.Message // nil: no message here
	stamp  uint64            // of the message's version; it is the order of storing, too
	origin uint32            // of the message's version
	parent uint32
	first  uint32 // child
	after  uint32 // sibling
	before uint32 // sibling
	hash   uint32 // of the edge that leads here
}

func newTable() *table {
	t := &table{seed: maphash.MakeSeed(), next: 1}
	t.chunks = append(t.chunks, new([chunkLen]node))
	return t
}

func (t *table) node(id uint32) *node { return &t.chunks[id/chunkLen][id%chunkLen] }

func (t *table) edgeHash(parent uint32, level string) uint32 {
	h := (maphash.String(t.seed, level) ^ uint64(parent)*0x9E3779B97F4A7C15) * 0xFF51AFD7ED558CCD
	return uint32(h >> 32)
}

// child finds the child of parent for a level, or 0.
func (t *table) child(parent uint32, hash uint32, level string) uint32 {
	for i := t.edges.home(hash); i >= 0; i = t.edges.following(i) {
		id := t.edges.slots[i]
		if id == 0 {
			return 0
		}
		if n := t.node(id); n.hash == hash && n.parent == parent && n.level == level {
			return id
		}
	}
	return 0
}

// find returns the node of a name, or 0.
func (t *table) find(name topic.Name) uint32 {
	at := uint32(root)
	for rest, more := string(name), true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if at = t.child(at, t.edgeHash(at, level), level); at == 0 {
			return 0
		}
	}
	return at
}

// get returns the message of a topic, nil if there is none.
func (t *table) get(name topic.Name) (*protocol.Message, lww.Version) {
	at := t.find(name)
	if at == 0 {
		return nil, lww.Version{}
	}
	n := t.node(at)
	return n.msg, n.version()
}

func (n *node) version() lww.Version { return lww.Version{Stamp: n.stamp, Origin: n.origin} }

// store sets the message of a topic, which the table keeps. It calls admit
// before it adds a topic, and does nothing if that refuses.
func (t *table) store(m *protocol.Message, v lww.Version, admit func() bool) bool {
	_, _, ok := t.swap(m, v, admit)
	return ok
}

// swap is store, and returns the message that was there before.
func (t *table) swap(m *protocol.Message, v lww.Version, admit func() bool) (old *protocol.Message, was lww.Version, ok bool) {
	at := t.find(m.Topic)
	if at == 0 || t.node(at).msg == nil {
		if !admit() {
			return nil, lww.Version{}, false
		}
		at = t.extend(m.Topic)
		t.count++
	}
	n := t.node(at)
	old, was = n.msg, n.version()
	n.msg, n.stamp, n.origin = m, v.Stamp, v.Origin
	return old, was, true
}

// extend returns the node of a name, which it creates with those above it.
func (t *table) extend(name topic.Name) uint32 {
	at := uint32(root)
	for rest, more := string(name), true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		hash := t.edgeHash(at, level)
		c := t.child(at, hash, level)
		if c == 0 {
			c = t.link(at, hash, level)
		}
		at = c
	}
	return at
}

func (t *table) link(parent uint32, hash uint32, level string) uint32 {
	var id uint32
	if k := len(t.free); k > 0 {
		id, t.free = t.free[k-1], t.free[:k-1]
	} else {
		id = t.next
		t.next++
		if int(id/chunkLen) == len(t.chunks) {
			t.chunks = append(t.chunks, new([chunkLen]node))
		}
	}
	p := t.node(parent)
	// A copy of the level: the name belongs to a message that may go before.
	*t.node(id) = node{level: strings.Clone(level), parent: parent, after: p.first, hash: hash}
	if p.first != 0 {
		t.node(p.first).before = id
	}
	p.first = id
	t.edges.insert(id, hash, func(other uint32) uint32 { return t.node(other).hash })
	return id
}

// remove takes the message of a topic away. It tells whether there was one.
func (t *table) remove(name topic.Name) bool {
	at := t.find(name)
	if at == 0 || t.node(at).msg == nil {
		return false
	}
	t.removeAt(at)
	return true
}

// removeAt takes a message away, and the nodes that nothing needs any more.
func (t *table) removeAt(at uint32) {
	t.node(at).msg = nil
	t.count--
	for at != root {
		n := t.node(at)
		if n.msg != nil || n.first != 0 {
			return
		}
		if n.before != 0 {
			t.node(n.before).after = n.after
		} else {
			t.node(n.parent).first = n.after
		}
		if n.after != 0 {
			t.node(n.after).before = n.before
		}
		t.edges.remove(at, n.hash, func(other uint32) uint32 { return t.node(other).hash })
		parent := n.parent
		*n = node{}
		t.free = append(t.free, at)
		at = parent
	}
}

// match returns the messages that f matches and keep wants, oldest first.
func (t *table) match(f topic.Filter, keep func(*protocol.Message) bool) []*protocol.Message {
	w := walk{table: t, levels: strings.Split(string(f), "/"), keep: keep}
	w.down(root, 0)
	slices.SortFunc(w.found, func(a, b hit) int { return cmp.Compare(a.stamp, b.stamp) })
	messages := make([]*protocol.Message, len(w.found))
	for i := range w.found {
		messages[i] = w.found[i].msg
	}
	return messages
}

type hit struct {
	msg   *protocol.Message
	stamp uint64
}

// walk goes through the part of the trie that a filter matches. Its depth is
// that of the trie: at most topic.MaxLevels.
type walk struct {
	table  *table
	levels []string
	keep   func(*protocol.Message) bool
	found  []hit
}

func (w *walk) down(at uint32, depth int) {
	if depth == len(w.levels) {
		w.visit(at)
		return
	}
	switch level := w.levels[depth]; level {
	case "#":
		w.below(at)
	case "+":
		w.children(at, func(c uint32) { w.down(c, depth+1) })
	default:
		if c := w.table.child(at, w.table.edgeHash(at, level), level); c != 0 {
			w.down(c, depth+1)
		}
	}
}

// below visits a node and all under it: '#' matches the parent level too.
func (w *walk) below(at uint32) {
	w.visit(at)
	w.children(at, w.below)
}

// children calls fn for the children that a wildcard matches.
func (w *walk) children(at uint32, fn func(uint32)) {
	for c := w.table.node(at).first; c != 0; {
		n := w.table.node(c)
		if at != root || !strings.HasPrefix(n.level, "$") { // [MQTT-4.7.2-1]
			fn(c)
		}
		c = n.after
	}
}

func (w *walk) visit(at uint32) {
	if n := w.table.node(at); n.msg != nil && w.keep(n.msg) {
		w.found = append(w.found, hit{n.msg, n.stamp})
	}
}

// scan calls fn with up to limit nodes' messages from the node on, and returns
// where to go on, 0 at the end. fn may remove the message it is given.
func (t *table) scan(from uint32, limit int, fn func(at uint32, m *protocol.Message)) (next uint32) {
	id := max(from, 1)
	for ; id < t.next && limit > 0; id++ {
		if m := t.node(id).msg; m != nil {
			fn(id, m)
			limit--
		}
	}
	if id >= t.next {
		return 0
	}
	return id
}

// visit calls fn with the nodes that have a message, from the node on, until it
// has seen up to limit or fn returns false. It returns where to go on, 0 at the end.
func (t *table) visit(from uint32, limit int, fn func(*node) bool) (next uint32) {
	id := max(from, 1)
	for ; id < t.next && limit > 0; id++ {
		if n := t.node(id); n.msg != nil {
			if !fn(n) {
				limit = 0
			}
			limit--
		}
	}
	if id >= t.next {
		return 0
	}
	return id
}

// clear empties the table and returns how many messages were there.
func (t *table) clear() int {
	n := t.count
	*t = *newTable()
	return n
}
