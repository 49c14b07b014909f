package index

import (
	"encoding/binary"
	"strings"
	"sync/atomic"
	"unsafe"

	"emqttd/protocol/topic"
)

// root is the node above the first level. No edge leads to it.
const root = 0

// node is one level that several wildcard filters share: half a cache line.
// Fields that change while readers may look are atomic; the others are written
// before the node is linked.
//
// A filter ends at a node (term), in '#' below it (multi), or it is stored: its
// whole text is kept, and what lies below a certain level is compared byte by
// byte. It is stored as a leaf, to which an edge leads in place of a node, for
// as long as no other filter goes the same way; then as the tail of the node
// that takes the place of the leaf, which has room for one. So most filters need
// no node, and finding device/<i>/+/cmd costs two cache misses: edge and text.
type node struct {
	parent uint32
	text   levelText
	plus   atomic.Uint32 // child '+', 0 = none
	kids   atomic.Uint32 // number of literal children: none, no probe
	term   atomic.Uint32 // id
	multi  atomic.Uint32 // id
	tail   atomic.Uint32 // stored filter
}

// isLeaf marks the reference of an edge that leads to a stored filter.
const isLeaf = 1 << 31

// levelText is the level of a node. Up to seven bytes are here, behind their
// number, which saves the walk a cache miss; more are in the arena.
type levelText [8]byte

const (
	maxInline = 7
	plusLevel = 0xFE // in byte 0: the level is '+'
	longLevel = 0xFF // in byte 0: length in bytes 2..3, reference in bytes 4..7
)

func (n *node) isPlus() bool { return n.text[0] == plusLevel }

// long returns where the level is stored, unless it is in the node.
func (n *node) long() (ref uint32, size int, ok bool) {
	if n.text[0] != longLevel {
		return 0, 0, false
	}
	return binary.NativeEndian.Uint32(n.text[4:]), int(binary.NativeEndian.Uint16(n.text[2:])), true
}

// literal returns the level of a node which is not '+'; valid as long as the
// node.
func (n *node) literal(a *arena) string {
	if ref, size, ok := n.long(); ok {
		return unsafe.String(unsafe.SliceData(a.bytes(ref, size)), size)
	}
	return unsafe.String(&n.text[1], int(n.text[0]))
}

// level returns a copy of the level.
func (n *node) level(a *arena) string {
	if n.isPlus() {
		return "+"
	}
	return strings.Clone(n.literal(a))
}

func (n *node) setLiteral(a *arena, level string) {
	n.text = levelText{}
	if len(level) <= maxInline {
		n.text[0] = byte(len(level))
		copy(n.text[1:], level)
		return
	}
	ref := a.alloc(len(level))
	copy(a.bytes(ref, len(level)), level)
	n.text[0] = longLevel
	binary.NativeEndian.PutUint16(n.text[2:], uint16(len(level)))
	binary.NativeEndian.PutUint32(n.text[4:], ref)
}

func (n *node) empty() bool {
	return n.kids.Load()|n.plus.Load()|n.term.Load()|n.multi.Load()|n.tail.Load() == 0
}

// edgeHash mixes the hash of a level with the node it hangs below.
func edgeHash(parent uint32, level uint64) uint64 {
	h := (level ^ uint64(parent)*0x9E3779B97F4A7C15) * 0xFF51AFD7ED558CCD
	return h ^ h>>32
}

