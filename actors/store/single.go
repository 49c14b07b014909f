package store

import (
	"fmt"
	"time"
)

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

// Session reads all that is kept of one session, as Recover does: for one whose
// actor has crashed. Everything that was entered for it has been safe before. nil
// without an error: there is none.
func (d *Disk) Session(sid SessionID, window int) (v *Recovered, err error) {
	r := &recovery{disk: d, window: window, orphans: make(map[SessionID]struct{}), progress: time.Now(), counted: true}
	err = d.reading(func() error {
		for kind, c := range map[byte]**cursor{
			kindSession: &r.sessions, kindSubscription: &r.subscriptions, kindWindow: &r.windows,
			kindAwaiting: &r.awaiting, kindItem: &r.items,
		} {
			var err error
			if *c, err = d.walk(kind); err != nil {
				return fmt.Errorf("read session: %w", err)
			}
			defer (*c).close()
			(*c).seek(appendSessionKey(nil, kind, sid))
		}
		if r.sessions.on(sid) {
			v = r.session()
			d.Commit(&r.ops, nil)
		}
		return nil
	})
	return v, err
}

// WaitRoom waits until the store takes new work, not longer than limit, or until
// stop is closed.
func (d *Disk) WaitRoom(limit time.Duration, stop <-chan struct{}) {
	end := time.NewTimer(limit)
	defer end.Stop()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for d.Refusing() {
		select {
		case <-look.C:
		case <-end.C:
			return
		case <-stop:
			return
		}
	}
}
