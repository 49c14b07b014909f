package ledger

import (
	"strings"
	"sync"
	"sync/atomic"
)

// Drop is one message that somebody did not get.
type Drop struct {
	At       int64  // Unix milliseconds
	Reason   string // as metrics name it
	ClientID string // who did not get it; empty if it was for nobody in particular
	Topic    string
	From     string // who published it; empty for the broker itself
	Count    int    // so many of the same kind one after the other
}

// RecentDrops is how many drops a node remembers.
const RecentDrops = 100

// Recent remembers the last drops of a node, for `emqttd_ctl explain`. The zero
// value is ready and any goroutine may use it.
//
// Only what is dropped costs anything here, and a flood of drops is not followed:
// not more than perSlot in each slot of time are noted, and nobody waits for
// anybody. What the counters say of drops is complete; this is a sample.
type Recent struct {
	budget atomic.Uint64 // slot of time << 16 | drops noted in it

	mu   sync.Mutex
	ring [RecentDrops]Drop
	next int // drops noted in all
}

const (
	slotBits = 7 // a slot is 128 ms
	perSlot  = 128
)

// Wants tells whether a drop at now, in Unix milliseconds, would be noted. A
// caller asks first, so that a flood costs one load.
func (r *Recent) Wants(now int64) bool {
	slot := uint64(now) >> slotBits
	have := r.budget.Load()
	if have>>16 != slot {
		r.budget.CompareAndSwap(have, slot<<16)
		return true
	}
	return have&0xFFFF < perSlot
}

// Note remembers a drop. It copies the strings. A drop of the same kind as the
// one before only raises its count.
func (r *Recent) Note(d Drop) {
	if !r.Wants(d.At) {
		return
	}
	r.budget.Add(1)
	if !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	if r.next > 0 {
		last := &r.ring[(r.next-1)%RecentDrops]
		if last.Reason == d.Reason && last.ClientID == d.ClientID && last.Topic == d.Topic && last.From == d.From {
			last.At = d.At
			last.Count++
			return
		}
	}
	d.ClientID, d.Topic, d.From, d.Count = strings.Clone(d.ClientID), strings.Clone(d.Topic), strings.Clone(d.From), 1
	r.ring[r.next%RecentDrops] = d
	r.next++
}

// List returns what is remembered, oldest first.
func (r *Recent) List() []Drop {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(r.next, RecentDrops)
	out := make([]Drop, n)
	for i := range out {
		out[i] = r.ring[(r.next-n+i)%RecentDrops]
	}
	return out
}
