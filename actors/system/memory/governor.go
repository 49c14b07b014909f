package memory

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"
)

// Level says how little memory is left, and what is done about it.
type Level int32

// The levels. Each does what those before it do, too.
const (
	Easy     Level = iota
	Shedding       // messages of QoS 0 are dropped
	Slowing        // publishers are read slowly
	Refusing       // publishers are hardly read, and new clients are refused
)

var levelNames = [...]string{"easy", "shedding", "slowing", "refusing"}

// String is the level as alarms and logs name it.
func (l Level) String() string { return levelNames[l] }

// From which share of the limit on a level holds, by what is certainly in use:
// what the last collection left, and what is no heap. A level ends when the use
// is below this by slack. The garbage collector works hard from collect on, so
// that it is known well what lives; what it has not seen yet needs the rest.
const (
	shedAt   = 0.50
	slowAt   = 0.57
	refuseAt = 0.63
	slack    = 0.04
	collect  = 0.75
	// brim is the share of everything, garbage too, that is too much in any case.
	brim = 0.90
)

// Governor keeps a node within its memory. Any goroutine may ask it; nil is a
// governor that has no limit.
type Governor struct {
	limit   uint64
	notify  func(l Level, on bool)
	level   atomic.Int32
	samples []metrics.Sample
	cycles  uint64        // of the garbage collector
	counted time.Time     // when there was a new one
	rest    time.Duration // until it is asked for one

	mu      sync.Mutex
	changed chan struct{} // closed when the level changes
}

// NewGovernor keeps memory below limit, in bytes, as the runtime counts it for
// GOMEMLIMIT. The actor of Spec has it look. notify is told of each level that
// begins or ends, in order, and must not block for long.
func NewGovernor(limit uint64, notify func(l Level, on bool)) *Governor {
	return &Governor{limit: limit, notify: notify, changed: make(chan struct{}), samples: []metrics.Sample{
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}}
}

// Limit is what memory is kept below, 0 for none.
func (g *Governor) Limit() uint64 {
	if g == nil {
		return 0
	}
	return g.limit
}

// Level is what holds now. It costs one atomic load.
func (g *Governor) Level() Level {
	if g == nil {
		return Easy
	}
	return Level(g.level.Load())
}

// slowest is how long a publisher is held back at most, before it is read once
// more: it may also be a receiver, whose acknowledgements make room.
const slowest = time.Second

// Wait holds a publisher back while there is too little memory; false if stop is
// closed before it is done. At the level Refusing it waits for as long as that
// lasts, unless the publisher receives messages, too.
func (g *Governor) Wait(stop <-chan struct{}, receives bool) bool {
	if g.Level() < Slowing {
		return true
	}
	timer := time.NewTimer(slowest)
	defer timer.Stop()
	for g.Level() >= Slowing {
		g.mu.Lock()
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-stop:
			return false
		case <-timer.C:
			if receives || g.Level() < Refusing {
				return true
			}
			timer.Reset(slowest)
		}
	}
	return true
}

// begin has the garbage collector aim a little lower than the limit.
func (g *Governor) begin() {
	debug.SetMemoryLimit(int64(min(float64(g.limit)*collect, math.MaxInt64/2)))
}

// Look finds out the level, and returns when to look again: soon where a burst
// could use up what is left. One goroutine at a time may call it.
func (g *Governor) Look() time.Duration {
	metrics.Read(g.samples)
	v := func(i int) uint64 { return g.samples[i].Value.Uint64() }
	held := v(0) - v(1)
	all := held - v(2)                      // free memory of the heap is there to be used
	certain := all - v(3) + min(v(3), v(4)) // without what may be garbage
	g.set(g.judge(g.Level(), certain, all))
	g.refresh(time.Now(), v(5))
	if all < g.limit/4 {
		return 100 * time.Millisecond
	}
	return 10 * time.Millisecond
}

// refresh finds out what lives, while it matters and nobody else does: a node
// that takes nothing in allocates nothing, and would never learn that what it
// held has gone.
func (g *Governor) refresh(now time.Time, cycles uint64) {
	if cycles != g.cycles || g.Level() == Easy {
		g.cycles, g.counted = cycles, now
		return
	}
	if now.Sub(g.counted) < max(g.rest, freshFor) {
		return
	}
	runtime.GC()
	g.rest = 10 * time.Since(now) // a large heap takes long
}

// freshFor is how long what the last collection found is good enough.
const freshFor = time.Second

// judge is the level at which so much memory is in use.
func (g *Governor) judge(now Level, certain, all uint64) Level {
	if float64(all) > brim*float64(g.limit) {
		return Refusing
	}
	share, level := float64(certain)/float64(g.limit), Easy
	for l, from := range [...]float64{Shedding: shedAt, Slowing: slowAt, Refusing: refuseAt} {
		if Level(l) <= now {
			from -= slack
		}
		if Level(l) > Easy && share >= from {
			level = Level(l)
		}
	}
	return level
}

func (g *Governor) set(to Level) {
	from := g.Level()
	if from == to {
		return
	}
	g.level.Store(int32(to))
	g.mu.Lock()
	close(g.changed)
	g.changed = make(chan struct{})
	g.mu.Unlock()
	for l := from + 1; l <= to; l++ {
		g.notify(l, true)
	}
	for l := from; l > to; l-- {
		g.notify(l, false)
	}
}
