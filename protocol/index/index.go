package index

import (
	"strings"
	"sync/atomic"

	"emqttd/protocol/topic"
)

// Index maps topic filters to ids above zero. Insert and Remove belong to one
// writer at a time; all other methods may be called by any goroutine at any
// time, and never wait.
type Index struct {
	space  *Space
	text   arena
	exact  table
	edges  table
	recs   Vector[rec]
	nodes  Vector[node]
	limbo  Limbo[retired]
	ids    allocator
	nodeID allocator

	count     atomic.Int64
	wildcards atomic.Int64
}

// rec is what an id stands for. what is 0 while the id is free.
type rec struct {
	ref  atomic.Uint32 // text of an exact filter, else the node where it ends
	what atomic.Uint32
}

// What a rec holds: an exact filter and its length, a filter that ends at the
// node, or one that ends in '#' below it.
const (
	whatExact  = 1 << 31
	whatTerm   = 1
	whatMulti  = 2
	lengthMask = 1<<31 - 1
)

// retired is one thing that waits for readers to leave.
type retired struct {
	kind uint8
	size uint16 // of a text
	ref  uint32
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
	id = x.newID(x.text.put(string(f)), whatExact|uint32(len(f)))
	x.exact.insert(hash, id)
	return id, true
}

// newID takes an id and says what it stands for.
func (x *Index) newID(ref, what uint32) uint32 {
	id := x.ids.take()
	x.recs.Grow(id)
	r := x.recs.At(id)
	r.ref.Store(ref)
	r.what.Store(what)
	x.count.Add(1)
	return id
}

// Remove takes the filter with this id out. The id is given to another filter
// only when no reader can know it any more. An unknown id is ignored. Writer
// only.
func (x *Index) Remove(id uint32) {
	x.reclaim()
	if id == 0 || id >= x.recs.Len() {
		return
	}
	r := x.recs.At(id)
	what, ref := r.what.Load(), r.ref.Load()
	switch {
	case what == 0:
		return
	case what&whatExact != 0:
		n := int(what & lengthMask)
		x.exact.remove(x.space.Hash(string(x.text.bytes(ref, n))), id)
		x.retire(retired{kind: retiredText, size: uint16(n), ref: ref})
	default:
		x.removeWild(ref, what)
	}
	r.what.Store(0)
	x.retire(retired{kind: retiredID, ref: id})
	x.count.Add(-1)
}

func (x *Index) retire(r retired) { x.limbo.Add(&x.space.Epochs, r) }

// reclaim frees what readers have left behind. A few at a time, so that no
// insert pays for a burst of removals.
func (x *Index) reclaim() {
	for range 2 * 8 { // an average removal retires under eight things
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
		return x.findWild(f)
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
		if id := uint32(e); uint32(e>>32) == tag && id != 0 {
			r := x.recs.At(id)
			if r.what.Load() == whatExact|uint32(len(text)) &&
				string(x.text.bytes(r.ref.Load(), len(text))) == text {
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
	if id == 0 || id >= x.recs.Len() {
		return ""
	}
	r := x.recs.At(id)
	what := r.what.Load()
	switch {
	case what == 0:
		return ""
	case what&whatExact != 0:
		return topic.Filter(x.text.bytes(r.ref.Load(), int(what&lengthMask)))
	}
	var levels []string
	if what == whatMulti {
		levels = append(levels, "#")
	}
	for n := r.ref.Load(); n != root; n = x.nodes.At(n).parent {
		levels = append(levels, x.levelOf(n))
	}
	for i, j := 0, len(levels)-1; i < j; i, j = i+1, j-1 {
		levels[i], levels[j] = levels[j], levels[i]
	}
	return topic.Filter(strings.Join(levels, "/"))
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
