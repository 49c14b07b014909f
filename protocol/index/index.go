package index

import (
	"strings"
	"sync/atomic"

	"emqttd/protocol/topic"
)

// Index maps topic filters to ids above zero. Insert and Remove belong to one
// writer at a time; all other methods may be called by any goroutine at any
// time, and never wait. It has room for 2^30 nodes and 4 GB of text.
type Index struct {
	space  *Space
	text   arena
	exact  table // hash of the filter → text
	edges  table // hash of node and level → node
	recs   Vector[atomic.Uint32]
	nodes  Vector[node]
	limbo  Limbo[retired]
	ids    allocator
	nodeID allocator

	count     atomic.Int64
	wildcards atomic.Int64
}

// What an id stands for, in recs: two bits of kind and a reference.
const (
	isFree  = 0
	isText  = 1 << 30 // a stored filter: exact, a leaf, or the tail of a node
	isTerm  = 2 << 30 // the filter that ends at this node
	isMulti = 3 << 30 // the filter that ends in '#' below this node
	kindOf  = 3 << 30
)

// retired is one thing that waits for readers to leave.
type retired struct {
	kind uint8
	ref  uint32
	size uint32 // of a text
}

const (
	retiredID = iota
	retiredNode
	retiredText
)

// allocator hands out small numbers, used ones first. Zero is never one.
type allocator struct {
	free []uint32
	next uint32
}

func (a *allocator) take() uint32 {
	if n := len(a.free); n > 0 {
		id := a.free[n-1]
		a.free = a.free[:n-1]
		return id
	}
	a.next++
	return a.next
}

// New returns an empty index in a space of its own.
func New() *Index { return NewSpace().NewIndex() }

// NewIndex returns an empty index that shares the epochs and the seed of s.
func (s *Space) NewIndex() *Index {
	x := &Index{space: s}
	x.recs.Grow(0)
	x.nodes.Grow(root)
	return x
}

// Len is the number of filters.
func (x *Index) Len() int { return int(x.count.Load()) }

// Wildcards is the number of filters with a wildcard.
func (x *Index) Wildcards() int { return int(x.wildcards.Load()) }

// Insert adds f, which must be valid, and returns its id and whether it is new.
// The bytes of f are copied. Readers see it when Insert returns. Writer only.
func (x *Index) Insert(f topic.Filter) (id uint32, created bool) {
	x.reclaim()
	if f.HasWildcard() {
		return x.insertWild(f)
	}
	hash := x.space.Hash(string(f))
	if id, ok := x.findExact(hash, string(f)); ok {
		return id, false
	}
	id = x.newID()
	ref := x.text.putExact(string(f), id)
	x.recs.At(id).Store(isText | ref)
	x.exact.insert(hash, ref)
	return id, true
}

func (x *Index) newID() uint32 {
	id := x.ids.take()
	x.recs.Grow(id)
	x.count.Add(1)
	return id
}

// Remove takes the filter with this id out. The id is given to another filter
// only when no reader can know it any more. An unknown id is ignored. Writer
// only.
func (x *Index) Remove(id uint32) {
	x.reclaim()
	if id >= x.recs.Len() {
		return
	}
	rec := x.recs.At(id).Load()
	ref := rec &^ kindOf
	switch rec & kindOf {
	case isFree:
		return
	case isText:
		if text, _, _ := x.text.get(ref); topic.Filter(text).HasWildcard() {
			x.removeStored(text, ref)
		} else {
			x.exact.remove(x.space.Hash(text), ref)
			x.retire(retired{kind: retiredText, ref: ref, size: uint32(headerLen + len(text))})
		}
	default:
		x.wildcards.Add(-1)
		x.ending(rec).Store(0)
		x.prune(ref)
	}
	x.recs.At(id).Store(isFree)
	x.retire(retired{kind: retiredID, ref: id})
	x.count.Add(-1)
}

func (x *Index) retire(r retired) { x.limbo.Add(&x.space.Epochs, r) }

// reclaim frees what readers have left behind. A few at a time, so that no
// insert pays for a burst of removals.
func (x *Index) reclaim() {
	for range 16 { // a removal retires two or three things
		r, ok := x.limbo.Next(&x.space.Epochs)
		if !ok {
			return
		}
		switch r.kind {
		case retiredID:
			x.ids.free = append(x.ids.free, r.ref)
		case retiredNode:
			x.nodeID.free = append(x.nodeID.free, r.ref)
		case retiredText:
			x.text.release(r.ref, int(r.size))
		}
	}
}

// Lookup returns the id of f, if it is there.
func (x *Index) Lookup(f topic.Filter) (id uint32, ok bool) {
	hash := x.space.Hash(string(f))
	defer x.space.Enter(uint32(hash)).Leave()
	if f.HasWildcard() {
		w := x.findWild(string(f))
		return w.id, w.id != 0
	}
	return x.findExact(hash, string(f))
}

func (x *Index) findExact(hash uint64, text string) (id uint32, ok bool) {
	s := x.exact.subs[subOf(hash)].Load()
	if s == nil {
		return 0, false
	}
	tag := tagOf(hash)
	for i := s.home(tag); ; {
		e := s.slots[i].Load()
		if e == 0 {
			return 0, false
		}
		if ref := uint32(e); uint32(e>>32) == tag && ref != 0 {
			if stored, id, _ := x.text.get(ref); stored == text {
				return id, true
			}
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

// Match appends to dst the ids of all filters that match name, each once, in no
// order. It does not allocate if dst is large enough.
func (x *Index) Match(name topic.Name, dst []uint32) []uint32 {
	var p Probe
	p.Reset(x.space, name)
	defer x.space.Enter(uint32(p.full)).Leave()
	if id, ok := x.Exact(&p); ok {
		dst = append(dst, id)
	}
	return x.Wild(&p, dst)
}

// Exact returns the id of the exact filter that spells the name. The caller is
// inside the epochs of the space for as long as it uses the id.
func (x *Index) Exact(p *Probe) (id uint32, ok bool) {
	return x.findExact(p.full, p.name)
}

// Filter returns the filter with this id, or "" if there is none now. It
// allocates the text.
func (x *Index) Filter(id uint32) topic.Filter {
	defer x.space.Enter(id).Leave()
	return x.filter(id)
}

func (x *Index) filter(id uint32) topic.Filter {
	if id >= x.recs.Len() {
		return ""
	}
	rec := x.recs.At(id).Load()
	switch rec & kindOf {
	case isFree:
		return ""
	case isText:
		text, _, _ := x.text.get(rec &^ kindOf)
		return topic.Filter(strings.Clone(text))
	}
	var levels []string // from the last to the first
	if rec&kindOf == isMulti {
		levels = append(levels, "#")
	}
	for n := rec &^ kindOf; n != root; n = x.nodes.At(n).parent {
		levels = append(levels, x.nodes.At(n).level(&x.text))
	}
	var b strings.Builder
	for i := len(levels) - 1; i >= 0; i-- {
		b.WriteString(levels[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return topic.Filter(b.String())
}

// Scan calls fn with filters from the cursor on, until fn returns false or
// there are no more. It returns the cursor to go on with, zero at the end.
// Start with zero. A filter that is there all the time is seen exactly once;
// one that comes or goes meanwhile may be missed. fn must not call Remove.
func (x *Index) Scan(cursor uint32, fn func(id uint32, f topic.Filter) bool) (next uint32) {
	defer x.space.Enter(cursor).Leave()
	for id := max(cursor, 1); id < x.recs.Len(); id++ {
		if f := x.filter(id); f != "" && !fn(id, f) {
			return id + 1
		}
	}
	return 0
}
