package hash

import (
	"context"
	"errors"
	"sync/atomic"
)

// Pool bounds how many slow comparisons run at one time, and how many wait. It
// has no goroutines: the work is done by the caller. A nil Pool has no bounds.
type Pool struct {
	slots chan struct{}
	queue int64
	wait  atomic.Int64
}

// NewPool makes a pool of workers, at least one, for which at most queue
// callers wait. One worker for each second processor leaves the machine to the
// connections.
func NewPool(workers, queue int) *Pool {
	return &Pool{slots: make(chan struct{}, max(1, workers)), queue: int64(queue)}
}

// ErrBusy is that too many callers wait.
var ErrBusy = errors.New("too many password comparisons wait")

// Waiting is how many callers wait for their turn.
func (p *Pool) Waiting() int { return int(p.wait.Load()) }

// run does the work, whose error is *failed, when it is its turn.
func (p *Pool) run(ctx context.Context, s Scheme, work func(), failed *error) error {
	if p != nil && s.Slow() {
		if err := p.enter(ctx); err != nil {
			return err
		}
		defer func() { <-p.slots }()
	}
	work()
	return *failed
}

func (p *Pool) enter(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	defer p.wait.Add(-1)
	if p.wait.Add(1) > p.queue {
		return ErrBusy
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
