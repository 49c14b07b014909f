package kernel

import "sync"

// Pool is a Dispatcher which runs actors on a few lasting goroutines instead of
// starting one for every wake-up. A message that wakes thousands of actors then
// costs no thousand goroutines, and none that has to grow its stack first.
//
// It is for actors that never block: one that does holds up the others.
type Pool struct {
	mu      sync.Mutex
	wake    sync.Cond
	jobs    []func() // a ring
	head, n int
	workers int
	idle    int
	max     int
	closed  bool
}

// NewPool returns a pool of up to workers goroutines; they start as needed.
func NewPool(workers int) *Pool {
	p := &Pool{max: workers}
	p.wake.L = &p.mu
	return p
}

// Schedule implements actor.Dispatcher.
func (p *Pool) Schedule(fn func()) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		go fn() // late ones, while the system ends
		return
	}
	if p.n == len(p.jobs) {
		p.grow()
	}
	p.jobs[(p.head+p.n)&(len(p.jobs)-1)] = fn
	p.n++
	switch {
	case p.idle > 0:
		p.idle--
		p.wake.Signal()
	case p.workers < p.max:
		p.workers++
		go p.work()
	}
	p.mu.Unlock()
}

// Throughput implements actor.Dispatcher: how many messages an actor handles
// before others get a turn.
func (p *Pool) Throughput() int { return 300 }

// Close ends the goroutines when nothing waits any more.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.idle = 0
	p.wake.Broadcast()
	p.mu.Unlock()
}

func (p *Pool) grow() {
	next := make([]func(), max(64, 2*len(p.jobs)))
	k := copy(next, p.jobs[p.head:])
	copy(next[k:], p.jobs[:p.head])
	p.jobs, p.head = next, 0
}

// work runs jobs for as long as the pool is open. idle counts the workers that
// wait and have not been signalled.
func (p *Pool) work() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for p.n == 0 {
			if p.closed {
				return
			}
			p.idle++
			p.wake.Wait()
		}
		fn := p.jobs[p.head]
		p.jobs[p.head] = nil
		p.head = (p.head + 1) & (len(p.jobs) - 1)
		p.n--
		p.mu.Unlock()
		fn()
		p.mu.Lock()
	}
}
