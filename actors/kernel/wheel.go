package kernel

// wheelSlots is the number of one-second slots. A keep-alive of a minute is
// looked at once before it is due, a session's expiry of hours every 64 s.
// More slots cost memory in each of some hundred shards (24 B a slot).
const wheelSlots = 64

// keptEntries is how many entries a slot may hold memory for while it is empty.
const keptEntries = 1024

// wheel is a hashed timing wheel: an entry lies in the slot of its tick modulo
// the number of slots until its turn has come. It knows no clock; a tick is a
// number that grows by one every second. The zero value is ready.
type wheel[T any] struct {
	slots *[wheelSlots][]wheelEntry[T] // nil until used
	now   int64                        // the last tick handled
	n     int
}

type wheelEntry[T any] struct {
	tick  int64
	value T
}

// add keeps value until tick. What is due already fires with the next tick.
func (w *wheel[T]) add(value T, tick int64) {
	if w.slots == nil {
		w.slots = new([wheelSlots][]wheelEntry[T])
	}
	tick = max(tick, w.now+1)
	slot := &w.slots[tick%wheelSlots]
	*slot = append(*slot, wheelEntry[T]{tick, value})
	w.n++
}

// advance moves the wheel to tick and calls fire for all that is due, tick by
// tick unless more than a turn has passed. fire must not use the wheel.
func (w *wheel[T]) advance(tick int64, fire func(T)) {
	if w.n == 0 {
		w.now = max(w.now, tick)
		return
	}
	for range min(tick-w.now, wheelSlots) {
		w.now++
		w.turn(&w.slots[w.now%wheelSlots], tick, fire)
	}
	w.now = max(w.now, tick)
}

// turn fires what is due in a slot and keeps the rest, in place.
func (w *wheel[T]) turn(slot *[]wheelEntry[T], tick int64, fire func(T)) {
	entries := *slot
	kept := entries[:0]
	for _, e := range entries {
		if e.tick <= tick {
			fire(e.value)
		} else {
			kept = append(kept, e)
		}
	}
	w.n -= len(entries) - len(kept)
	clear(entries[len(kept):])
	if len(kept) == 0 && cap(kept) > keptEntries {
		kept = nil
	}
	*slot = kept
}

// next returns the first tick after now whose slot is not empty, and whether
// there is one. It may be too early for what lies a turn ahead, never too late.
func (w *wheel[T]) next() (int64, bool) {
	if w.n == 0 {
		return 0, false
	}
	for tick := w.now + 1; ; tick++ {
		if len(w.slots[tick%wheelSlots]) > 0 {
			return tick, true
		}
	}
}