// child finds the literal child of parent: a node, a leaf with isLeaf, or 0.
func (x *Index) child(parent uint32, hash uint64, level string) uint32 {
	h := edgeHash(parent, hash)
	s := x.edges.subs[subOf(h)].Load()
	if s == nil {
		return 0
	}
	tag := tagOf(h)
	for i := s.home(tag); ; {
		e := s.slots[i].Load()
		if e == 0 {
			return 0
		}
		if ref := uint32(e); uint32(e>>32) == tag && ref != 0 && x.isChild(ref, parent, level) {
			return ref
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

func (x *Index) isChild(ref, parent uint32, level string) bool {
	if ref&isLeaf == 0 {
		n := x.nodes.At(ref)
		return n.parent == parent && n.literal(&x.text) == level
	}
	text, _, mark := x.text.get(ref &^ isLeaf)
	below, ok := strings.CutPrefix(text[mark:], level)
	return ok && (below == "" || below[0] == '/') && x.text.parent(ref&^isLeaf) == parent
}

// way is how far a filter is known.
type way struct {
	id    uint32 // of the filter, if it is there
	at    uint32 // the deepest node on its way
	above int    // how much of it lies above what is below that node
	leaf  uint32 // the stored filter that stands in its way, or is itself
}

// findWild walks down f.
func (x *Index) findWild(f string) (w way) {
	for {
		n := x.nodes.At(w.at)
		switch {
		case w.above > len(f):
			w.id = n.term.Load()
		case f[w.above:] == "#":
			w.id = n.multi.Load()
		}
		if w.id != 0 {
			return w
		}
		if ref := n.tail.Load(); ref != 0 {
			if text, id, _ := x.text.get(ref); text == f {
				w.id = id
				return w
			}
		}
		if w.above > len(f) {
			return w
		}
		level, _, _ := strings.Cut(f[w.above:], "/")
		c := uint32(0)
		switch {
		case level == "#":
		case level == "+":
			c = n.plus.Load()
		case n.kids.Load() != 0:
			c = x.child(w.at, x.space.Hash(level), level)
		}
		if c == 0 {
			return w
		}
		if c&isLeaf != 0 {
			w.leaf = c &^ isLeaf
			if text, id, _ := x.text.get(w.leaf); text == f {
				w.id = id
			}
			return w
		}
		w.at, w.above = c, w.above+len(level)+1
	}
}

func (x *Index) insertWild(filter topic.Filter) (id uint32, created bool) {
	f := string(filter)
	w := x.findWild(f)
	if w.id != 0 {
		return w.id, false
	}
	id = x.newID()
	x.wildcards.Add(1)
	if w.leaf == 0 {
		x.place(f, w.at, w.above, id)
		return id, true
	}
	// A node takes the place of the leaf, which becomes its tail. All that is
	// below it is there before it is linked.
	level, _, _ := strings.Cut(f[w.above:], "/")
	below := x.newNode(w.at)
	n := x.nodes.At(below)
	n.setLiteral(&x.text, level)
	n.tail.Store(w.leaf)
	x.place(f, below, w.above+len(level)+1, id)
	x.edges.replace(edgeHash(w.at, x.space.Hash(level)), w.leaf|isLeaf, below)
	return id, true
}

// place adds a filter below a node from which nothing leads on its way.
func (x *Index) place(f string, at uint32, above int, id uint32) {
	n := x.nodes.At(at)
	if above > len(f) {
		x.recs.At(id).Store(isTerm | at)
		n.term.Store(id)
		return
	}
	switch level, _, _ := strings.Cut(f[above:], "/"); level {
	case "#":
		x.recs.At(id).Store(isMulti | at)
		n.multi.Store(id)
	case "+":
		below := x.newNode(at)
		b := x.nodes.At(below)
		b.text = levelText{plusLevel}
		b.tail.Store(x.store(f, id, above, at))
		n.plus.Store(below)
	default:
		ref := x.store(f, id, above, at)
		x.edges.insert(edgeHash(at, x.space.Hash(level)), ref|isLeaf)
		n.kids.Add(1)
	}
}

func (x *Index) store(f string, id uint32, mark int, parent uint32) uint32 {
	ref := x.text.putWild(f, id, mark, parent)
	x.recs.At(id).Store(isText | ref)
	return ref
}

// ending is where the node of a rec keeps its id.
func (x *Index) ending(rec uint32) *atomic.Uint32 {
	if rec&kindOf == isMulti {
		return &x.nodes.At(rec &^ kindOf).multi
	}
	return &x.nodes.At(rec &^ kindOf).term
}

func (x *Index) newNode(parent uint32) uint32 {
	id := x.nodeID.take()
	x.nodes.Grow(id)
	x.nodes.At(id).parent = parent // its links were cleared before it was pruned
	return id
}

// removeStored takes a filter out that is a leaf or the tail of a node.
func (x *Index) removeStored(text string, ref uint32) {
	w := x.findWild(text)
	x.wildcards.Add(-1)
	n := x.nodes.At(w.at)
	if w.leaf == ref {
		level, _, _ := strings.Cut(text[w.above:], "/")
		x.edges.remove(edgeHash(w.at, x.space.Hash(level)), ref|isLeaf)
		n.kids.Add(^uint32(0))
	} else {
		n.tail.Store(0)
	}
	x.retire(retired{kind: retiredText, ref: ref - 1, size: uint32(parentLen + headerLen + len(text))})
	x.prune(w.at)
}

// prune takes a node away if nothing needs it any more, and then those above.
func (x *Index) prune(at uint32) {
	for at != root {
		n := x.nodes.At(at)
		if !n.empty() {
			return
		}
		parent := x.nodes.At(n.parent)
		if n.isPlus() {
			parent.plus.Store(0)
		} else {
			x.edges.remove(edgeHash(n.parent, x.space.Hash(n.literal(&x.text))), at)
			parent.kids.Add(^uint32(0))
			if ref, size, ok := n.long(); ok {
				x.retire(retired{kind: retiredText, ref: ref, size: uint32(size)})
			}
		}
		x.retire(retired{kind: retiredNode, ref: at})
		at = n.parent
	}
}

// Wild appends the ids of the wildcard filters that match the name. The caller
// is inside the epochs of the space for as long as it uses the ids.
func (x *Index) Wild(p *Probe, dst []uint32) []uint32 {
	if x.wildcards.Load() == 0 {
		return dst
	}
	p.split()
	levels := uint32(p.levels)
	at, level := uint32(root), uint32(0)
	// The stack holds '+' children: at most one for each level above.
	depth := 0
	hidden := p.name != "" && p.name[0] == '$' // from root wildcards [MQTT-4.7.2-1]
	for {
		n := x.nodes.At(at)
		top := level == 0 && hidden
		if id := n.multi.Load(); id != 0 && !top {
			dst = append(dst, id) // also for the parent level itself
		}
		if ref := n.tail.Load(); ref != 0 {
			dst = x.matchStored(p, ref, level, dst)
		}
		next := uint32(0)
		if level < levels {
			if c := n.plus.Load(); c != 0 && !top {
				p.stack[depth] = visit{c, level + 1}
				depth++
			}
			if n.kids.Load() != 0 {
				next = x.child(at, p.levelHash(level), p.level(level))
			}
			if next&isLeaf != 0 {
				dst = x.matchStored(p, next&^isLeaf, level+1, dst)
				next = 0
			}
		} else if id := n.term.Load(); id != 0 && !p.deep {
			dst = append(dst, id)
		}
		if next != 0 {
			at, level = next, level+1
			continue
		}
		if depth == 0 {
			return dst
		}
		depth--
		at, level = p.stack[depth].node, p.stack[depth].level
	}
}

// matchStored appends the id of a stored filter, whose levels up to the marked
// one are known to match, if those below match the name from this level on.
func (x *Index) matchStored(p *Probe, ref, level uint32, dst []uint32) []uint32 {
	text, id, mark := x.text.get(ref)
	_, below, more := strings.Cut(text[mark:], "/")
	ended := level == uint32(p.levels)
	var ok bool
	switch {
	case !more:
		ok = ended && !p.deep
	case ended:
		ok = below == "#" // matches its parent level, too
	default:
		ok = topic.MatchBelow(below, p.rest(level))
	}
	if ok {
		dst = append(dst, id)
	}
	return dst
}
