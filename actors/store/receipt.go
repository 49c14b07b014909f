package store

import (
	"sync"

	"emqttd/protocol"
)

// Receipt is the promise of one publisher's read, or of one QoS 2 turn: its
// messages are safe when all sessions that get them have entered them. What the
// parts add is written in one atomic group when the last part is done, so that
// of a QoS 2 message either everything is kept or nothing.
//
// Whoever hands the receipt on calls Expect before, and whoever got it calls
// Part exactly once.
type Receipt struct {
	disk *Disk
	id   uint32 // for references: has it written the message already

	mu      sync.Mutex
	parts   int
	ops     *Ops // nil without changes
	barrier bool
	failed  error    // a part that will never be done (Fail)
	stored  []uint64 // messages it has written for several sessions
	settled bool
	err     error
	// committed says that no part is missing any more; next waits for that.
	committed bool
	next      *Receipt
	after     []func(error)
}

var opsPool = sync.Pool{New: func() any { return new(Ops) }}

// keptOps is the largest Ops that goes back to the pool.
const keptOps = 256 << 10

func releaseOps(o *Ops) {
	if cap(o.buf) <= keptOps {
		o.Reset()
		opsPool.Put(o)
	}
}

// Begin starts a receipt with one part, the caller's own.
func (d *Disk) Begin() *Receipt {
	return &Receipt{disk: d, id: d.receipts.Add(1), parts: 1}
}

// Expect adds a part. It is called while another part is still to be done.
func (r *Receipt) Expect() {
	r.mu.Lock()
	r.parts++
	r.mu.Unlock()
}

func (r *Receipt) changes() *Ops {
	if r.ops == nil {
		r.ops = opsPool.Get().(*Ops)
	}
	return r.ops
}

// Enter adds an item to the queue of a session. Of a message with it.Shared
// the first Enter writes a record which the following ones refer to; each Enter
// of it is a reference that Disk.Release gives back. A message must not be
// entered into two receipts at the same time.
func (r *Receipt) Enter(sid SessionID, it *Item) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.changes()
	if !it.Shared {
		o.putItem(sid, it, 0)
		return
	}
	mid, written := r.disk.refs.enter(it.Message.StoreID, r.id)
	if mid == 0 {
		mid = r.disk.messages.next(r.disk)
		r.disk.refs.add(mid, r.id)
		it.Message.StoreID = mid
	}
	if !written {
		o.putMessage(mid, it.Message)
		r.stored = append(r.stored, mid)
	}
	o.putItem(sid, it, mid)
}

// Ops adds other changes to the atomic group. f must not keep its argument.
func (r *Receipt) Ops(f func(*Ops)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(r.changes())
}

// Barrier makes the receipt wait for what was committed before its last part,
// even if it has no changes of its own.
func (r *Receipt) Barrier() {
	r.mu.Lock()
	r.barrier = true
	r.mu.Unlock()
}

// Part says that a part is done. The last one commits; with neither changes nor
// a barrier the receipt is safe at once, on this goroutine.
func (r *Receipt) Part() {
	r.mu.Lock()
	r.parts--
	last := r.parts == 0
	r.mu.Unlock()
	if last {
		r.commit()
		r.passOn()
	}
}

// Before keeps the order of a publisher: next, to which nothing else gives way
// yet, is not committed before r is. So after a crash there is never a later
// message without the earlier ones, which may have to wait longer for somebody.
// It is called once, while a part of next is still to be done.
func (r *Receipt) Before(next *Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.committed {
		next.Expect()
		r.next = next
	}
}

func (r *Receipt) passOn() {
	r.mu.Lock()
	next := r.next
	r.committed, r.next = true, nil
	r.mu.Unlock()
	if next != nil {
		next.Part()
	}
}

// commit hands in what the parts have added.
func (r *Receipt) commit() {
	r.mu.Lock()
	ops, wait := r.ops, r.barrier || !r.ops.Empty()
	r.ops = nil
	if err := r.failed; err != nil {
		r.mu.Unlock()
		r.settle(err)
		return
	}
	if ops != nil {
		r.disk.refs.forgotten(r.stored, ops)
	}
	r.mu.Unlock()
	if wait {
		r.disk.Commit(ops, r.settle)
	} else {
		r.settle(nil)
	}
	if ops != nil {
		releaseOps(ops)
	}
}

func (r *Receipt) settle(err error) {
	r.mu.Lock()
	for len(r.after) > 0 { // one that is registered meanwhile is called after those before it
		fns := r.after
		r.after = nil
		r.mu.Unlock()
		for _, fn := range fns {
			fn(err)
		}
		r.mu.Lock()
	}
	r.settled, r.err = true, err
	r.mu.Unlock()
}

// After calls fn when the receipt is safe, or with the error for which it never
// will be: at once and on this goroutine if that is known already, else on a
// goroutine of the store, which it must not block. Several are called in the
// order in which they were registered.
func (r *Receipt) After(fn func(error)) {
	r.mu.Lock()
	if !r.settled {
		r.after = append(r.after, fn)
		r.mu.Unlock()
		return
	}
	err := r.err
	r.mu.Unlock()
	fn(err)
}

// Safe tells whether the receipt is safe.
func (r *Receipt) Safe() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled && r.err == nil
}

// Release says that a session is done with messages which it has entered as
// Shared, or loaded as such; others (StoreID 0) are passed over. What says so on
// the disk – the session's window, or the deletion of its items – has been
// committed before. With its last reference the message's record is deleted.
func (d *Disk) Release(ms []*protocol.Message) {
	var o *Ops
	for _, m := range ms {
		if m == nil {
			continue
		}
		// Read once: when the last reference is gone, another session may enter the message into a record of its own.
		mid := m.StoreID
		if mid == 0 || !d.refs.release(mid) {
			continue
		}
		if o == nil {
			o = opsPool.Get().(*Ops)
		}
		o.dropMessage(mid)
	}
	if o != nil {
		d.Commit(o, nil)
		releaseOps(o)
	}
}
