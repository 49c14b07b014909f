package connections

import (
	"slices"
	"sync"
	"time"
)

// outboxLimit is how many bytes may wait for a slow client before its session
// holds back and its reader stops. Larger smooths bursts; smaller bounds what a
// million stalled clients could pin.
const outboxLimit = 256 << 10

// outboxOwner is told what becomes of an outbox, on whichever goroutine it
// happens; it must not block.
type outboxOwner interface {
	drained()     // there is room again, after Send had said there was not
	failed(error) // the connection cannot be written to any more
	written(n uint64)
}

// outbox collects what goes to one client and writes it: at once, on the
// goroutine of the sender, while the socket takes it; else from a goroutine
// that lives as long as the peer is slow. Any goroutine may send; packets of
// one Send stay together and Sends keep their order.
type outbox struct {
	t       Transport
	owner   outboxOwner
	timeout time.Duration // for the peer to take something; 0 is for ever

	mu      sync.Mutex
	pending []byte        // in order, behind what is being written
	waiter  chan struct{} // closed when there is room
	busy    bool          // somebody writes
	starved bool          // a sender was told that there is no room
	closed  bool
}

// Send implements sessions.Outbox.
func (o *outbox) Send(p []byte) int {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return outboxLimit // nothing waits for a client that is gone
	}
	if o.busy {
		o.pending = append(o.pending, p...)
		room := o.room()
		o.mu.Unlock()
		return room
	}
	o.busy = true
	o.mu.Unlock()
	return o.write(p)
}

// room tells what may still wait, and remembers if that is nothing.
func (o *outbox) room() int {
	n := outboxLimit - len(o.pending)
	if n <= 0 {
		o.starved = true
	}
	return n
}

// Room implements sessions.Outbox.
func (o *outbox) Room() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.room()
}

// write sends p and whatever came meanwhile, as far as the socket takes it. The
// caller has set busy.
func (o *outbox) write(p []byte) int {
	for {
		n, err := o.t.TryWrite(p)
		o.owner.written(uint64(n))
		if err != nil {
			o.fail(err)
			return outboxLimit
		}
		o.mu.Lock()
		if n < len(p) {
			o.pending = slices.Insert(o.pending, 0, p[n:]...)
			room := o.room()
			o.mu.Unlock()
			go o.drain()
			return room
		}
		if len(o.pending) == 0 {
			o.busy = false
			waited := o.starved || o.waiter != nil
			o.mu.Unlock()
			if waited { // for what others sent meanwhile
				o.relieve()
			}
			return outboxLimit
		}
		p, o.pending = o.pending, nil
		o.mu.Unlock()
	}
}

// drain waits for the peer to take what is pending.
func (o *outbox) drain() {
	for {
		o.mu.Lock()
		p := o.pending
		o.pending = nil
		if len(p) == 0 || o.closed {
			// A deadline left behind would fail the next write that does not wait.
			_ = o.t.SetWriteDeadline(time.Time{})
			o.busy = false
			o.mu.Unlock()
			return
		}
		o.mu.Unlock()
		if o.timeout > 0 {
			_ = o.t.SetWriteDeadline(time.Now().Add(o.timeout))
		}
		n, err := o.t.Write(p)
		o.owner.written(uint64(n))
		if err != nil {
			o.fail(err)
			return
		}
		o.relieve()
	}
}

// relieve tells those who wait that there is room again.
func (o *outbox) relieve() {
	o.mu.Lock()
	starved, waiter := o.starved, o.waiter
	if len(o.pending) >= outboxLimit {
		o.mu.Unlock()
		return
	}
	o.starved, o.waiter = false, nil
	o.mu.Unlock()
	if waiter != nil {
		close(waiter)
	}
	if starved {
		o.owner.drained()
	}
}

// wait blocks until there is room or the outbox is closed: the reader of a
// client that does not take its acknowledgements stops here.
func (o *outbox) wait() {
	o.mu.Lock()
	if o.closed || len(o.pending) < outboxLimit {
		o.mu.Unlock()
		return
	}
	if o.waiter == nil {
		o.waiter = make(chan struct{})
	}
	w := o.waiter
	o.mu.Unlock()
	<-w
}

// fail ends the outbox because the socket cannot be written to. After close
// that is no news.
func (o *outbox) fail(err error) {
	if o.close() {
		o.owner.failed(err)
	}
}

// close drops what is pending and wakes those who wait. It tells whether the
// outbox was open.
func (o *outbox) close() (first bool) {
	o.mu.Lock()
	first = !o.closed
	o.closed, o.busy, o.pending = true, false, nil
	w := o.waiter
	o.waiter = nil
	o.mu.Unlock()
	if w != nil {
		close(w)
	}
	return first
}
