package index

import (
	"encoding/binary"
	"strings"
	"sync/atomic"

	"emqttd/protocol/topic"
)

// root is the node above the first level. No edge leads to it.
const root = 0

// node is one level of the wildcard filters: half a cache line. Fields that
// change while readers may look are atomic; the others are written before the
// node is linked.
type node struct {
	parent uint32
	size   uint16 // length of a literal level
	single bool   // this level is '+'
	// text is the level itself if it fits, which saves the walk a cache miss,
	// else its reference in the arena.
	text  [inlineText]byte
	plus  atomic.Uint32 // child '+', 0 = none
	term  atomic.Uint32 // id of the filter that ends here
	multi atomic.Uint32 // id of the filter that ends in '#' below here
	kids  atomic.Uint32 // number of literal children: none, no probe
}

const inlineText = 8

// bytes returns the level of a node which is not '+'.
func (n *node) bytes(a *arena) []byte {
	if n.size <= inlineText {
		return n.text[:n.size]
	}
	return a.bytes(n.ref(), int(n.size))
}

func (n *node) ref() uint32 { return binary.NativeEndian.Uint32(n.text[:]) }

// setText makes the node a literal level.
func (n *node) setText(a *arena, level string) {
	n.size = uint16(len(level))
	if len(level) <= inlineText {
		copy(n.text[:], level)
		return
	}
	binary.NativeEndian.PutUint32(n.text[:], a.put(level))
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
			n := x.nodes.At(id)
			if n.parent == parent && !n.single && int(n.size) == len(level) && string(n.bytes(&x.text)) == level {
				return id
			}
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

func (x *Index) levelOf(id uint32) string {
	n := x.nodes.At(id)
	if n.single {
		return "+"
	}
	return string(n.bytes(&x.text))
}

// findWild walks down f without creating anything.
func (x *Index) findWild(f topic.Filter) (id uint32, ok bool) {
	at := uint32(root)
	for rest, more := string(f), true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		n := x.nodes.At(at)
		switch level {
		case "#":
			id = n.multi.Load()
			return id, id != 0
		case "+":
			at = n.plus.Load()
		default:
			at = x.child(at, x.space.Hash(level), level)
		}
		if at == 0 {
			return 0, false
		}
	}
	id = x.nodes.At(at).term.Load()
	return id, id != 0
}

func (x *Index) insertWild(f topic.Filter) (id uint32, created bool) {
	if id, ok := x.findWild(f); ok {
		return id, false
	}
	at, what := uint32(root), uint32(whatTerm)
	for rest, more := string(f), true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == "#" {
			what = whatMulti
			break
		}
		at = x.descend(at, level)
	}
	id = x.newID(at, what)
	x.ending(at, what).Store(id)
	x.wildcards.Add(1)
	return id, true
}

// ending is where a node keeps the id of what ends there.
func (x *Index) ending(at, what uint32) *atomic.Uint32 {
	if what == whatMulti {
		return &x.nodes.At(at).multi
	}
	return &x.nodes.At(at).term
}

// descend returns the child for level, which it creates if need be.
func (x *Index) descend(parent uint32, level string) uint32 {
	p := x.nodes.At(parent)
	if level == "+" {
		if c := p.plus.Load(); c != 0 {
			return c
		}
		id, n := x.newNode(parent)
		n.single = true
		p.plus.Store(id)
		return id
	}
	hash := x.space.Hash(level)
	if c := x.child(parent, hash, level); c != 0 {
		return c
	}
	id, n := x.newNode(parent)
	n.setText(&x.text, level)
	x.edges.insert(edgeHash(parent, hash), id)
	p.kids.Add(1)
	return id
}

func (x *Index) newNode(parent uint32) (uint32, *node) {
	id := x.nodeID.take()
	x.nodes.Grow(id)
	n := x.nodes.At(id)
	n.parent, n.size, n.single = parent, 0, false
	return id, n
}

// removeWild takes away what ends at a node, and the nodes which nothing needs
// any more.
func (x *Index) removeWild(at, what uint32) {
	x.ending(at, what).Store(0)
	x.wildcards.Add(-1)
	for at != root {
		n := x.nodes.At(at)
		if n.kids.Load()|n.plus.Load()|n.term.Load()|n.multi.Load() != 0 {
			return
		}
		parent := x.nodes.At(n.parent)
		if n.single {
			parent.plus.Store(0)
		} else {
			x.edges.remove(edgeHash(n.parent, x.space.Hash(string(n.bytes(&x.text)))), at)
			parent.kids.Add(^uint32(0))
			if n.size > inlineText {
				x.retire(retired{kind: retiredText, size: n.size, ref: n.ref()})
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
