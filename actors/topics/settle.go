package topics

import "time"

// begin says that the batch is about to match something.
func (b *Batch) begin() {
	if !b.opened {
		b.open, b.opened = b.router.open.Enter(b.stripe), true
	}
}

// close says that what the batch has matched has been told.
func (b *Batch) close() {
	if b.opened {
		b.open.Leave()
		b.opened = false
	}
}

// Settle calls done, on a goroutine of its own, when every batch that has matched
// something by now has told it; where there is no cluster, at once. A reader that waits for a slow
// subscriber holds it up, MaxWait at most. It is how a session that moves learns
// that nothing more comes which only it gets.
func (r *Router) Settle(done func()) {
	go func() {
		stamp := r.open.Now()
		for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
			if r.open.Advance(); r.open.Passed(stamp) {
				break
			}
			if r.open.Advance(); r.open.Passed(stamp) {
				break
			}
			time.Sleep(pause) // a batch is open for microseconds as a rule
		}
		done()
	}()
}
