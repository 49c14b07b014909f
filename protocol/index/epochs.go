package index

import "sync/atomic"

const (
	stripes   = 32  // more than the cores which publish at one moment
	cacheLine = 128 // two lines: the prefetcher takes them in pairs
)

// Epochs tells a writer when the readers that could have seen something are
// gone. The zero value is ready. All methods may be called by any goroutine.
//
// Readers count themselves into the current epoch. The epoch advances from e
// to e+1 once nobody is left in e-1; two parities of a counter are therefore
// enough. What was unlinked in epoch e may be used again in epoch e+2.
type Epochs struct {
	epoch  atomic.Uint64
	_      [cacheLine - 8]byte
	inside [stripes]struct {
		readers [2]atomic.Int64
		_       [cacheLine - 16]byte
	}
}

// Guard is the proof of having entered. It is a value and must be left once.
type Guard struct{ readers *atomic.Int64 }

// Enter lets the caller read until it calls Leave. The stripe picks the
// counter: callers who run at the same time should bring different ones.
func (e *Epochs) Enter(stripe uint32) Guard {
	s := &e.inside[stripe%stripes]
	for {
		now := e.epoch.Load()
		c := &s.readers[now&1]
		c.Add(1)
		if e.epoch.Load() == now {
			return Guard{c}
		}
		c.Add(-1) // the epoch moved in between: what we counted into may be over
	}
}

// Leave ends the reading.
func (g Guard) Leave() { g.readers.Add(-1) }

// Now is the stamp for what has just been unlinked.
func (e *Epochs) Now() uint64 { return e.epoch.Load() }

// Passed tells whether no reader is left that could see what was unlinked
// before it got the stamp.
func (e *Epochs) Passed(stamp uint64) bool { return e.epoch.Load() >= stamp+2 }

// Advance moves the epoch on if readers allow. It never waits.
func (e *Epochs) Advance() {
	now := e.epoch.Load()
	old := (now + 1) & 1 // parity of the epoch before this one
	for i := range e.inside {
		if e.inside[i].readers[old].Load() != 0 {
			return
		}
	}
	e.epoch.CompareAndSwap(now, now+1)
}

// Limbo is a writer's queue of what it has unlinked and may use again once the
// readers have gone. The zero value is ready. It belongs to the writer.
type Limbo[T any] struct {
	queue []limboEntry[T]
	head  int
	ops   uint32
}

type limboEntry[T any] struct {
	stamp uint64
	item  T
}

// advanceEvery is how many calls of Next share one look at all the reader
// counters, which costs about 100 ns.
const advanceEvery = 16

// Add queues an item that has just been unlinked.
func (l *Limbo[T]) Add(e *Epochs, item T) {
	l.queue = append(l.queue, limboEntry[T]{e.Now(), item})
}

// Len is the number of items that wait.
func (l *Limbo[T]) Len() int { return len(l.queue) - l.head }

// Next returns the oldest item if no reader can see it any more.
func (l *Limbo[T]) Next(e *Epochs) (item T, ok bool) {
	if l.head == len(l.queue) {
		return item, false
	}
	if l.ops++; l.ops%advanceEvery == 0 {
		e.Advance()
	}
	if !e.Passed(l.queue[l.head].stamp) {
		return item, false
	}
	item = l.queue[l.head].item
	l.head++
	switch {
	case l.head == len(l.queue):
		l.queue, l.head = l.queue[:0], 0
		if cap(l.queue) > 1024 { // after a burst
			l.queue = nil
		}
	case l.head > 1024 && l.head > len(l.queue)/2:
		n := copy(l.queue, l.queue[l.head:])
		l.queue, l.head = l.queue[:n], 0
	}
	return item, true
}
