package connections

import "sync"

// waiter is what a reader needs whose goroutine waits for the socket. The
// goroutine and the worker take turns.
type waiter struct {
	t    Transport
	gate sync.Mutex // held while there is work
	buf  *Buffer    // what was read, or
	err  error      // why not
}

// wait is the reader's goroutine. Its stack must stay small: calls from here
// are few and shallow.
func (r *reader) wait() {
	w := r.waiter
	for {
		r.c.rt.workers.run(r)
		w.gate.Lock() // until the work is done
		if r.over {
			return
		}
		r.catchUp()
		w.buf, w.err = w.t.Read(r.prefix())
	}
}

func (r *reader) workWaited() {
	w := r.waiter
	buf, err := w.buf, w.err
	w.buf = nil
	r.turn(buf, err)
	w.gate.Unlock()
}
