package index

import "sync/atomic"

const (
	chunkBits = 12 // 4096 elements: a chunk of nodes is 128 KB
	chunkLen  = 1 << chunkBits
)

// Vector is an array that grows in chunks and never moves an element. One
// writer grows it; readers may read what was there when they learned of it.
// The zero value is empty.
type Vector[T any] struct {
	dir atomic.Pointer[[]*[chunkLen]T]
}

// At returns element i, which must have been covered by Grow.
func (v *Vector[T]) At(i uint32) *T {
	return &(*v.dir.Load())[i>>chunkBits][i&(chunkLen-1)]
}

// Len is the number of elements that can be reached; a multiple of the chunk.
func (v *Vector[T]) Len() uint32 {
	if dir := v.dir.Load(); dir != nil {
		return uint32(len(*dir)) << chunkBits
	}
	return 0
}

// Grow makes elements up to and including i reachable, zeroed. Writer only.
func (v *Vector[T]) Grow(i uint32) {
	for v.Len() <= i {
		var chunks []*[chunkLen]T
		if dir := v.dir.Load(); dir != nil {
			chunks = *dir
		}
		// A new directory each time: readers hold the old one. It is 8 bytes
		// per 4096 elements.
		grown := make([]*[chunkLen]T, len(chunks)+1)
		copy(grown, chunks)
		grown[len(chunks)] = new([chunkLen]T)
		v.dir.Store(&grown)
	}
}
