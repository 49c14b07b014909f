package connections

import "sync"

// workers are the goroutines on which readers parse. A reader that waits keeps
// the smallest of stacks; parsing and publishing need a larger one, which a
// goroutine would hold on to for as long as it lives. So the waiting and the
// working goroutines are different ones, and there are only as many of the
// latter as work at once.
//
// There is no bound: a worker may wait for a slow subscriber, and another
// reader's work must not wait behind it. Each reader has one at most.
type workers struct {
	mu     sync.Mutex
	idle   []chan *reader
	closed bool
}

// idleWorkers is how many wait for work at most; with more cores than that busy
// at once, some goroutines are made anew.
const idleWorkers = 64

// run lets a worker turn r.
func (w *workers) run(r *reader) {
	w.mu.Lock()
	n := len(w.idle)
	if n == 0 {
		w.mu.Unlock()
		go w.work(r)
		return
	}
	job := w.idle[n-1] // the one that rested least has the warmest caches
	w.idle = w.idle[:n-1]
	w.mu.Unlock()
	job <- r
}

func (w *workers) work(r *reader) {
	job := make(chan *reader, 1)
	for ; r != nil; r = <-job {
		r.work()
		w.mu.Lock()
		if w.closed || len(w.idle) >= idleWorkers {
			w.mu.Unlock()
			return
		}
		w.idle = append(w.idle, job)
		w.mu.Unlock()
	}
}

// close ends the idle workers, and the others when they are done.
func (w *workers) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, job := range w.idle {
		job <- nil
	}
	w.idle = nil
}
