package index

import (
	"math/bits"
	"sync/atomic"
)

const (
	unit       = 4 // bytes; a reference counts units, so 2^32 of them reach 16 GB
	arenaBits  = 16
	arenaChunk = 1 << arenaBits // holds the longest text, topic.MaxLength

	smallClasses = 64 // slots of 1..64 units have a class each, above: powers of two
	allClasses   = smallClasses + 1 + 10
)

// arena keeps texts in slots by size class. A slot never moves; free slots are
// used for texts of the same class only, which keeps the bookkeeping at four
// bytes a free slot and bounds the waste by the peak of each class.
type arena struct {
	dir  atomic.Pointer[[]*[arenaChunk]byte]
	next uint32 // first unused unit
	end  uint32 // units in all chunks
	free [allClasses][]uint32
}

// class returns the size class of n bytes and its size in units.
func class(n int) (c int, units uint32) {
	u := uint32(n+unit-1) / unit
	if u <= smallClasses {
		return int(u), max(u, 1)
	}
	c = bits.Len32(u - 1) // 65..128 → 7
	return smallClasses + c - 6, 1 << c
}

// put stores s and returns its reference. Writer only.
func (a *arena) put(s string) uint32 {
	if len(s) == 0 {
		return 0 // never read: the length says it all
	}
	c, units := class(len(s))
	ref := uint32(0)
	if f := a.free[c]; len(f) > 0 {
		ref, a.free[c] = f[len(f)-1], f[:len(f)-1]
	} else {
		ref = a.extend(units)
	}
	chunk, off := a.locate(ref)
	copy(chunk[off:], s)
	return ref
}

// extend takes units from the end. What is left of a chunk when a text does not
// fit is given to the small classes.
func (a *arena) extend(units uint32) uint32 {
	if left := a.end - a.next; left < units {
		for left > 0 {
			piece := min(left, smallClasses)
			a.free[piece] = append(a.free[piece], a.next)
			a.next += piece
			left -= piece
		}
		var chunks []*[arenaChunk]byte
		if dir := a.dir.Load(); dir != nil {
			chunks = *dir
		}
		grown := make([]*[arenaChunk]byte, len(chunks)+1)
		copy(grown, chunks)
		grown[len(chunks)] = new([arenaChunk]byte)
		a.dir.Store(&grown)
		a.end += arenaChunk / unit
	}
	ref := a.next
	a.next += units
	return ref
}

// release gives the slot of n bytes back. No reader may be left that knows it.
func (a *arena) release(ref uint32, n int) {
	if n > 0 {
		c, _ := class(n)
		a.free[c] = append(a.free[c], ref)
	}
}

func (a *arena) locate(ref uint32) (chunk *[arenaChunk]byte, off uint32) {
	const unitBits = arenaBits - 2
	return (*a.dir.Load())[ref>>unitBits], (ref & (1<<unitBits - 1)) * unit
}

// bytes returns the n bytes at ref, which may be read while the caller is
// inside the epoch.
func (a *arena) bytes(ref uint32, n int) []byte {
	if n == 0 {
		return nil
	}
	chunk, off := a.locate(ref)
	return chunk[off : off+uint32(n)]
}
