package cluster

import (
	"sync/atomic"
	"time"
)

// Clock is a hybrid logical clock: stamps grow, follow the time of day where they
// can, and are later than every stamp that was seen before (Kulkarni et al.,
// "Logical Physical Clocks", 2014). So what was caused by something is later than
// it, also between nodes whose clocks are seconds apart. The zero value is ready.
// All methods may be called from any goroutine.
type Clock struct{ last atomic.Uint64 }

// Stamp is a time of a Clock: 48 bits of Unix milliseconds and a 16 bit counter.
type Stamp = uint64

// Now returns a stamp later than all others that this clock has given or seen.
func (c *Clock) Now() Stamp {
	for {
		last := c.last.Load()
		next := max(uint64(time.Now().UnixMilli())<<16, last+1)
		if c.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// Seen takes note of a stamp that another node has given. One that is more than a
// day ahead is not believed, so that one wrong clock cannot push all others to the
// end of time.
func (c *Clock) Seen(s Stamp) {
	if s>>16 > uint64(time.Now().Add(24*time.Hour).UnixMilli()) {
		return
	}
	for {
		last := c.last.Load()
		if s <= last || c.last.CompareAndSwap(last, s) {
			return
		}
	}
}
