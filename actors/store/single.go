package store

import "time"

// Fail does a part of the receipt by saying that it will never be done: nobody
// has entered what belongs to it. The receipt is settled with err when its last
// part is done, and nothing of it is written.
func (r *Receipt) Fail(err error) {
	r.mu.Lock()
	if r.failed == nil {
		r.failed = err
	}
	r.mu.Unlock()
	r.Part()
}

// Settled tells whether it is known what has become of the receipt.
func (r *Receipt) Settled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settled
}

// WaitRoom waits until the store takes new work, not longer than limit.
func (d *Disk) WaitRoom(limit time.Duration) {
	end := time.NewTimer(limit)
	defer end.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for d.Refusing() {
		select {
		case <-look.C:
		case <-end.C:
			return
		}
	}
}
