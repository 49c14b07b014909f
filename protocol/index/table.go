package index

import "sync/atomic"

const (
	subTables = 256 // a rebuild copies one of them: a 256th of all
	minSlots  = 8
	tombstone = 1 << 32 // a tag, but reference zero
)

// table is an open-addressing hash from 64-bit hashes to references above zero.
// Different keys may have the same hash: the caller compares. Readers load a
// sub-table and go on with it even if the writer replaces it meanwhile.
type table struct {
	subs [subTables]atomic.Pointer[subTable]
}

// subTable is probed linearly; there is always a free slot. live and used
// belong to the writer.
type subTable struct {
	slots []atomic.Uint64 // tag 32 | reference 32; 0 = free
	live  int
	used  int // live and tombstones
}

// The bits of a hash: sub-table 56..63, tag 16..47. Bits 0..15 are left for the
// choice of a shard, so that the tables of a shard are used evenly.
func subOf(hash uint64) uint64 { return hash >> 56 }
func tagOf(hash uint64) uint32 { return uint32(hash >> 16) }

// home is where the probing of tag starts. Sizes are not powers of two.
func (s *subTable) home(tag uint32) int {
	return int(uint64(tag) * uint64(len(s.slots)) >> 32)
}

// insert adds a reference; the caller knows that it is not there.
func (t *table) insert(hash uint64, ref uint32) {
	p := &t.subs[subOf(hash)]
	s := p.Load()
	if s == nil || (s.used+1)*8 > len(s.slots)*7 {
		s = s.rebuilt()
		p.Store(s)
	}
	s.place(uint64(tagOf(hash))<<32 | uint64(ref))
}

func (s *subTable) place(entry uint64) {
	for i := s.home(uint32(entry >> 32)); ; {
		old := s.slots[i].Load()
		if uint32(old) == 0 { // free, or a tombstone
			if old == 0 {
				s.used++
			}
			s.live++
			s.slots[i].Store(entry)
			return
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

// remove takes out the entry with this hash and reference.
func (t *table) remove(hash uint64, ref uint32) {
	p := &t.subs[subOf(hash)]
	s := p.Load()
	i := s.find(tagOf(hash), ref)
	next := i + 1
	if next == len(s.slots) {
		next = 0
	}
	if s.slots[next].Load() == 0 { // end of a run: no probe has to go on
		s.slots[i].Store(0)
		s.used--
	} else {
		s.slots[i].Store(tombstone)
	}
	s.live--
	switch {
	case s.live == 0:
		p.Store(nil)
	case len(s.slots) > minSlots && s.live*8 < len(s.slots):
		p.Store(s.rebuilt())
	}
}

// replace puts another reference in the place of one with the same hash.
func (t *table) replace(hash uint64, old, ref uint32) {
	s := t.subs[subOf(hash)].Load()
	tag := tagOf(hash)
	s.slots[s.find(tag, old)].Store(uint64(tag)<<32 | uint64(ref))
}

// find returns the slot of an entry that is there.
func (s *subTable) find(tag, ref uint32) int {
	entry := uint64(tag)<<32 | uint64(ref)
	i := s.home(tag)
	for s.slots[i].Load() != entry {
		if i++; i == len(s.slots) {
			i = 0
		}
	}
	return i
}

// rebuilt returns a copy of s (which may be nil) without tombstones and with a
// load of 0.7, which grows to 0.875 before the next time: 10 bytes an entry, for
// an entry being copied four times in its life.
func (s *subTable) rebuilt() *subTable {
	if s == nil {
		return &subTable{slots: make([]atomic.Uint64, minSlots)}
	}
	n := &subTable{slots: make([]atomic.Uint64, max(minSlots, (s.live+1)*10/7+1))}
	for i := range s.slots {
		if e := s.slots[i].Load(); uint32(e) != 0 {
			n.place(e)
		}
	}
	return n
}
