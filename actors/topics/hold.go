package topics

import (
	"time"

	"emqttd/actors/store"
	"emqttd/protocol"
)

// Receipt is the promise of what the batch has published, made if there is none
// yet; nil where nothing is kept. The caller may add parts to it (Expect).
func (b *Batch) Receipt() *store.Receipt {
	if b.receipt == nil && b.router.options.Begin != nil {
		b.receipt = b.router.options.Begin()
	}
	return b.receipt
}

// Promise hands the receipt over to the publisher, who does its own part, after
// Flush. nil: there is nothing to wait for.
func (b *Batch) Promise() *store.Receipt {
	r := b.receipt
	b.receipt = nil
	return r
}

// awaits tells whether a publisher waits until m is kept.
func (r *Router) awaits(m *protocol.Message) bool {
	return r.options.Awaits == nil || r.options.Awaits(m)
}

// Holding tells whether some subscriber may not be able to take messages now, so
// that Held is worth asking.
func (r *Router) Holding() bool { return r.full.Load() > 0 || r.refusing() }

func (r *Router) refusing() bool { return r.options.Refusing != nil && r.options.Refusing() }

// Held returns a subscriber that m is for and that keeps messages but cannot take
// any now: its queue is full, or the store refuses. m is not to be published
// then; nil: it may be.
func (b *Batch) Held(m *protocol.Message) *Subscriber {
	r := b.router
	if !r.awaits(m) {
		return nil
	}
	guard := r.space.Enter(b.stripe)
	defer guard.Leave()
	p := &b.probe
	p.Reset(r.space, m.Topic)
	t := r.tables[r.shardOf(p.Hash())]
	if id, ok := t.filters.Exact(p); ok {
		if s := b.heldBy(t, id, m); s != nil {
			return s
		}
	}
	if r.wildcards.Load() == 0 {
		return nil
	}
	for _, n := range [2]int{0, r.shardOf(p.FirstLevel())} {
		b.ids = r.tables[n].filters.Wild(p, b.ids[:0])
		for _, id := range b.ids {
			if s := b.heldBy(r.tables[n], id, m); s != nil {
				return s
			}
		}
	}
	return nil
}

// heldBy looks at the ordinary rows of a filter. Of shared groups another member
// is picked instead.
func (b *Batch) heldBy(t *table, id uint32, m *protocol.Message) *Subscriber {
	word := t.word(id)
	if word == 0 {
		return nil
	}
	if !isSet(word) {
		return b.holds(row(word), m)
	}
	all := t.set(word).plain.all()
	for i := range all {
		if at := row(all[i].Load()); at != 0 {
			if s := b.holds(at, m); s != nil {
				return s
			}
		}
	}
	return nil
}

func (b *Batch) holds(at row, m *protocol.Message) *Subscriber {
	s := b.router.subscriber(at.subscriber())
	if s == nil || !s.is(kept) || s.is(peer) || b.remote && at.local() || at.qos() == protocol.AtMostOnce || at.noLocal() && m.From == s.id && m.From != "" {
		return nil
	}
	if s.is(full) || b.router.refusing() {
		return s
	}
	return nil
}

// SetKept says that the subscriber keeps what it is given in the store: whoever
// publishes with QoS 1 or 2 waits until it has. Before its first subscription.
func (s *Subscriber) SetKept() { s.flags.Or(kept) }

// SetFull says whether a subscriber that keeps messages can take more.
func (r *Router) SetFull(s *Subscriber, yes bool) {
	if !yes {
		if s.flags.And(^uint32(full))&full != 0 {
			r.full.Add(-1)
			s.open()
		}
		return
	}
	if s.flags.Or(full)&full == 0 {
		r.full.Add(1)
	}
}

// AwaitRoom waits until a subscriber that Held has returned can take messages, or
// has ended; false: stop was closed first.
func (r *Router) AwaitRoom(s *Subscriber, stop <-chan struct{}) bool {
	const again = time.Second // the store does not say when it takes something again
	t := time.NewTicker(again)
	defer t.Stop()
	for !s.is(closed) {
		switch {
		case s.is(full):
			if s.await(t.C, stop, func() bool { return !s.is(full) || s.is(closed) }) {
				continue
			}
		case r.refusing():
			select {
			case <-t.C:
			case <-stop:
			}
		default:
			return true
		}
		select {
		case <-stop:
			return false
		default:
		}
	}
	return true
}

// WaitRoom waits until a subscriber that Held has returned may have room, or has
// ended, or the time is over, or stop is closed.
func (s *Subscriber) WaitRoom(limit time.Duration, stop <-chan struct{}) {
	t := time.NewTimer(limit)
	defer t.Stop()
	s.await(t.C, stop, func() bool { return !s.is(full) || s.is(closed) })
}
