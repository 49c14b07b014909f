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
	sending(packets []byte) // before they go
}

// outbox collects what goes to one client and writes it: at once, on the
// goroutine of the sender, while the socket takes it; else from a goroutine
// that lives as long as the peer is slow. Any goroutine may send; packets of
// one Send stay together and Sends keep their order.
type outbox struct {
	t       Link
	owner   outboxOwner
	timeout time.Duration // for the peer to take something; 0 is for ever

	mu      sync.Mutex
	pending []byte        // in order, behind what is being written
	waiter  chan struct{} // closed when there is room
	busy    bool          // somebody writes
	starved bool          // a sender was told that there is no room
	closed  bool
	used    bool // something has been sent
	last    bool // closed, but what is pending is still to be written
}

// Send implements sessions.Outbox.
func (o *outbox) Send(p []byte) int {
	o.owner.sending(p)
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return outboxLimit // nothing waits for a client that is gone
	}
	o.used = true
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

// fresh tells whether nothing has been sent yet.
func (o *outbox) fresh() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.used
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
			waited, last := o.starved || o.waiter != nil, o.last
			o.mu.Unlock()
			if last {
				_ = o.t.Close()
			} else if waited { // for what others sent meanwhile
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
		last := o.last
		if len(p) == 0 || o.closed && !last {
			// A deadline left behind would fail the next write that does not wait.
			_ = o.t.SetWriteDeadline(time.Time{})
			o.busy = false
			o.mu.Unlock()
			if last {
				_ = o.t.Close()
			}
			return
		}
		if o.timeout > 0 && !last {
			_ = o.t.SetWriteDeadline(time.Now().Add(o.timeout))
		}
		o.mu.Unlock()
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
	if len(o.pending) >= outboxLimit || o.closed {
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

// full tells whether wait would block.
func (o *outbox) full() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.closed && len(o.pending) >= outboxLimit
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

// fail ends the outbox because the socket cannot be written to. After close or
// finish that is no news.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	last := o.last
	o.mu.Unlock()
	if o.close() {
		o.owner.failed(err)
	} else if last {
		_ = o.t.Close()
	}
}

// finish closes the outbox and the transport. What somebody is writing, the
// DISCONNECT that says why among it, goes out first, as far as the peer takes it
// within lingerTime. Nothing more is read.
func (o *outbox) finish() {
	o.mu.Lock()
	if o.closed || !o.busy {
		o.mu.Unlock()
		_ = o.t.Close()
		o.close()
		return
	}
	defer o.mu.Unlock()
	o.closed, o.last = true, true
	if o.waiter != nil {
		close(o.waiter)
		o.waiter = nil
	}
	now := time.Now()
	if t, ok := o.t.(Transport); ok {
		_ = t.SetReadDeadline(now)
	}
	_ = o.t.SetWriteDeadline(now.Add(lingerTime))
}

// close drops what is pending and wakes those who wait. It tells whether the
// outbox was open.
func (o *outbox) close() (first bool) {
	o.mu.Lock()
	first = !o.closed
	o.closed, o.last, o.busy, o.pending = true, false, false, nil
	w := o.waiter
	o.waiter = nil
	o.mu.Unlock()
	if w != nil {
		close(w)
	}
	return first
}
