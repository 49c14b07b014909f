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

// node is one level of the wildcard filters: half a cache line. Fields that
// change while readers may look are atomic; the others are written before the
// node is linked.
//
// A filter ends at a node (term), in '#' below it (multi), or is its tail: its
// text is stored as a whole, and the part below the node is compared byte by
// byte. Each node has room for one tail, and a new filter goes into the deepest
// node there is on its way, or into a new one below that: so a filter costs at
// most one node, and device/<i>/+/cmd needs one cache miss less than levels do.
type node struct {
	parent uint32
	text   levelText
	plus   atomic.Uint32 // child '+', 0 = none
	kids   atomic.Uint32 // number of literal children: none, no probe
	term   atomic.Uint32 // id
	multi  atomic.Uint32 // id
	tail   atomic.Uint32 // stored filter
}

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

// child finds the literal child of parent, or 0.
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
		if id := uint32(e); uint32(e>>32) == tag && id != 0 {
			if n := x.nodes.At(id); n.parent == parent && n.literal(&x.text) == level {
				return id
			}
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

// findWild walks down f. It returns the id of f, or 0, the deepest node on the
// way, and how much of f lies above what is below that node.
func (x *Index) findWild(f string) (id, at uint32, above int) {
	for {
		n := x.nodes.At(at)
		if above > len(f) {
			return n.term.Load(), at, above
		}
		if f[above:] == "#" {
			return n.multi.Load(), at, above
		}
		if ref := n.tail.Load(); ref != 0 {
			if text, id, _ := x.text.get(ref); text == f {
				return id, at, above
			}
		}
		level, _, _ := strings.Cut(f[above:], "/")
		var c uint32
		if level == "+" {
			c = n.plus.Load()
		} else if n.kids.Load() != 0 {
			c = x.child(at, x.space.Hash(level), level)
		}
		if c == 0 {
			return 0, at, above
		}
		at, above = c, above+len(level)+1
	}
}

func (x *Index) insertWild(f topic.Filter) (id uint32, created bool) {
	id, at, above := x.findWild(string(f))
	if id != 0 {
		return id, false
	}
	id = x.newID()
	x.wildcards.Add(1)
	if x.endsAt(string(f), at, above, id) {
		return id, true
	}
	// The tail is taken: one level further down everything is free. The filter
	// is put there before the node is linked.
	level, _, _ := strings.Cut(string(f)[above:], "/")
	below := x.newNode(at)
	n := x.nodes.At(below)
	if level == "+" {
		n.text = levelText{plusLevel}
	} else {
		n.setLiteral(&x.text, level)
	}
	x.endsAt(string(f), below, above+len(level)+1, id)
	if level == "+" {
		x.nodes.At(at).plus.Store(below)
	} else {
		x.edges.insert(edgeHash(at, x.space.Hash(level)), below)
		x.nodes.At(at).kids.Add(1)
	}
	return id, true
}

// endsAt puts the filter at a node if there is room.
func (x *Index) endsAt(f string, at uint32, above int, id uint32) bool {
	n := x.nodes.At(at)
	switch {
	case above > len(f):
		x.recs.At(id).Store(isTerm | at)
		n.term.Store(id)
	case f[above:] == "#":
		x.recs.At(id).Store(isMulti | at)
		n.multi.Store(id)
	case n.tail.Load() == 0:
		ref := x.text.put(f, id, above)
		x.recs.At(id).Store(isText | ref)
		n.tail.Store(ref)
	default:
		return false
	}
	return true
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

// removeTail takes a filter out that is the tail of a node.
func (x *Index) removeTail(text string, ref uint32) {
	_, at, _ := x.findWild(text)
	x.wildcards.Add(-1)
	x.nodes.At(at).tail.Store(0)
	x.retireStored(text, ref)
	x.prune(at)
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
		next := uint32(0)
		if level < levels {
			if ref := n.tail.Load(); ref != 0 {
				dst = x.matchTail(p, ref, level, dst)
			}
			if c := n.plus.Load(); c != 0 && !top {
				p.stack[depth] = visit{c, level + 1}
				depth++
			}
			if n.kids.Load() != 0 {
				next = x.child(at, p.hash[level], p.level(level))
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

// matchTail appends the id of a stored filter if the part of it that lies below
// the node matches the name from this level on.
func (x *Index) matchTail(p *Probe, ref, level uint32, dst []uint32) []uint32 {
	text, id, tail := x.text.get(ref)
	if level == 0 && !topic.Match(topic.Filter(text), topic.Name(p.name)) {
		return dst
	}
	if level > 0 && !topic.MatchBelow(text[tail:], p.rest(level)) {
		return dst
	}
	return append(dst, id)
}
