// Package pool keeps a bounded number of connections to a back end whose client
// library has none of its own, or none that fits.
package pool

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed is the answer of a Pool after Close.
var ErrClosed = errors.New("the pool of connections is closed")

// Pool hands connections out, each to one user at a time. It makes them when they
// are needed and closes them when nobody has needed them for a while.
type Pool[C any] struct {
	dial  func(context.Context) (C, error)
	end   func(C)
	idle  time.Duration
	slots chan struct{} // one for each connection in use

	mu     sync.Mutex
	rest   []resting[C] // the one used last at the end
	closed bool
}

type resting[C any] struct {
	conn  C
	since time.Time
}

// New makes a pool of at most size connections which dial makes and end closes;
// one that has rested for longer than idle is not used again.
func New[C any](size int, idle time.Duration, dial func(context.Context) (C, error), end func(C)) *Pool[C] {
	return &Pool[C]{dial: dial, end: end, idle: idle, slots: make(chan struct{}, size)}
}

// Do lends a connection to use, which says whether it is still good. If it is not,
// though it had been once, Do calls use once more with a new connection: the server
// may have been started anew since. use may therefore do only what can be done twice.
func (p *Pool[C]) Do(ctx context.Context, use func(C) (good bool, err error)) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c, rested, err := p.get(ctx)
	if err != nil {
		return err
	}
	good, err := use(c)
	if good {
		p.put(c)
		return err
	}
	p.end(c)
	if !rested || ctx.Err() != nil {
		return err
	}
	p.drop() // those that rested with it will not be better
	if c, err = p.dial(ctx); err != nil {
		return err
	}
	if good, err = use(c); good {
		p.put(c)
	} else {
		p.end(c)
	}
	return err
}

// Close ends the connections that rest; those in use end when they come back.
func (p *Pool[C]) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}

func (p *Pool[C]) get(ctx context.Context) (c C, rested bool, err error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return c, false, ErrClosed
	}
	old := p.tooOld()
	if n := len(p.rest); n > 0 {
		c, rested = p.rest[n-1].conn, true
		p.rest = p.rest[:n-1]
	}
	p.mu.Unlock()
	for _, r := range old {
		p.end(r.conn)
	}
	if rested {
		return c, true, nil
	}
	c, err = p.dial(ctx)
	return c, false, err
}

// tooOld takes out those that have rested for too long. p.mu is held.
func (p *Pool[C]) tooOld() []resting[C] {
	n := 0
	for n < len(p.rest) && time.Since(p.rest[n].since) > p.idle {
		n++
	}
	old := append([]resting[C](nil), p.rest[:n]...)
	p.rest = append(p.rest[:0], p.rest[n:]...)
	return old
}

func (p *Pool[C]) put(c C) {
	p.mu.Lock()
	if !p.closed {
		p.rest = append(p.rest, resting[C]{conn: c, since: time.Now()})
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	p.end(c)
}

func (p *Pool[C]) drop() {
	p.mu.Lock()
	rest := p.rest
	p.rest = nil
	p.mu.Unlock()
	for _, r := range rest {
		p.end(r.conn)
	}
}
