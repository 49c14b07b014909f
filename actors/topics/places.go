package topics

import "math/bits"

// placeTable finds the receiver of a subscriber in a batch. Up to fewReceivers
// it looks through them; with more it is a hash by subscriber index, which is
// emptied by counting up a generation. The zero value is empty.
type placeTable struct {
	generation uint32
	slots      []place // a power of two, at most half full
	used       bool
}

type place struct {
	generation uint32
	position   uint32
}

const fewReceivers = 8

// find returns the position of s in list.
func (t *placeTable) find(list []receiver, s *Subscriber) (int, bool) {
	if !t.used {
		for i := range list {
			if list[i].sub == s {
				return i, true
			}
		}
		return 0, false
	}
	mask := uint32(len(t.slots) - 1)
	for i := spread(s) & mask; t.slots[i].generation == t.generation; i = (i + 1) & mask {
		// Compare who it is: an index may have gone to another subscriber
		// between two messages of a batch.
		if p := t.slots[i].position; list[p].sub == s {
			return int(p), true
		}
	}
	return 0, false
}

// added notes that the last element of list is new.
func (t *placeTable) added(list []receiver) {
	n := len(list)
	switch {
	case n <= fewReceivers:
		return
	case !t.used || n*2 > len(t.slots):
		if n*2 > len(t.slots) || t.generation == 1<<32-1 {
			t.slots = make([]place, max(64, len(t.slots), 1<<bits.Len(uint(2*n))))
			t.generation = 0
		}
		t.used = true
		t.generation++
		for i := range list {
			t.set(&list[i], uint32(i))
		}
	default:
		t.set(&list[n-1], uint32(n-1))
	}
}

func (t *placeTable) set(r *receiver, position uint32) {
	mask := uint32(len(t.slots) - 1)
	i := spread(r.sub) & mask
	for t.slots[i].generation == t.generation {
		i = (i + 1) & mask
	}
	t.slots[i] = place{t.generation, position}
}

func (t *placeTable) reset() {
	t.used = false
	if len(t.slots) > 2*maxKept {
		t.slots = nil
	}
}

// spread scatters indexes which follow each other.
func spread(s *Subscriber) uint32 { return s.index.Load() * 0x9E3779B1 >> 7 }
