package index

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"unsafe"
)

const (
	unit       = 4 // bytes; a reference counts units
	arenaBits  = 17
	arenaChunk = 1 << arenaBits // holds the longest text, topic.MaxLength, and a header

	smallClasses = 64 // slots of 1..64 units have a class each, above: powers of two
	allClasses   = smallClasses + 1 + 9
)

// arena keeps texts in slots by size class. A slot never moves; free slots are
// used for texts of the same class only, which keeps the bookkeeping at four
// bytes a free slot and bounds the waste by the peak of each class. Reference
// zero is never given.
type arena struct {
	dir  atomic.Pointer[[]*[arenaChunk]byte]
	next uint32 // first unused unit
	end  uint32 // units in all chunks
	free [allClasses][]uint32
}

// class returns the size class of n bytes and its size in units.
func class(n int) (c int, units uint32) {
	u := max(uint32(n+unit-1)/unit, 1)
	if u <= smallClasses {
		return int(u), u
	}
	c = bits.Len32(u - 1) // 65..128 → 7
	return smallClasses + c - 6, 1 << c
}

// alloc returns a slot of n bytes. Writer only.
func (a *arena) alloc(n int) uint32 {
	c, units := class(n)
	if f := a.free[c]; len(f) > 0 {
		a.free[c] = f[:len(f)-1]
		return f[len(f)-1]
	}
	if left := a.end - a.next; left < units {
		a.extend(left)
	}
	ref := a.next
	a.next += units
	return ref
}

// extend adds a chunk. What is left of the last one is given to the small
// classes.
func (a *arena) extend(left uint32) {
	for left > 0 {
		piece := min(left, smallClasses)
		a.free[piece] = append(a.free[piece], a.next)
		a.next += piece
		left -= piece
	}
	var chunks []*[arenaChunk]byte
	if dir := a.dir.Load(); dir != nil {
		chunks = *dir
	} else {
		a.next, a.end = 1, 0 // not zero
	}
	grown := make([]*[arenaChunk]byte, len(chunks)+1)
	copy(grown, chunks)
	grown[len(chunks)] = new([arenaChunk]byte)
	a.dir.Store(&grown)
	a.end += arenaChunk / unit
}

// release gives the slot of n bytes back. No reader may be left that knows it.
func (a *arena) release(ref uint32, n int) {
	c, _ := class(n)
	a.free[c] = append(a.free[c], ref)
}

// bytes returns n bytes of the slot, which may be read while the caller is
// inside the epoch.
func (a *arena) bytes(ref uint32, n int) []byte {
	const unitBits = arenaBits - 2
	off := (ref & (1<<unitBits - 1)) * unit
	return (*a.dir.Load())[ref>>unitBits][off : off+uint32(n)]
}

// A stored filter is its text behind a header, so that a reader that has come
// to it by hash needs nothing else: id 32, length 16, mark 16. The reference is
// that of the header. A wildcard filter has the number of a node in front of it.
const (
	headerLen = 8
	parentLen = 1 * unit
)

// putExact stores an exact filter.
func (a *arena) putExact(text string, id uint32) uint32 {
	ref := a.alloc(headerLen + len(text))
	a.fill(ref, text, id, 0)
	return ref
}

// putWild stores a wildcard filter: the level that starts at mark lies below
// the node.
func (a *arena) putWild(text string, id uint32, mark int, parent uint32) uint32 {
	slot := a.alloc(parentLen + headerLen + len(text))
	binary.NativeEndian.PutUint32(a.bytes(slot, parentLen), parent)
	a.fill(slot+1, text, id, mark)
	return slot + 1
}

func (a *arena) fill(ref uint32, text string, id uint32, mark int) {
	b := a.bytes(ref, headerLen+len(text))
	binary.NativeEndian.PutUint32(b, id)
	binary.NativeEndian.PutUint16(b[4:], uint16(len(text)))
	binary.NativeEndian.PutUint16(b[6:], uint16(mark))
	copy(b[headerLen:], text)
}

// get returns a stored filter. The text is valid inside the epoch only: who
// keeps it clones it.
func (a *arena) get(ref uint32) (text string, id uint32, mark int) {
	h := a.bytes(ref, headerLen)
	id = binary.NativeEndian.Uint32(h)
	n := int(binary.NativeEndian.Uint16(h[4:]))
	mark = int(binary.NativeEndian.Uint16(h[6:]))
	b := a.bytes(ref, headerLen+n)
	return unsafe.String(unsafe.SliceData(b[headerLen:]), n), id, mark
}

// parent is the node of a stored wildcard filter.
func (a *arena) parent(ref uint32) uint32 {
	return binary.NativeEndian.Uint32(a.bytes(ref-1, parentLen))
}
